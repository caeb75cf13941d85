"""From tensor names to identifiers of the generated code."""

from __future__ import annotations

import keyword
from collections.abc import Iterable

RESERVED = frozenset(
    [
        *keyword.kwlist,
        "real",
        "vector",
        "batch",
        "first",
        "context",
        "lane",
        "tile",
        "int32",
        "uint8",
        "cdef",
        "nogil",
    ]
)


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
