"""In which type the values of a tensor are stored."""

from __future__ import annotations

from compiler.ir.tensor.program import Definition, Tensor

SMALL_LIMIT = 256
"""Winners of windows of up to this many positions are stored in one byte."""


def element_of(entry: Tensor | Definition) -> str:
    """The stored element type: "real", "index" (32 bits), "small" (8 bits) for winners of small windows."""
    if entry.dtype == "real":
        return "real"
    if isinstance(entry, Definition) and entry.operation in ("argmax", "argmin"):
        size = 1
        for a in entry.terms[0].reduction_axes:
            size *= a.extent
        return "small" if size <= SMALL_LIMIT else "index"
    return "index"
