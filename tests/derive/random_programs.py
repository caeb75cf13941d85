"""Random tensor programs: chains of small steps, each one way in which formulas index their tensors.

Every tensor has the shape (batch, …, n); a step takes one, works along its last axis, and may bring in a
second tensor of the same shape or a parameter of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sympy
from hypothesis import strategies as st

from compiler.ir.affine.expression import Affine, atom_of, axis, floor_div, mod
from compiler.ir.affine.expression import Read as IntegerRead
from compiler.ir.scalar.choices import Maximum, Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Reads,
    Shape,
    Tensor,
    Term,
    make_term,
)
from tests.derive.cases import Case

FUNCTIONS: tuple[Callable[[sympy.Symbol], sympy.Expr], ...] = (
    sympy.tanh,
    sympy.erf,
    lambda x: sympy.exp(-(x**2) / 2),
    lambda x: sympy.sqrt(x**2 + 1),
    lambda x: sympy.log(x**2 + 2),
    lambda x: x / (1 + sympy.exp(-x)),
    lambda x: Maximum(x, 0),
    lambda x: Select(Less(0, x), x, sympy.exp(x) - 1),
    lambda x: 3 * x - sympy.Rational(1, 2),
)


def scalar_term(
    axes: Iterable[Axis],
    target: Iterable[Affine],
    body: Callable[..., sympy.Expr],
    *accesses: Access,
    guards: Iterable[Guard] = (),
) -> Term:
    """The term whose body is a function of its accesses."""
    reads = Reads()
    symbols = [reads.symbol(access) for access in accesses]
    return make_term(axes, target, body(*symbols), reads.pairs(), guards)


class Builder:
    """Grows one program; `step` methods read the tensor `source` and give the name of a new one."""

    def __init__(self, draw: Callable, shape: Shape):
        self.draw = draw
        self.inputs = [Tensor("input", shape, "input")]
        self.definitions: list[Definition] = []
        self.names = ["input"]

    def shape(self, name: str) -> Shape:
        return next(entry.shape for entry in (*self.inputs, *self.definitions) if entry.name == name)

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def parameter(self, *shape: int) -> str:
        name = f"parameter_{len(self.inputs)}"
        self.inputs.append(Tensor(name, shape, "parameter"))
        return name

    def define(self, shape: Shape, *terms: Term, operation: str = "sum") -> str:
        name = f"stage_{len(self.definitions)}"
        self.definitions.append(Definition(name, shape, operation, terms))
        return name

    def outer(self, source: str) -> tuple[tuple[Axis, ...], tuple[Affine, ...], Shape, int]:
        """All axes but the last, as axes, as indices and as extents; and the extent of the last."""
        *extents, last = self.shape(source)
        axes = tuple(Axis(f"i{k}", extent) for k, extent in enumerate(extents))
        return axes, tuple(axis(a.name) for a in axes), tuple(extents), last

    def pointwise(self, source: str) -> str:
        axes, indices, extents, n = self.outer(source)
        place = (*indices, axis("j"))
        function = self.draw(st.sampled_from(FUNCTIONS))
        return self.define(
            (*extents, n), scalar_term((*axes, Axis("j", n)), place, function, Access(source, place))
        )

    def combine(self, source: str) -> str:
        """A product or a sum with any tensor of the same shape, itself included, perhaps reversed."""
        axes, indices, extents, n = self.outer(source)
        other = self.draw(st.sampled_from([name for name in self.names if self.shape(name) == (*extents, n)]))
        place = (*indices, axis("j"))
        second = (*indices, n - 1 - axis("j")) if self.draw(st.booleans()) else place
        body = self.draw(st.sampled_from([lambda a, b: a * b, lambda a, b: a - 2 * b]))
        accesses = Access(source, place), Access(other, second)
        return self.define((*extents, n), scalar_term((*axes, Axis("j", n)), place, body, *accesses))

    def contract(self, source: str) -> str:
        axes, indices, extents, n = self.outer(source)
        units = self.number(1, 3)
        kernel = Access(self.parameter(n, units), (axis("j"), axis("o")))
        read = Access(source, (*indices, axis("j")))
        domain = (*axes, Axis("o", units), Axis("j", n))
        product = scalar_term(domain, (*indices, axis("o")), lambda k, x: k * x, kernel, read)
        return self.define((*extents, units), product)

    def window(self, source: str) -> tuple[Affine, Axis, Axis]:
        """A strided, dilated, padded position that meets the tensor in every window."""
        n = self.shape(source)[-1]
        stride, dilation, size = self.number(1, 3), self.number(1, 2), self.number(1, 3)
        before = self.number(0, size - 1) if dilation == 1 else 0
        stops = (n - 1) // stride + 1
        position = stride * axis("h") + dilation * axis("p") - before
        return position, Axis("h", self.number(1, stops)), Axis("p", size)

    def convolve(self, source: str) -> str:
        axes, indices, extents, _ = self.outer(source)
        position, h, p = self.window(source)
        kernel = Access(self.parameter(p.extent), (axis("p"),))
        read = Access(source, (*indices, position), 0.0)
        product = scalar_term((*axes, h, p), (*indices, axis("h")), lambda k, x: k * x, kernel, read)
        return self.define((*extents, h.extent), product)

    def window_extreme(self, source: str) -> str:
        axes, indices, extents, _ = self.outer(source)
        position, h, p = self.window(source)
        operation, outside = self.draw(st.sampled_from([("max", -float("inf")), ("min", float("inf"))]))
        read = Access(source, (*indices, position), outside)
        best = scalar_term((*axes, h, p), (*indices, axis("h")), lambda x: x, read)
        return self.define((*extents, h.extent), best, operation=operation)

    def join(self, source: str) -> str:
        """The tensor twice in a longer one, strided and shifted, with overlaps and holes."""
        axes, indices, extents, n = self.outer(source)
        stride, shift = self.number(1, 2), self.number(0, 3)
        read = Access(source, (*indices, axis("j")))
        terms = [
            scalar_term((*axes, Axis("j", n)), (*indices, place), lambda x: x, read)
            for place in (stride * axis("j"), axis("j") + shift)
        ]
        return self.define((*extents, 2 * n + 2), *terms)

    def softmax(self, source: str) -> str:
        axes, indices, extents, n = self.outer(source)
        domain, place = (*axes, Axis("j", n)), (*indices, axis("j"))
        read = Access(source, place)
        largest = self.define(extents, scalar_term(domain, indices, lambda x: x, read), operation="max")
        exponential = scalar_term(
            domain, place, lambda x, m: sympy.exp(x - m), read, Access(largest, indices)
        )
        powers = Access(self.define((*extents, n), exponential), place)
        total = Access(self.define(extents, scalar_term(domain, indices, lambda e: e, powers)), indices)
        return self.define((*extents, n), scalar_term(domain, place, lambda e, s: e / s, powers, total))

    def resample(self, source: str) -> str:
        """Each value twice, or the row over and over: reads through // and %."""
        axes, indices, extents, n = self.outer(source)
        position = self.draw(st.sampled_from([floor_div(axis("j"), 2), mod(axis("j"), n)]))
        place = (*indices, axis("j"))
        read = Access(source, (*indices, position))
        return self.define(
            (*extents, 2 * n), scalar_term((*axes, Axis("j", 2 * n)), place, lambda x: x, read)
        )

    def accumulate(self, source: str) -> str:
        """Running sums: a guard between two axes."""
        axes, indices, extents, n = self.outer(source)
        guard = Guard(">=", axis("j") - axis("k") - self.number(0, 1))
        domain = (*axes, Axis("j", n), Axis("k", n))
        read = Access(source, (*indices, axis("k")))
        return self.define(
            (*extents, n), scalar_term(domain, (*indices, axis("j")), sympy.tanh, read, guards=[guard])
        )

    def choose(self, source: str) -> str:
        """The value at a label, spread out again by a parameter."""
        axes, indices, extents, n = self.outer(source)
        label = f"label_{len(self.inputs)}"
        self.inputs.append(Tensor(label, (None,), "label", "index", n))
        chosen = Access(source, (*indices, atom_of(IntegerRead(label, (axis("i0"),), n))))
        weight = Access(self.parameter(2), (axis("j"),))
        domain, place = (*axes, Axis("j", 2)), (*indices, axis("j"))
        return self.define((*extents, 2), scalar_term(domain, place, lambda x, w: x * w, chosen, weight))

    def centre(self, source: str) -> str:
        """Values less their mean over the batch."""
        axes, indices, extents, n = self.outer(source)
        if "batch_size" not in [tensor.name for tensor in self.inputs]:
            self.inputs.append(Tensor("batch_size", (), "batch_size"))
        domain, place = (*axes, Axis("j", n)), (*indices, axis("j"))
        read, size = Access(source, place), Access("batch_size", ())
        mean = self.define((*extents[1:], n), scalar_term(domain, place[1:], lambda x, n: x / n, read, size))
        return self.define(
            (*extents, n), scalar_term(domain, place, lambda x, m: x - m, read, Access(mean, place[1:]))
        )

    STEPS = (
        pointwise,
        combine,
        contract,
        convolve,
        window_extreme,
        join,
        softmax,
        resample,
        accumulate,
        choose,
        centre,
    )


@st.composite
def random_cases(draw: Callable) -> Case:
    """A program of two or more definitions, to be differentiated by everything real that it is given."""
    shape = draw(st.sampled_from([(None, 4), (None, 7), (None, 2, 5)]))
    builder = Builder(draw, shape)
    for _ in range(draw(st.integers(2, 5))):
        step = draw(st.sampled_from(Builder.STEPS))
        builder.names.append(step(builder, builder.names[-1]))
    output = builder.names[-1]
    program = Program(tuple(builder.inputs), tuple(builder.definitions), (output,))
    wrt = tuple(tensor.name for tensor in program.inputs if tensor.kind in ("input", "parameter"))
    return Case("random", lambda: program, output, wrt)
