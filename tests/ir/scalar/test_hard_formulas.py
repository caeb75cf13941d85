"""Small formulas that were wrong or did not compile, each standing for a kind, with the value that is right.

Value and slopes (of the sum of all outputs, by the input, then by each parameter) are what the simplified
programs give in the interpreter and as compiled kernels. Powers, choices and names each have a property test
of their own beside this; that their members still are right, one by one, is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, log, nan

import numpy as np
import pytest

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.language.initializers import Constant
from compiler.language.layers import Formula
from compiler.schedule.settings import Settings
from compiler.simplify.simplify import simplify, stabilise
from tests.derive.cases import layer_program
from tests.harness import CompiledPrograms, compile_programs
from tests.machines import TARGETS
from tests.schedule.building import lowered


@dataclass(frozen=True)
class Hard:
    """A formula at one example, with what is right there. Without slopes, none is asked for."""

    formula: str
    x: list[float]
    y: list[float]
    slope: list[float] | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    slopes: Mapping[str, list[float]] = field(default_factory=dict)
    dtype: str = "float64"


HARD = {
    "power of two inputs at base 0": Hard("y[b, o:1] = x[b, 0]**x[b, 1]", [0, 2], [0], [0, 0]),
    "abs to a learned power": Hard(
        "y[b, i] = abs(x[b, i])**p[i]", [1, -2, 0], [1, 4, 0], [2, -4, 0], {"p": 2}, {"p": [0, 4 * log(2), 0]}
    ),
    "max of two abs": Hard(
        "y[b, i] = max(abs(x[b, i]), abs(x[b, 0]))", [0.5, -2, 0.25, 1], [0.5, 2, 0.5, 1], [2, -1, 0, 1]
    ),
    "max of four values": Hard(
        "y[b, o:1] = max(x[b, 0], x[b, 1], x[b, 2], x[b, 3])", [0.5, 2, 0.25, 1], [2], [0, 1, 0, 0]
    ),
    "clip of abs": Hard(
        "y[b, i] = min(max(abs(x[b, i]), 0.1), 0.5)", [-0.3, 0.05, 2], [0.3, 0.1, 0.5], [-1, 0, 0]
    ),
    "NaN masked by x != x": Hard("y[b, i] = 0 if x[b, i] != x[b, i] else x[b, i]", [1, nan, 3], [1, 0, 3]),
    "log-sum-exp of nothing": Hard("y[b, o:1] = log(sum[i](exp(x[b, i])))", [-inf, -inf], [-inf]),
    "a large constant in a branch": Hard(
        "y[b, i] = x[b, i] if x[b, i] > 0 else -1e30", [1, -2, 3], [1, -1e30, 3], [1, 0, 1]
    ),
    "log of abs": Hard("y[b, i] = log(abs(x[b, i]))", [1, -2, 0.5], [0, log(2), -log(2)], [1, -0.5, 2]),
    "one by abs": Hard("y[b, i] = 1/abs(x[b, i])", [1, -2, 0.5], [1, 0.5, 2], [-1, 0.25, -4]),
    "sign as a quotient": Hard("y[b, i] = x[b, i]/abs(x[b, i])", [1, -2, 0.5], [1, -1, 1], [0, 0, 0]),
    "softmax of two, written out": Hard(
        "y[b, o:1] = exp(x[b, 0])/(exp(x[b, 0]) + exp(x[b, 1]))",
        [44, 44],
        [0.5],
        [0.25, -0.25],
        dtype="float32",
    ),
    "a stage called tangent": Hard(
        "tangent[b, i] = x[b, i]*x[b, i]; y[b, o:1] = max[i](tangent[b, i])",
        [1, -3, 2, 0.5],
        [9],
        [0, -6, 0, 0],
    ),
    "a stage called winner": Hard(
        "winner[b, i] = x[b, i]*x[b, i]; y[b, i] = max[p:2](winner[b, i + p])",
        [1, -3, 2, 0.5],
        [9, 9, 4],
        [0, -12, 4, 0],
    ),
    "a stage called padded": Hard(
        "padded[b, i] = x[b, i]*x[b, i]; y[b, i:4] = sum[p:3](pad(padded, 0)[b, i + p - 1])",
        [1, -3, 2, 0.5],
        [10, 14, 13.25, 4.25],
        [4, -18, 12, 2],
    ),
    "abs keeps NaN": Hard("y[b, i] = abs(x[b, i])", [nan, -1], [nan, 1]),
    "a square root that is clipped": Hard("y[b, i] = sqrt(max(x[b, i], 0))", [4, -1], [2, 0], [0.25, 0]),
    "generalised mean": Hard(
        "y[b] = mean[i](max(x[b, i], 0.001)**p[])**(1/p[])", [3, 4], [(25 / 2) ** 0.5], None, {"p": 2}
    ),
}


@dataclass(frozen=True)
class Derived:
    """The programs of one case: the value, the pullback and the pushforward along x."""

    value: Program
    pullback: Program
    pushforward: Program

    @property
    def all(self) -> tuple[Program, ...]:
        return self.value, self.pullback, self.pushforward


def derived(case: Hard) -> Derived:
    initial = {name: Constant(value) for name, value in case.parameters.items()}
    layer = Formula(case.formula.replace("; ", "\n"), parameters=initial)
    forward = layer_program(layer, (len(case.x),))
    pulled, _ = vjp(forward, "y", ("x", *case.parameters), seed="input")
    pushed, _ = jvp(forward, ("x",), ("y",))
    programs = Derived(
        stabilise(forward, strict=True)[0],
        *(simplify(program, strict=True)[0] for program in (pulled, pushed)),
    )
    for program in programs.all:
        verify(program)
    return programs


def given(case: Hard, program: Program, direction: np.ndarray) -> dict[str, np.ndarray]:
    x = np.array([case.x])
    values = {name: np.full(program.shape(name), value) for name, value in case.parameters.items()}
    offered = {
        "x": x,
        "y.cotangent": np.ones((1, len(case.y))) if len(program.shape("y")) > 1 else np.ones(1),
        "x.tangent": direction[None],
        **values,
    }
    return {tensor.name: offered[tensor.name] for tensor in program.inputs if tensor.name in offered}


def judge(name: str, run_program) -> None:
    """Compare what `run_program(number, inputs)` gives for the value, the pullback and the pushforward."""
    case, programs = HARD[name], derived(HARD[name])
    direction = np.linspace(0.5, 1.5, len(case.x))
    results = [
        run_program(number, program, given(case, program, direction))
        for number, program in enumerate(programs.all)
    ]
    tolerance = {"rtol": 1e-6, "atol": 1e-12}
    np.testing.assert_allclose(np.ravel(results[0]["y"]), case.y, **tolerance)
    if case.slope is not None:
        np.testing.assert_allclose(results[1]["x.cotangent"], [case.slope], **tolerance)
        along = np.dot(case.slope, direction)
        np.testing.assert_allclose(np.sum(results[2]["y.tangent"]), along, **tolerance)
    for parameter, right in case.slopes.items():
        np.testing.assert_allclose(results[1][f"{parameter}.cotangent"], right, **tolerance)


@pytest.mark.parametrize("name", [name for name, case in HARD.items() if case.dtype == "float64"])
def test_in_the_interpreter(name: str) -> None:
    judge(name, lambda _number, program, inputs: run(program, inputs, batch=1))


@pytest.fixture(scope="module", params=["float32", pytest.param("float64", marks=pytest.mark.long)])
def compiled(request) -> CompiledPrograms:
    """Every program of every case in one module."""
    machine = TARGETS["scalar"]
    programs = [lowered(p, machine, request.param) for case in HARD.values() for p in derived(case).all]
    return compile_programs(programs, Settings(machine, request.param, 8), extra_flags=("-O0",))


@pytest.mark.parametrize("name", HARD)
def test_compiled(name: str, compiled: CompiledPrograms) -> None:
    first = 3 * list(HARD).index(name)
    judge(name, lambda number, _program, inputs: compiled.run(first + number, inputs, batch=1))
