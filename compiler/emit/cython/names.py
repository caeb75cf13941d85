"""From tensor names to identifiers of the generated code."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from compiler.emit.cython.vectors import WORDS
from compiler.machine.machine import LONGEST_VECTOR_BYTES

TEMPLATES = Path(__file__).parent / "templates"
"""Texts with places, which are filled for a model."""
LIBRARY = Path(__file__).parent / "library"
"""Texts that are the same in every module: what its routines call."""

# What the templates call, import, define as a type or write in capitals: a layer may have any name, and must
# not take one of these away.
_TAKEN = (
    r"\b(\w+)\s*\(",
    r"\b([A-Z][A-Z_]+)\b",
    r"(?:import|as|struct|class|typedef \w+)\s+(\w+)",
    r"ctypedef \w+ (\w+)",
    r"\bcdef (?:inline )?(?:const )?\w+\*? (\w+)",
)
_C_WORDS = (
    "auto bint cdef char const context cpdef ctypedef double enum extern float gil include inline int int32 "
    "lane long nogil operator real restrict short signed sizeof static struct tile typedef uint32 uint8 "
    "int64 chosen part parts given member threads Piece Member Account union unsigned vector void volatile "
    "batch first seed step"
)
LENGTHS = ("", *(str(2**k) for k in range(1, LONGEST_VECTOR_BYTES.bit_length())))
"""Lanes that may be part of the name of a shorter vector type and its functions."""


def _reserved() -> frozenset[str]:
    # The builtin input() is not used, and every model has a tensor of that name.
    words = {*keyword.kwlist, *dir(builtins), *_C_WORDS.split()} - {"input"}
    words.update(
        f"{word}{length}{part}" for word, length, part in product(WORDS, LENGTHS, ("", "_partial", "_winner"))
    )
    for path in sorted([*TEMPLATES.glob("*.jinja"), *LIBRARY.glob("*.pyx")]):
        text = path.read_text()
        for pattern in _TAKEN:
            words.update(re.findall(pattern, text))
    return frozenset(words)


RESERVED = _reserved()


def identifier(name: str) -> str:
    """The name with everything but letters and digits replaced: `conv2d_1.kernel` is `conv2d_1_kernel`."""
    text = "".join(ch if ch.isalnum() and ch.isascii() else "_" for ch in name)
    return f"_{text}" if text[:1].isdigit() else text


def unique_identifiers(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """An identifier for each name, different from each other, from `taken` and from reserved words."""
    used = set(taken) | RESERVED
    result: dict[str, str] = {}
    for name in names:
        candidate = identifier(name)
        while candidate in used:
            candidate += "_"
        used.add(candidate)
        result[name] = candidate
    return result
