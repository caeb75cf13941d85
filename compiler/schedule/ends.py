"""Sums over examples and their steps, each example's to its own end.

    most = max(lengths)                              for b in range(batch):
    for b in range(batch):                 ->            here = lengths[b]
        for t in range(min(64, most)): …                 for t in range(min(64, here)): …

What is left out is 0. Where an example is a row of what is computed, its steps go to the longest of the tile:
steps of a circle, which are those of all examples, read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from compiler.ir.affine.expression import Affine, axis
from compiler.ir.loops.grammar import Body, Largest, Limit, Load, Loop, Statement
from compiler.ir.loops.walk import parts, rebuilt, statements, substituted
from compiler.ir.tensor.axes import batch_axis
from compiler.schedule.nest import Nest


def with_own_ends(nests: Sequence[Nest], prelude: Body, loops: Body) -> Body:
    """The statements of nests, where loops over examples that are summed end with each of them."""
    found = [statement for statement in prelude if isinstance(statement, Largest)]
    if not found:
        return (*prelude, *loops)
    ending = [nest for nest in nests if any(a.end for a in nest.axes)]
    if all(batch_axis(nest.reduction_axes) for nest in ending):
        for largest in found:
            loops = rebuilt(loops, partial(_with_own_end, largest))
    used = {name for s in statements(loops) for affine in parts(s, Affine) for name in affine.axes}
    return (*(s for s in prelude if s not in found or s.name in used), *loops)


def _with_own_end(largest: Largest, statement: Statement) -> Statement:
    if not isinstance(statement, Loop) or statement.variable != largest.variable or statement.step > 1:
        return statement
    limits = (limit for s in statements(statement.body) for limit in parts(s, Limit))
    if not any(largest.name in limit.affine.axes for limit in limits):
        return statement
    here = f"{largest.name}_here"
    inside = substituted(statement.body, {largest.name: axis(here)})
    load = Load(here, largest.address, integer=True)
    return Loop(
        statement.variable, statement.lower, statement.upper, (load, *inside), shared=statement.shared
    )
