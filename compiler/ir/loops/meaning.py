"""What loop nests mean, whatever their buffers and variables are called.

It is equal for nests that differ in names alone:

    for o in range(8): b[o] += a[o]      and      for p in range(8): d[p] += c[p]

Names are numbered in the order in which they are met. Of a sum or a product of scalars the order is left out,
since SymPy orders them by name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass

import sympy

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Choose, Kernel

Meaning = tuple[object, ...]
GIVEN = ("batch", "part", "parts")
"""Variables that a kernel has without setting them."""
WORDS = {Choose: "better", Guard: "kind"}
"""The field of a node that says what it does, instead of naming something."""


def meaning(kernel: Kernel) -> Meaning:
    """What a kernel does with its buffers; nothing of what its header says."""
    numbers = _Numbers({name: place for place, name in enumerate(GIVEN)})
    buffers = tuple((numbers.of(b.name), b.element, b.written, b.room) for b in kernel.buffers)
    return kernel.per_example, kernel.shared, buffers, numbers.meaning(kernel.body)


@dataclass(frozen=True)
class _Numbers:
    known: dict[str, int]

    def of(self, name: str) -> int:
        return self.known.setdefault(name, len(self.known))

    def meaning(self, node: object) -> object:
        if isinstance(node, str):
            return self.of(node)
        if isinstance(node, tuple):
            return tuple(map(self.meaning, node))
        if isinstance(node, Affine):
            # They are sorted by name too.
            terms = sorted((coefficient, str(self.meaning(atom))) for atom, coefficient in node.terms)
            return tuple(terms), node.constant
        if isinstance(node, sympy.Basic):
            symbols = sorted(node.free_symbols, key=lambda symbol: self.known.get(symbol.name, -1))
            return node.xreplace({s: sympy.Symbol(f"n{self.of(s.name)}", **s.assumptions0) for s in symbols})
        if is_dataclass(node):
            word = WORDS.get(type(node))
            values = {f.name: getattr(node, f.name) for f in fields(node)}
            return type(node), *(v if n == word else self.meaning(v) for n, v in values.items())
        return repr(node)
