"""Deep, wide and long programs: nothing recurses over their depth, and the work grows as they do.

Work is counted in calls of functions of the compiler, not in seconds: twice the layers may take a little more
than twice the calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from compiler import ModelError
from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Tensor, move_term
from compiler.ir.tensor.prune import in_order
from compiler.language.formula import Operand, compile_formula
from compiler.language.formula.parser import parse_formula
from compiler.machine.registry import all_targets
from compiler.module_source import compile_to_source
from compiler.simplify.memo import Memo
from compiler.simplify.simplify import simplify
from compiler.simplify.sums import look_up

COMPILER = str(Path(compile_to_source.__code__.co_filename).parent)
MODELS = {
    "dense": "for _ in range({n}):\n    h = Dense(3, activation='tanh')(h)",
    "residual": "for _ in range({n}):\n    h = h + Dense(3, activation='relu')(h)",
    "concatenation": "for _ in range({n}):\n    h = Concatenate()([h, Dense(2)(h)])",
    "doubling": "for _ in range({n} // 4):\n    h = Concatenate()([h, h])",
}


def model(folder: Path, body: str, n: int, tail: str = "Dense(2)(h)"):
    path = folder / "model.py"
    path.write_text(
        f"from compiler import *\ni = Input(3)\nh = Dense(3)(i)\n{body.format(n=n)}\n"
        f"model = Model(i, {tail}, loss=MeanSquaredError(), optimizer=SGD(0.1))\n"
    )
    return load_model(path)


def calls_of(work: Callable[[], object], within: str = COMPILER) -> int:
    """How many functions are called, of the compiler or of another folder."""
    number = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal number
        number += event == "call" and frame.f_code.co_filename.startswith(within)

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return number


@pytest.mark.parametrize("name", MODELS)
def test_twice_the_model_is_twice_the_work(name: str, tmp_path: Path) -> None:
    def derived(n: int) -> Callable[[], object]:
        lowered = lower(model(tmp_path, MODELS[name], n))
        wrt = tuple(parameter.name for parameter in lowered.parameters)
        return lambda: simplify(vjp(lowered.training, "loss", wrt)[0])

    derived(4)()  # what is found out once and kept
    few, many = calls_of(derived(8)), calls_of(derived(16))
    assert many < 2.4 * few, f"{few:,} calls for 8 layers, {many:,} for 16"


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_twice_the_model_is_twice_the_work_of_compiling(name: str, tmp_path: Path) -> None:
    def compiled(n: int) -> Callable[[], object]:
        described = model(tmp_path, MODELS[name], n)
        return lambda: compile_to_source(described, all_targets()["x86-64-v3"], "float32", "digest")

    compiled(4)()
    few, many = calls_of(compiled(16)), calls_of(compiled(32))
    assert many < 2.4 * few, f"{few:,} calls for 16 layers, {many:,} for 32"


def chain(n: int) -> Program:
    """`t1 = t0`, `t2 = t1`, …: as deep as a program can be."""
    here = (axis("b"),)
    definitions = [
        Definition(f"t{k + 1}", (None,), "sum", (move_term((Axis("b", None),), here, Access(f"t{k}", here)),))
        for k in range(n)
    ]
    return Program((Tensor("t0", (None,), "input"),), tuple(definitions), (f"t{n}",))


def test_a_chain_of_thousands_of_definitions() -> None:
    """180 layers in a row ended in a RecursionError: signs and orders were found by recursion."""
    n = 1000
    program = chain(n)
    assert in_order(reversed(program.definitions)) == program.definitions
    gradient, _ = vjp(program, f"t{n}", ("t0",), seed="input")
    pushed, _ = jvp(program, ("t0",), (f"t{n}",))
    ones = {"t0": np.ones(2)}
    assert run(pushed, ones | {"t0.tangent": np.ones(2)})[f"t{n}.tangent"].tolist() == [1, 1]
    assert run(gradient, ones | {f"t{n}.cotangent": np.ones(2)})["t0.cotangent"].tolist() == [1, 1]
    short, _ = simplify(program)
    assert len(short.definitions) == 1


def test_hundreds_of_layers(tmp_path: Path) -> None:
    """As deep as its layers are many, and derived without recursion and in rounds that do not get more."""
    lowered = lower(model(tmp_path, MODELS["dense"], 200))
    program = lowered.training
    wrt = tuple(parameter.name for parameter in lowered.parameters)
    gradient, _ = simplify(vjp(program, "loss", wrt)[0])
    assert len(gradient.outputs) == 1 + len(wrt)


def test_doubled_tensors_are_no_sum_of_thousands(tmp_path: Path) -> None:
    """Fourteen concatenations of a tensor with itself: 16,384 summands, if they were put into one another."""
    lowered = lower(model(tmp_path, "for _ in range({n}):\n    h = Concatenate()([h, h])", 14))
    wrt = tuple(parameter.name for parameter in lowered.parameters)
    gradient, _ = simplify(vjp(lowered.training, "loss", wrt)[0])
    assert max(len(term.reads) for d in gradient.definitions for term in d.terms) < 100


def long_sum(n: int) -> Program:
    text = "y[b] = " + " + ".join(f"{k % 7 - 3}*x[b, {k}]" for k in range(n))
    operands = {"x": Operand("x", (None, n))}
    compiled = compile_formula(text, operands=operands, results={"y": Operand("y", (None,))})
    return Program((Tensor("x", (None, n), "input"),), compiled.definitions, ("y",))


def test_a_sum_of_five_thousand_terms() -> None:
    n = 5000
    program = long_sum(n)
    assert all(len(term.reads) <= 64 for definition in program.definitions for term in definition.terms)
    x = np.arange(2 * n, dtype=float).reshape(2, n)
    weights = np.array([k % 7 - 3 for k in range(n)], dtype=float)
    np.testing.assert_allclose(run(program, {"x": x})["y"], x @ weights, rtol=1e-12)


def test_the_gradient_of_a_long_sum() -> None:
    """A term for each summand, and never all of them in one body."""
    n = 300
    gradient, _ = vjp(long_sum(n), "y", ("x",), seed="input")
    given = {"x": np.ones((2, n)), "y.cotangent": np.ones(2)}
    weights = [k % 7 - 3 for k in range(n)]
    np.testing.assert_allclose(run(gradient, given)["x.cotangent"], [weights, weights])


def test_a_chain_of_differences_keeps_its_signs() -> None:
    text = "y[b] = x[b, 0]" + "".join(f" {'+-'[k % 2]} x[b, {k}]" for k in range(1, 80))
    operands = {"x": Operand("x", (None, 80))}
    compiled = compile_formula(text, operands=operands, results={"y": Operand("y", (None,))})
    program = Program((Tensor("x", (None, 80), "input"),), compiled.definitions, ("y",))
    x = np.random.default_rng(0).normal(size=(3, 80))
    signs = np.array([-1.0 if k % 2 else 1.0 for k in range(80)])
    np.testing.assert_allclose(run(program, {"x": x})["y"], x @ signs, rtol=1e-12)


@pytest.mark.parametrize("text", ["y[b] = " + "(" * 5000 + "1" + ")" * 5000, "y[b] = " + "-" * 100_000 + "1"])
def test_what_is_nested_too_deeply_is_said(text: str) -> None:
    with pytest.raises(ModelError, match=r"nested|parentheses"):
        parse_formula(text)


@pytest.mark.parametrize("units", [10**9, 10**19])
def test_a_model_larger_than_the_memory(units: int, tmp_path: Path) -> None:
    huge = model(tmp_path, "", 0, f"Dense({units})(h)")
    (problem,) = huge.memory_problems(4, 16 * 2**30)
    assert problem.message.startswith("training needs at least") and "there are 16.0 GiB" in problem.message
    assert problem.layer == "dense_2" and problem.span is not None
    assert not huge.memory_problems(4, 10**30)


def test_the_memory_that_is_counted(tmp_path: Path) -> None:
    """Dense(3) twice: 24 parameters with their gradients and no slots, and three results each."""
    small = model(tmp_path, "", 0, "Dense(3)(h)")
    assert not small.memory_problems(4, 4 * (2 * 24 + 6))
    assert small.memory_problems(4, 4 * (2 * 24 + 6) - 1)


def test_a_sum_of_many_functions_is_looked_up_in_linear_work(tmp_path: Path) -> None:
    """What no sum of the program can give was put, n long, into each of n summands: 50 s for 200 sines."""

    def looked_up(n: int) -> Callable[[], object]:
        waves = "' + '.join(f'sin({{k + 1}}.5*x[b, i])' for k in range({n}))"
        body = f"h = Formula('y[b, i] = w[i]*(' + {waves} + ')', parameters={{{{'w': Ones()}}}})(h)"
        lowered = lower(model(tmp_path, body, n))
        gradient, _ = vjp(lowered.training, "loss", tuple(p.name for p in lowered.parameters))
        return lambda: look_up(gradient, Memo())

    looked_up(4)()
    few, many = (calls_of(looked_up(n), within="/") for n in (32, 64))
    assert many < 2.6 * few, f"{few:,} calls for 32 sines, {many:,} for 64"
