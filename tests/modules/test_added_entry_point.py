"""To add an entry point takes one place: a row of the table. Here two rows, in a copy of it.

Nothing else knows of them: not a pass, a plan, a template, nor the network's class.
"""

from __future__ import annotations

import ast
from types import ModuleType

import numpy as np
import pytest
import sympy

from compiler.driver import Driver
from compiler.emit.stub import print_stub
from compiler.entry_points import ALWAYS, ENTRY_POINTS, Recipe
from compiler.facts import Facts
from compiler.frontend.lowered import LoweredModel
from compiler.ir.affine.expression import axis
from compiler.ir.module.entry_point import EntryPoint, Offer, Role, given_roles
from compiler.ir.tensor.program import Access, Definition, Program, element_axes, make_term, read_symbol
from compiler.language.description import Sequential
from compiler.language.layers import Dense, Input, ReLU, Softmax
from compiler.language.losses import CrossEntropy
from compiler.language.optimizers import SGD
from compiler.module_source import ModuleSource, compile_to_source
from tests.machines import TARGETS
from tests.workshop import module_of

TARGET = TARGETS["scalar"]


def hidden(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    """What the first dense layer makes of each example."""
    program = model.predict.replace(outputs=("relu_1",))
    entry = EntryPoint(name, program, given_roles(program) | {"relu_1": Role("output", "relu_1")})
    return entry.with_program(driver.through(("forward", "whole", "stable", "lowering"), name, program))


def gradient_norm(name: str, model: LoweredModel, driver: Driver) -> EntryPoint:
    """The loss, and the sum of the squares of its gradient by every parameter."""
    parameters = tuple(p.name for p in model.parameters)
    loss = model.total
    forward = driver.through(("forward",), name, model.training.replace(outputs=(loss,)))
    program = driver.one("vjp", name, forward, Facts(wrt=parameters, of=(loss,)))
    squares = Definition("squares", (), "sum", tuple(squared(n, program) for n in program.outputs[1:]))
    program = Program(program.inputs, (*program.definitions, squares), (loss, "squares"))
    roles = given_roles(program) | {loss: Role("value", loss), "squares": Role("value", "squares")}
    entry = EntryPoint(name, program, roles)
    return entry.with_program(driver.through(("whole", "derived", "stable", "lowering"), name, program))


def squared(name: str, program: Program):
    axes, symbol = element_axes(program.shape(name)), read_symbol(0)
    access = Access(name, tuple(axis(a.name) for a in axes))
    return make_term(axes, (), sympy.Pow(symbol, 2), ((symbol, access),))


ADDED = (
    Recipe("hidden", ALWAYS, hidden, Offer("hidden", "What relu_1 is.", ("output",))),
    Recipe(
        "gradient_norm",
        ALWAYS,
        gradient_norm,
        Offer("gradient_norm", "(loss, squared norm of its gradient).", ("value",), rows=True),
    ),
)


@pytest.fixture(scope="module")
def source() -> ModuleSource:
    layers = [Input(6), Dense(5), ReLU(), Dense(3), Softmax()]
    model = Sequential(layers, loss=CrossEntropy(), optimizer=SGD(0.1))
    return compile_to_source(model, TARGET, "float32", "digest", recipes=(*ENTRY_POINTS, *ADDED))


@pytest.fixture(scope="module")
def module(source: ModuleSource, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return module_of(source, tmp_path_factory.mktemp("added"))


def test_they_are_methods_of_the_network(module: ModuleType) -> None:
    net = module.Network(seed=3)
    x = np.random.default_rng(0).random((37, 6), np.float32)
    y = np.arange(37) % 3
    kernel, bias = net.parameters["dense_1.kernel"], net.parameters["dense_1.bias"]
    assert net.hidden(x) == pytest.approx(np.maximum(x @ kernel + bias, 0), abs=1e-6)
    loss, gradients = net.value_and_grad(x, y)
    norm = sum(float((g.astype(float) ** 2).sum()) for g in gradients.values())
    assert net.gradient_norm(x, y) == pytest.approx((loss, norm), rel=1e-5)
    rows = np.arange(0, 37, 4)
    assert net.gradient_norm(x, y, rows) == pytest.approx(net.gradient_norm(x[rows], y[rows]), rel=1e-6)
    with pytest.raises(ValueError, match="x: expected shape"):
        net.hidden(x[0])


def test_the_stub_knows_them(source: ModuleSource, module: ModuleType) -> None:
    stub = ast.parse(print_stub(source.module))
    (network,) = (node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "Network")
    functions = [node for node in network.body if isinstance(node, ast.FunctionDef)]
    methods = {node.name: ast.unparse(node.returns) for node in functions}
    assert methods["hidden"] == "NDArray[np.float32]"
    assert methods["gradient_norm"] == "tuple[float, float]"
    assert {name for name in methods if not hasattr(module.Network, name)} == set()


def test_nothing_else_has_changed(source: ModuleSource) -> None:
    """Of the module without them: every kernel and method is there; only sizes of memory differ."""
    layers = [Input(6), Dense(5), ReLU(), Dense(3), Softmax()]
    model = Sequential(layers, loss=CrossEntropy(), optimizer=SGD(0.1))
    plain = compile_to_source(model, TARGET, "float32", "digest").text
    missing = set(plain.splitlines()) - set(source.text.splitlines())
    assert {line.split("=")[0].strip() for line in missing} <= {
        *("TILE_BYTES", "LANE_ELEMENTS", "SHARED_BYTES", "CROSSING_ROW", "SITES", "self._lanes")
    }
