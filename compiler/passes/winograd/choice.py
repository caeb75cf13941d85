"""When a transform with fewer multiplications is taken: what it must gain, and how exact it must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, count

from compiler.ir.tensor.program import Definition, Program
from compiler.passes.sites import Site, Slot
from compiler.passes.winograd.transforms import Transform

LARGEST_ERROR_RATIO = 16
"""The bound on rounding errors may be this many times the direct form's: 4 of a float32's 24 bits."""
MOVED = 6
"""Multiplications that a transformed value is worth: it is computed, stored and loaded."""
LEAST_GAIN = 0.9
"""The price must fall to this share: prices are estimates, and the transforms take memory."""


def unused_prefix(definition: Definition, program: Program, endings: Sequence[str]) -> str:
    """What the names of a definition's parts begin with, so that the program has none of them."""
    wanted = f"{definition.name}.winograd"
    prefixes = chain([wanted], (f"{wanted}_{number}" for number in count(2)))
    return next(p for p in prefixes if not any(p + ending in program for ending in endings))


def as_parts(parts: Iterable[Definition], definition: Definition) -> tuple[Definition, ...]:
    """The parts of a definition, all of its layer; the last replaces it, the others are `of` it."""
    *before, last = (replace(part, origin=definition.origin) for part in parts)
    return *(replace(p, role="transformed", of=definition.name) for p in before), last


def in_place_of(
    definition: Definition,
    parts: tuple[Definition, ...],
    along: str,
    ratio: float,
    transforms: Sequence[Transform],
) -> Site:
    """The parts in the place of the definition, and what the record says: the error bound and the points."""
    points = "; ".join(", ".join(map(str, t.points)) for t in dict.fromkeys(transforms))
    remark = f"error bound {ratio:.1f} times the direct form's; points {points} and infinity"
    return Site((Slot(definition.name, (parts,)),), definition.name, along, remark=remark, gain=LEAST_GAIN)
