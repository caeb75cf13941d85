"""When a transform with fewer multiplications is taken: what it must gain, and how exact it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Definition, Program
from compiler.ir.tensor.sites import Site, Slot
from compiler.passes.winograd.definitions import endings, transformed
from compiler.passes.winograd.form import MOST_DIRECTIONS, Chosen, Planned, error_bound

LARGEST_ERROR_RATIO = 16
"""The bound on rounding errors may be this many times the direct form's: 4 of a float32's 24 bits."""

Together = tuple[Planned, ...]
"""The convolutions of one sum that are transformed together."""


def choices(ways: Iterable[Iterable[Chosen]]) -> Iterator[tuple[Chosen, ...]]:
    """Every way to transform some of the directions, where there are these ways along each."""
    for choice in product(*([None, *along] for along in ways)):
        chosen = tuple(c for c in choice if c is not None)
        if 1 <= len(chosen) <= MOST_DIRECTIONS:
            yield chosen


def cheapest(
    candidates: Iterable[Together], work: Callable[[Together], float], direct: float
) -> Together | None:
    """The one with the least work whose error bound is allowed; None when that is the direct form."""
    best, result = direct, None
    for candidate in candidates:
        needed = work(candidate)
        if needed < best and max(map(error_bound, candidate)) <= LARGEST_ERROR_RATIO:
            best, result = needed, candidate
    return result


def parts_of(definition: Definition, planned: Together, program: Program) -> tuple[Definition, ...]:
    """Definitions in the place of `definition`, with names that the program does not have."""
    prefix = fresh(f"{definition.name}.winograd", _Taken(endings(planned), program))
    return transformed(definition, planned, prefix)


@dataclass(frozen=True)
class _Taken:
    """Beginnings of names of which a program has one, with one of these endings."""

    endings: tuple[str, ...]
    program: Program

    def __contains__(self, beginning: object) -> bool:
        return any(f"{beginning}{ending}" in self.program for ending in self.endings)


def in_place_of(
    definition: Definition, planned: Together, parts: tuple[Definition, ...], share: float
) -> Site:
    """The parts in the place of the definition, and what the record says: transforms, error bound, points."""
    chosen = planned[0].chosen
    form = " x ".join(map(str, chosen))
    if len(planned) > 1:
        form = f"{len(planned)} convolutions in one sum, {form}"
    ratio = max(map(error_bound, planned))
    points = "; ".join(", ".join(map(str, t.points)) for t in dict.fromkeys(c.transform for c in chosen))
    remark = f"error bound {ratio:.1f} times the direct form's; points {points} and infinity"
    return Site((Slot(definition.name, (parts,)),), definition.name, form, remark=remark, gain=share)
