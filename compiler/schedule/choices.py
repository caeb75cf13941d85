"""Why a kernel has the schedule that it has: what was predicted for it, and for what came next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose

from compiler.ir.tensor.program import Definition, Shape
from compiler.schedule.contraction import candidate_tiles
from compiler.schedule.kernel import Settings, predicted_cycles, tile_of
from compiler.schedule.nest import make_nest
from compiler.schedule.tile import Tile


@dataclass(frozen=True)
class Choice:
    """The schedule of one term: its register tile, or None for plain loops; predicted cycles of one tile of
    the batch; and the cheapest register tile of another form, if there is one. `together` says that it is the
    choice for all terms of a definition, whose sums are computed together."""

    tile: Tile | None
    cycles: float
    next_best: Tile | None
    together: bool = False


def choices(
    definition: Definition,
    shapes: Mapping[str, Shape],
    settings: Settings,
    windows: Mapping[str, int] | None = None,
) -> list[Choice]:
    """The choice for each term of a definition, made again as it was made when its kernel was built.

    `windows` are those that the kernel's tile holds whole."""
    result = []
    for term in definition.terms:
        alone = replace(definition, terms=(term,))
        nest = make_nest(term, definition.name, shapes, "")
        tile = tile_of(nest, settings, windows) if definition.operation == "sum" else None
        others: list[Tile] = []
        if tile is not None:
            candidates = candidate_tiles(nest, settings.machine, settings.dtype, settings.tile, windows)
            others = [candidate for candidate in candidates if str(candidate) != str(tile)]
        next_best = min(others, key=lambda other: other.cycles, default=None)
        cycles = predicted_cycles(alone, shapes, settings) if tile is None else tile.cycles
        result.append(Choice(tile, cycles, next_best))
    whole = predicted_cycles(definition, shapes, settings)
    # What is computed together has a price of its own, which is not the sum over the terms.
    if not windows and len(result) > 1 and not isclose(whole, sum(choice.cycles for choice in result)):
        return [Choice(None, whole, None, together=True)]
    return result
