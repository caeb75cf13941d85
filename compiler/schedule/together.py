"""All terms of a sum in one schedule, where one of three ways fits them; else each gets its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compiler.ir.tensor.program import Shape
from compiler.schedule.layout import row_size
from compiler.schedule.linear_sums import Group, groups_of, linear_sums_nest, predicted_group_cycles
from compiler.schedule.nest import Nest, Shapes
from compiler.schedule.picked import picked_nest, picked_of, predicted_picked_cycles
from compiler.schedule.pieces import Piece, storing, write_all_once
from compiler.schedule.pointwise_groups import (
    pointwise_group_nest,
    pointwise_groups,
    predicted_pointwise_cycles,
)
from compiler.schedule.register_tile import Body
from compiler.schedule.settings import Settings


@dataclass(frozen=True)
class Together:
    """How they run: the loops, what the kernel's header says of each part, predicted cycles of a tile."""

    body: Callable[[], Body]
    notes: tuple[str, ...]
    cycles: Callable[[], float]


@dataclass(frozen=True)
class _Way:
    """Groups of terms that share what they read, along vectors: how to find, write and price them."""

    groups: Callable[[Sequence[Nest]], tuple[Group, ...] | None]
    nest: Callable[[Group, int], Body]
    cycles: Callable[[Group, int, int], float]
    note: str


WAYS = (
    _Way(groups_of, linear_sums_nest, predicted_group_cycles, "sums computed together"),
    _Way(pointwise_groups, pointwise_group_nest, predicted_pointwise_cycles, "computed together"),
)
"""The first that fits is taken."""


def together(pieces: Sequence[Piece], shape: Shape, settings: Settings, shapes: Shapes) -> Together | None:
    """One schedule for all terms of a definition of this shape; None where they are scheduled one by one."""
    machine, dtype, tile = settings.machine, settings.dtype, settings.tile
    nests, lanes = [piece.nest for piece in pieces], settings.machine.lanes(settings.dtype)
    picked = picked_of(nests, machine, dtype)
    if picked is not None:
        return Together(
            lambda: picked_nest(picked, lanes, row_size(shape), shapes),
            (f"gather, {picked}",),
            lambda: predicted_picked_cycles(picked, machine, dtype, tile),
        )
    if not store_together(pieces, shape):
        return None
    found = ((way, way.groups(nests)) for way in WAYS)
    way, groups = next((pair for pair in found if pair[1] is not None), (None, ()))
    if way is None:
        return None
    return Together(
        lambda: tuple(statement for group in groups for statement in way.nest(group, lanes)),
        tuple(f"gather, {way.note} along {group.vector_axis.name}" for group in groups),
        lambda: sum(way.cycles(group, lanes, tile) for group in groups),
    )


def store_together(pieces: Sequence[Piece], shape: Shape) -> bool:
    """Several terms without register tiles that write every element once: the phases of a gather."""
    if len(pieces) < 2 or any(piece.tile is not None for piece in pieces):
        return False
    return write_all_once([storing(piece.term) for piece in pieces], shape)
