"""A saved winner compared with a position, along vectors: a mask instead of a branch.

    K̄[p,o] += x[2i + d + p] · ḡ[i,o]   if d - w[i,o] == 0        i:n, d:2

With o along the vectors, w[i, o:o+16] is compared with d and ḡ[i, o:o+16] is zeroed where they differ. The
zeros cost multiplications, but no branch, no store and no address that depends on data.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from compiler.ir.affine.expression import Affine, Read, atom_of
from compiler.ir.tensor.program import Guard
from compiler.schedule.nest import Nest


def mask_guards(nest: Nest) -> tuple[Guard, ...]:
    """Guards that compare a saved winner with a position: along vectors they are masks."""
    return tuple(g for g in nest.guards if g.kind == "==" and g.affine.reads)


@dataclass(frozen=True)
class WinnerMask:
    """Where the integer at `read` differs from `value`, the factor `symbol` counts as 0."""

    symbol: sympy.Symbol
    read: Read
    value: Affine


def mask_of(nest: Nest, vector_axis: str) -> WinnerMask | None:
    """The guard of a nest as a mask along `vector_axis`; None where there is none or it cannot be one.

    `d - w[b,i,c] == 0` with c along the vectors compares the vector w[b,i,c:] with the number d. The masked
    factor runs along c too, and so does the winner.
    """
    guards = mask_guards(nest)
    if len(guards) != 1:
        return None
    read, *others = guards[0].affine.reads
    slope = guards[0].affine.coefficient(read)
    if others or abs(slope) != 1 or read.indices[-1].single_axis != vector_axis:
        return None
    value = (guards[0].affine - slope * atom_of(read)) * -slope
    spread = [index for index in (*read.indices[:-1], value) if vector_axis in index.axes]
    factors = nest.body.args if nest.body.is_Mul else (nest.body,)
    for symbol, address in nest.reads:
        shared = address.offset.axes <= guards[0].affine.axes and not address.offset.reads
        if not spread and shared and symbol in factors and address.offset.coefficient(vector_axis) == 1:
            return WinnerMask(symbol, read, value)
    return None
