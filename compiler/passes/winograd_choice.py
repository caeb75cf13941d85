"""When a transform with fewer multiplications is taken: what it must gain, and how exact it must be."""

from __future__ import annotations

from collections.abc import Callable

from compiler.ir.tensor_program import Definition, Program

Price = Callable[[Definition, Program], float]
"""Predicted cycles of a definition, scheduled as it would be in the given program."""

LARGEST_ERROR_RATIO = 16
"""The bound on rounding errors may be this many times the direct form's: 4 of a float32's 24 bits."""
MOVED = 6
"""Multiplications that a transformed value is worth: it is computed, stored and loaded."""
LEAST_GAIN = 0.9
"""The price must fall to this share: prices are estimates, and the transforms take memory."""
SHARE = 1 / 8
"""Part of what is done once a step that counts for a tile: a step has at least this many tiles."""


def priced(part: Definition, program: Program, price: Price) -> float:
    """The price of a part for a tile of the batch; what no example goes into is computed once a step."""
    per_example = any(a.extent is None for term in part.terms for a in term.axes)
    return price(part, program) * (1 if per_example else SHARE)
