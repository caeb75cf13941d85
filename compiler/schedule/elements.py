"""In which type the values of a tensor are stored."""

from __future__ import annotations

from math import prod
from typing import Literal

from compiler.ir.affine.domain import sizes
from compiler.ir.tensor.program import Definition, Tensor

SMALL_LIMIT = 256
"""Winners of windows of up to this many positions are stored in one byte."""


def element_of(entry: Tensor | Definition) -> Literal["real", "index", "small"]:
    """The stored element type: "real", "index" (32 bits), "small" (8 bits) for winners of small windows."""
    if entry.dtype == "real":
        return "real"
    if isinstance(entry, Definition) and entry.operation in ("argmax", "argmin"):
        return "small" if prod(sizes(entry.terms[0].reduction_axes)) <= SMALL_LIMIT else "index"
    return "index"
