"""Random formulas in the public notation: stages, windows, reductions and functions, drawn as text."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import Operand, compile_formula
from tests.derive.cases import Case

FUNCTIONS = (
    "tanh({0})",
    "exp(-({0})**2)",
    "sqrt(({0})**2 + 1)",
    "log(({0})**2 + 2)",
    "erf({0})",
    "sin({0})",
    "1 / (1 + exp(-({0})))",
    "max({0}, 1/4)",
    "min({0}, 1/2)",
    "abs({0})",
    "({0} if {0} > 1/5 else exp({0}) - 1)",
    "-({0})",
)
OPERATORS = ("({0} + {1})", "({0} - 2*{1})", "({0} * {1})", "({0} / (2 + ({1})**2))")


class Formula:
    """Grows the text of one formula and the tensors that it reads."""

    def __init__(self, draw: Callable, functions: tuple[str, ...] = FUNCTIONS):
        self.draw = draw
        self.functions = functions
        self.inputs = [Tensor("x", (None, draw(st.integers(2, 6))), "input")]
        self.extents = {"x": self.inputs[0].shape[1]}
        """Of the tensors (batch, n) that may be read: inputs and stages before."""
        self.bound = 0

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def choice(self, options):
        return self.draw(st.sampled_from(options))

    def fresh(self) -> str:
        """The name of an axis that nobody has bound."""
        self.bound += 1
        return f"k{self.bound}"

    def parameter(self, *shape: int) -> str:
        name = f"w{len(self.inputs)}"
        self.inputs.append(Tensor(name, shape, "parameter"))
        return name

    def read(self, axis: str, extent: int) -> str:
        """A tensor at some place that an axis of this extent decides."""
        name = self.choice(sorted(self.extents))
        n = self.extents[name]
        places = [f"pad({name}, {self.choice(['0', '1/2', '-1'])})[b, {self.affine(axis)}]"]
        if n == extent:
            places += [f"{name}[b, {axis}]", f"{name}[b, {n - 1} - {axis}]"]
        places.append(f"{name}[b, {axis} % {n}]")
        if (extent - 1) // 2 < n:
            places.append(f"{name}[b, {axis} // 2]")
        return self.choice(places)

    def affine(self, axis: str) -> str:
        return f"{self.number(1, 2)}*{axis} + {self.number(0, 2)} - {self.number(0, 2)}"

    def expression(self, axis: str, extent: int, depth: int) -> str:
        """A value for every point of an axis."""
        kinds = ["read", "function", "operator", "weight", "window", "contraction", "normalised", "extreme"]
        kind = self.choice(kinds if depth else ["read", "weight", "window"])
        if kind == "read":
            return self.read(axis, extent)
        if kind == "weight":
            return f"{self.parameter(extent)}[{axis}]"
        if kind == "function":
            return self.choice(self.functions).format(self.expression(axis, extent, depth - 1))
        if kind == "operator":
            operands = [self.expression(axis, extent, depth - 1) for _ in range(2)]
            return self.choice(OPERATORS).format(*operands)
        inner = self.fresh()
        if kind == "window":
            name, size = self.choice(sorted(self.extents)), self.number(1, 3)
            place = f"{self.number(1, 2)}*{axis} + {self.number(1, 2)}*{inner} - {self.number(0, 1)}"
            kernel = f"{self.parameter(size)}[{inner}] * " if self.number(0, 1) else ""
            reduction = self.choice(["sum", "mean"])
            return f"{reduction}[{inner}:{size}]({kernel}pad({name}, 0)[b, {place}])"
        n = self.number(1, 4)
        body = self.expression(inner, n, depth - 1)
        if kind == "contraction":
            return f"sum[{inner}]({self.parameter(n, extent)}[{inner}, {axis}] * {body})"
        if kind == "extreme":
            return f"{self.choice(['max', 'min'])}[{inner}:{n}]({body})"
        return f"{self.read(axis, extent)} / (1 + sum[{inner}:{n}](({body})**2))"

    def text(self) -> str:
        lines = []
        for k in range(self.number(0, 2)):
            extent = self.number(1, 5)
            lines.append(f"h{k}[b, i] = {self._over(extent)}")
            self.extents[f"h{k}"] = extent
        lines.append(f"y[b, i] = {self._over(self.number(1, 5))}")
        return "\n".join(lines)

    def _over(self, extent: int) -> str:
        # A weight says how long the axis is, wherever else it stands, and a read that there is a batch.
        start = f"{self.parameter(extent)}[i] * {self.read('i', extent)}"
        return f"{start} + {self.expression('i', extent, self.number(1, 3))}"


@st.composite
def random_formulas(draw: Callable, functions: tuple[str, ...] = FUNCTIONS) -> Case:
    """A formula of up to three statements, to be differentiated by its input and all its parameters."""
    formula = Formula(draw, functions)
    text = formula.text()
    inputs = tuple(formula.inputs)
    results = {"y": Operand("y", (None, _extent(text, inputs)))}
    operands = {t.name: Operand(t.name, t.shape) for t in inputs}
    compiled = compile_formula(text, operands=operands, results=results)
    program = Program(inputs, tuple(compiled.definitions), ("y",))
    return Case(text, lambda: program, "y", tuple(t.name for t in inputs))


def _extent(text: str, inputs: tuple[Tensor, ...]) -> int:
    """How long the result is: as its first weight, `y[b, i] = w4[i] + …`."""
    name = text.rpartition("y[b, i] = ")[2].partition("[")[0]
    return next(t.shape[0] for t in inputs if t.name == name)
