"""How names are spelt: as Python's own parser does, which reads the formulas."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def normalised(name: str) -> str:
    """The spelling that Python gives an identifier: µ (U+00B5) and μ (U+03BC) are one letter.

    A formula is read by Python's own parser, which does this; so what is given beside it must have it too.
    """
    return unicodedata.normalize("NFKC", name)


def with_normalised_keys(mapping: Mapping[str, Value]) -> dict[str, Value]:
    """The same values under normalised names; as given where two names become one, which is a mistake."""
    result = {normalised(key) if isinstance(key, str) else key: value for key, value in mapping.items()}
    return result if len(result) == len(mapping) else dict(mapping)
