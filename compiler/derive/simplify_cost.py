"""What a term costs per training step, in additions: the one number that decides every rewrite.

A subexpression costs its operation once per point of the axes that it depends on: in p[b,c]·(g[b,c] - t[b]/B)
the division is done once per b, for it can stand before the loop over c. So do reads; a write is done at every
point, and a definition adds one write per element. In a contraction nothing is taken to leave the loops.
The batch's extent is not known here; a usual one is assumed. Only the order of costs matters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import sympy

from compiler.derive.scalar import operations, own_cost
from compiler.derive.simplify_memo import Memo
from compiler.derive.simplify_terms import axes_of, is_contraction
from compiler.ir.tensor_program import Definition, Extent, Program, Term

USUAL_BATCH = 128


def volume(extents: Iterable[Extent]) -> int:
    product = 1
    for extent in extents:
        product *= USUAL_BATCH if extent is None else extent
    return product


def term_cost(term: Term) -> int:
    points = volume(a.extent for a in term.axes)
    if is_contraction(term):
        return points * (operations(term.body) + len(term.reads) + 1)
    depends = {symbol: frozenset(axes_of(access)) for symbol, access in term.reads}
    counted = _Counted(term.extents, depends)
    counted.visit(term.body)
    return counted.total + sum(map(counted.volume, depends.values())) + points


@dataclass
class _Counted:
    """Walks a body once; `depends` maps what was visited to the axes that it depends on."""

    extents: Mapping[str, Extent]
    depends: dict[sympy.Basic, frozenset[str]]
    total: int = 0

    def volume(self, axes: frozenset[str]) -> int:
        return volume(self.extents[name] for name in axes)

    def visit(self, node: sympy.Basic) -> frozenset[str]:
        if node not in self.depends:
            parts = [self.visit(arg) for arg in node.args]
            self.depends[node] = frozenset().union(*parts)
            if node.is_Add or node.is_Mul:
                self.total += self._combined(parts) + self._signs(node)
            else:
                self.total += own_cost(node) * self.volume(self.depends[node])
        return self.depends[node]

    def _combined(self, parts: list[frozenset[str]]) -> int:
        """The arguments of a sum or product are combined with the fewest axes first."""
        cost, reached = 0, frozenset()
        for number, axes in enumerate(sorted(parts, key=lambda axes: (self.volume(axes), sorted(axes)))):
            reached |= axes
            cost += self.volume(reached) if number else 0
        return cost

    def _signs(self, node: sympy.Expr) -> int:
        """What subtracting saves: the factors -1 of its summands, but for one if all have it."""
        if not node.is_Add:
            return 0
        negative = [arg for arg in node.args if arg.is_Mul and arg.args[0] == -1]
        saved = sorted(self.volume(self.depends[arg.args[1]]) for arg in negative)
        return -sum(saved[1:] if len(negative) == len(node.args) else saved)


def definition_cost(definition: Definition) -> int:
    return volume(definition.shape) + sum(map(term_cost, definition.terms))


def kept_alive(program: Program, reader: str, tensors: Collection[str], memo: Memo) -> int:
    """Σ over tensors of size × how long it is kept: from its definition to its last reader.

    Decides between forms of equal work. With the mask of a ReLU read from its output, the input dies as
    soon as the output stands, and can be overwritten by it. `reader` is taken to read `tensors`.
    """
    born = {definition.name: k for k, definition in enumerate(program.definitions)}
    last = {**{tensor.name: -1 for tensor in program.inputs}, **born}
    for k, definition in enumerate(program.definitions):
        for name in tensors if definition.name == reader else memo.tensors(definition):
            last[name] = max(last[name], k)
    for name in program.outputs:
        last[name] = len(born)
    return sum(volume(program.shape(name)) * (end - born.get(name, -1)) for name, end in last.items())
