"""What a module says of a step that several processes run together, as text."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.emit.cython.routines import phase_function
from compiler.ir.module.grammar import Pointer, Routine
from compiler.ir.module.supersteps import exchanges_of
from compiler.machine.elements import element_bytes


@dataclass(frozen=True)
class Together:
    """For the templates."""

    phase: str
    """The function that runs a phase by its number."""
    size: str
    """Examples in a tile of a `whole` batch."""
    exchanges: tuple[str, ...]
    """One for each phase."""


def together_text(routine: Routine, dtype: str) -> Together:
    """How processes run the phases of a routine together."""
    least, most = routine.least, routine.tile
    size = str(most) if least == most else f"tile_size(whole, {least}, {most})"
    exchanges = exchanges_of(routine)
    texts = tuple(
        repr(
            (
                tuple((p.place.offset, p.size * element_bytes(p.element, dtype)) for p in exchange.gathered),
                tuple(_result(pointer) for pointer in exchange.results),
                tuple((s.start, s.stop, n) for s, n in zip(exchange.sums, exchange.wanted, strict=True)),
            )
        )
        for exchange in exchanges
    )
    return Together(phase_function(routine), size, texts)


def _result(pointer: Pointer) -> tuple[str, int, int]:
    return pointer.place.area, pointer.place.offset, pointer.size
