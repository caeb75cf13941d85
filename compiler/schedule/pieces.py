"""The terms of a sum as pieces of one kernel: which can store, which can start another's accumulators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.axes import plain_axes
from compiler.ir.tensor.maps import covers, disjoint, is_injective
from compiler.ir.tensor.program import Axis, Definition, Guard, Shape, Term
from compiler.ir.tensor.rename import moved, without_single_values
from compiler.schedule.accumulators import split_scale
from compiler.schedule.collapse import merge_nest
from compiler.schedule.contraction import choose_tile, sequential_axes
from compiler.schedule.layout import row_size
from compiler.schedule.nest import Nest, make_nest
from compiler.schedule.settings import Settings
from compiler.schedule.tile import Tile, Unrolled, is_polynomial, is_selected


@dataclass(frozen=True)
class Piece:
    """One term of a definition by its number there, laid out."""

    number: int
    term: Term
    nest: Nest

    def tiled(self, tile: Tile) -> TiledPiece:
        return TiledPiece(self.number, self.term, self.nest, tile)


@dataclass(frozen=True)
class TiledPiece(Piece):
    """A term that gets a register tile."""

    tile: Tile


def tile_of(nest: Nest, settings: Settings, windows: Mapping[str, int] | None = None) -> Tile | None:
    """A register tile is for reductions, and for products of which several are added to one element, such as
    x̄[h + p, c] += ȳ[h, c]·K[p, c]; what else has none is a plain loop that the C compiler vectorises."""
    colliding = len(nest.reads) > 1 and sequential_axes(nest)
    if not (nest.reduction_axes or is_selected(nest) or colliding):
        return None
    around = tuple((windows or {}).items())
    return choose_tile(nest, settings.machine, settings.dtype, settings.tile, around, settings.given)


def pieces_of(
    definition: Definition, shapes: Mapping[str, Shape], settings: Settings | None = None
) -> tuple[Piece, ...]:
    """The terms laid out; with their tiles where `settings` say what they are tiled for."""
    pieces = []
    for number, term in enumerate(definition.terms):
        nest = make_nest(term, definition.name, shapes, f"term{number}_" if number else "")
        piece = Piece(number, term, nest)
        tile = None if settings is None else tile_of(nest, settings)
        pieces.append(piece if tile is None else piece.tiled(tile))
    return tuple(pieces)


def can_be_first(piece: Piece, shape: Shape) -> bool:
    """A contraction that writes every element of its target once."""
    return isinstance(piece, TiledPiece) and not piece.tile.adds and covers(targets_only(piece.term), shape)


def continues(piece: TiledPiece, first: TiledPiece) -> bool:
    """Whether another contraction can go on with the accumulators of the first: ẏ += K̇·x, then ẏ += K·ẋ.

    Their tiles are the same, and what is summed is not scaled when all of it is there."""
    pieces = (piece, first)
    if any(p.nest.guards or is_selected(p.nest) for p in pieces):
        return False
    scales = [split_scale(p.nest.body, frozenset(s for s, _ in p.nest.reads))[0] for p in pieces]
    plain = all(p.nest.reduction_axes and not p.tile.adds and p.tile.compaction is None for p in pieces)
    plain = plain and piece.tile.nonzero is None and piece.tile.parts == first.tile.parts == 1
    return plain and scales == [1, 1] and shape_of(piece.tile) == shape_of(first.tile)


def shape_of(tile: Tile) -> tuple[Axis, int, Unrolled, Affine, tuple[Axis, ...]]:
    """What decides which elements of the target a tile's accumulators are."""
    return tile.vector_axis, tile.vectors, tile.unrolled, tile.nest.target, tile.nest.target_axes


def start_of(piece: Piece, first: TiledPiece, shapes: Mapping[str, Shape]) -> Nest | None:
    """A term without reduction over the same plain target can be what the accumulators start from.

    The nest is over the contraction's own axes: `bias[k]` at `y[…, k]` becomes `bias[o]`. What it reads is
    loaded as whole vectors, at places that neither padding nor an integer tensor decides.
    """
    contraction = first.term
    # A reduction over one value is none, but its axis stands in the reads.
    term = without_single_values(piece.term, (a.name for a in piece.term.reduction_axes))
    symbols = frozenset(symbol for symbol, _ in first.nest.reads)
    plain = plain_axes(term.target) is not None and plain_axes(contraction.target) is not None
    if not plain or term.guards or piece.nest.reduction_axes or not is_polynomial(piece.nest.body):
        return None
    if is_selected(piece.nest) or any(address.inside for _, address in piece.nest.reads):
        return None
    own = moved(term, term.target, contraction.target, contraction.target_axes)
    nest = make_nest(own, piece.nest.buffer, shapes, f"start{piece.number}_")
    for merge in first.tile.merges:
        if merge.outer in nest.target_axes:
            merged = merge_nest(nest, merge)
            if merged is None:
                return None
            nest, _ = merged
    slopes = {address.offset.coefficient(first.tile.vector_axis.name) for _, address in nest.reads}
    if not slopes <= {0, 1} or split_scale(first.nest.body, symbols)[0] != 1:
        return None
    return nest


def stores_all(piece: Piece, shape: Shape) -> bool:
    """The term alone writes every element exactly once."""
    if isinstance(piece, TiledPiece) and piece.tile.adds:
        return False
    bare = storing(piece.term)
    return is_injective(bare) and covers(bare, shape)


def storing(term: Term) -> Term:
    """The map by which a term stores: without a reduction, a data-dependent choice is a select that stores 0
    where it fails; around a reduction it is a test that skips the store."""
    if term.reduction_axes:
        return targets_only(term)
    kept = tuple(g for g in term.guards if not (g.kind == "==" and g.affine.reads))
    return targets_only(replace(term, guards=kept))


def store_together(pieces: Sequence[Piece], shape: Shape) -> bool:
    """Several terms without register tiles that write every element once: the phases of a gather."""
    if len(pieces) < 2 or any(isinstance(piece, TiledPiece) for piece in pieces):
        return False
    return write_all_once([storing(piece.term) for piece in pieces], shape)


def write_all_once(terms: Sequence[Term], shape: Shape) -> bool:
    """Whether the terms together write every element of the tensor, and each once."""
    if any(term.guards or not is_injective(term) for term in terms):
        return False
    written = sum(prod(a.extent or 1 for a in term.axes) for term in terms)
    return written == row_size(shape) and all(
        disjoint(one, other) for alike in _by_constants(terms) for one, other in combinations(alike, 2)
    )


def _by_constants(terms: Sequence[Term]) -> Iterable[list[Term]]:
    """The terms by the constants of their targets: those that differ in one write different elements."""
    indices = zip(*(term.target for term in terms), strict=True)
    fixed = [k for k, column in enumerate(indices) if all(index.is_constant for index in column)]
    groups: defaultdict[tuple[int, ...], list[Term]] = defaultdict(list)
    for term in terms:
        groups[tuple(term.target[k].constant for k in fixed)].append(term)
    return groups.values()


def targets_only(term: Term) -> Term:
    """The term seen as a map of its target axes: reductions happen before the write."""
    return Term(term.target_axes, term.target, sympy.S.One, (), _target_guards(term))


def _target_guards(term: Term) -> tuple[Guard, ...]:
    names = {a.name for a in term.target_axes}
    return tuple(guard for guard in term.guards if guard.affine.axes <= names)
