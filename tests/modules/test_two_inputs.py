"""Two inputs are one row more: a module whose programs and signature have a second input.

No model file can say so; the lowered model is changed here, between the frontend and everything behind it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler import module_source
from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel
from compiler.ir.affine.expression import axis
from compiler.ir.module.signature import BYTES_AS_SHARES, Row, Signature
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Program,
    Tensor,
    make_term,
    read_symbol,
)
from compiler.ir.tensor.rename import rename_tensors
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input, Softmax
from compiler.language.losses import CrossEntropy
from compiler.language.optimizers import SGD
from compiler.modes import MODES
from compiler.toolchain.build import compile_shared, extension_suffix, find_toolchain, translate
from tests.machines import TARGETS
from tests.workshop import import_module

TARGET = TARGETS["x86-64-v3"]
SIZE = 4


def described() -> Model:
    return Sequential([Input(SIZE), Dense(3), Softmax()], loss=CrossEntropy(), optimizer=SGD(0.1))


def with_second(program: Program) -> Program:
    """The program of input·second where the other one reads its input."""
    axes, here = (Axis("b", None), Axis("i", SIZE)), (axis("b"), axis("i"))
    symbols = read_symbol(0), read_symbol(1)
    reads = [(s, Access(name, here)) for s, name in zip(symbols, ("input", "second"), strict=True)]
    product = make_term(axes, here, symbols[0] * symbols[1], reads)
    mixed = Definition("mixed", (None, SIZE), "sum", (product,), origin="mixed")
    renamed = [
        replace(d, terms=tuple(rename_tensors(term, {"input": "mixed"}) for term in d.terms))
        for d in program.definitions
    ]
    inputs = (*program.inputs, Tensor("second", (None, SIZE), "input"))
    return Program(inputs, (mixed, *renamed), program.outputs)


def two_inputs(model: Model) -> LoweredModel:
    lowered = lower(model)
    rows = [replace(row, argument="x1") if row.use == "input" else row for row in lowered.signature.rows]
    second = Row("second", "input", (None, SIZE), scaling=BYTES_AS_SHARES, argument="x2")
    programs = {name: with_second(getattr(lowered, name)) for name in ("training", "inference", "predict")}
    return replace(lowered, signature=Signature((rows[0], second, *rows[1:])), **programs)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_source, "lower", two_inputs)
        source = module_source.compile_to_source(described(), TARGET, "float64", "digest", modes=MODES)
    path = tmp_path_factory.mktemp("two") / "model.pyx"
    path.write_text(source.text)
    shared: Path = path.with_name(f"model{extension_suffix()}")
    compile_shared(translate(path), shared, find_toolchain(), TARGET.flags, ("-O1",))
    return import_module(shared)


def batch(count: int = 37) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, SIZE)), rng.normal(size=(count, SIZE)), rng.integers(3, size=count)


def test_gradients_by_both(module: ModuleType) -> None:
    net, (one, two, y) = module.Network(seed=1), batch()
    wrt = (*net.parameters, "input", "second")
    program = vjp(two_inputs(described()).training, "loss", wrt)[0]
    expected = run(program, {"input": one, "second": two, "label": y, **net.parameters})
    loss, gradients = net.value_and_grad(one, two, y, inputs=True)
    assert loss == pytest.approx(float(expected["loss"]))
    assert list(gradients) == list(wrt)
    for name in wrt:
        assert gradients[name] == pytest.approx(expected[f"{name}.cotangent"], abs=1e-12), name
    plain = net.value_and_grad(one, two, y)
    assert plain[0] == loss and list(plain[1]) == list(net.parameters)


def test_tangents_along_both(module: ModuleType) -> None:
    net, (one, two, y) = module.Network(seed=1), batch()
    rng = np.random.default_rng(1)
    tangents = {name: rng.normal(size=(37, SIZE)) for name in ("input", "second")}
    _, gradients = net.value_and_grad(one, two, y, inputs=True)
    for chosen in (tangents, {"second": tangents["second"]}, {"input": tangents["input"]}):
        slope = net.jvp(one, two, y, chosen)[1]
        assert slope == pytest.approx(sum(float((gradients[n] * t).sum()) for n, t in chosen.items()))
    step = 1e-5
    above = net.value_and_grad(one, two + step * tangents["second"], y, inputs=True)[1]
    below = net.value_and_grad(one, two - step * tangents["second"], y, inputs=True)[1]
    products = net.hvp(one, two, y, {"second": tangents["second"]})
    assert list(products) == list(gradients)
    for name, product in products.items():
        assert product == pytest.approx((above[name] - below[name]) / (2 * step), abs=1e-8), name


def test_steps_rows_and_bytes(module: ModuleType) -> None:
    net, (one, two, y) = module.Network(seed=1), batch()
    rows = np.arange(0, 37, 3)
    loss, outputs = net.evaluate(one[rows], two[rows], y[rows])
    assert np.array_equal(outputs, net.predict(one[rows], two[rows]))
    assert net.train_step(one, two, y, rows) == pytest.approx(loss)
    losses, _ = net.per_example_gradients(one, two, y)
    assert losses.mean() == pytest.approx(net.value_and_grad(one, two, y)[0])
    pixels = (np.abs(two) * 50).astype(np.uint8)
    assert np.array_equal(net.predict(one, pixels), net.predict(one, pixels * (1 / 255)))


def test_the_door_says_which(module: ModuleType) -> None:
    net, (one, two, y) = module.Network(seed=1), batch()
    with pytest.raises(ValueError, match=r"x2: expected a batch of 37, found shape \(36, 4\)"):
        net.predict(one, two[:-1])
    with pytest.raises(ValueError, match=r"x2: expected shape \(batch, 4\)"):
        net.predict(one, two[:, :3])
    with pytest.raises(ValueError, match="x1 and x2: expected as many of each"):
        net.train_step(one, two[:-1], y, np.arange(3))
    assert module.SECOND_SHAPE == module.INPUT_SHAPE == (SIZE,)
