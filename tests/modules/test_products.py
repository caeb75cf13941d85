"""Vector-Jacobian, Gauss-Newton and Fisher products against JAX: programs, run by the interpreter."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from compiler.driver import Driver
from compiler.entry_points import entry_points
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.layers import BatchNormalization, Dense, Dropout, Input, Softmax, Tanh
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.language.regularizers import L2
from compiler.modes import MODES
from compiler.offers import ORDER
from compiler.pricing import costs_nothing
from compiler.tools.check.in_jax import in_jax

BATCH = 5
NEW = ("pullback", "gauss_newton", "fisher")


def classifier() -> Model:
    """With dropout, and a penalty that only the loss has."""
    layers = [Input(3), Dense(4, kernel_regularizer=L2(0.1)), Tanh(), Dropout(0.3), Dense(3)]
    return Sequential(layers, loss=CrossEntropy(from_logits=True), optimizer=SGD(0.1))


def two_outputs() -> Model:
    x = Input(3)
    hidden = Tanh()(Dense(4)(x))
    outputs = {"number": Dense(2)(hidden), "class": Softmax()(Dense(3)(hidden))}
    losses = {"number": MeanSquaredError(), "class": CrossEntropy()}
    return Model(x, outputs, losses=losses, loss_weights={"class": 0.5}, optimizer=SGD(0.1))


MODELS = {"logits": classifier, "two": two_outputs}


class Products:
    """What the entry points of a model give at a point, and what JAX makes of its training program."""

    def __init__(self, model: Model, jax: ModuleType) -> None:
        self.lowered, self.jax = lower(model), jax
        made = entry_points(self.lowered, Driver(costs_nothing), NEW)
        self.entries = {entry.name: entry for entry in made}
        rng = np.random.default_rng(3)
        self.given = {}
        for tensor in self.lowered.training.inputs:
            shape = tuple(BATCH if extent is None else extent for extent in tensor.shape)
            if tensor.kind in ("input", "label", "parameter"):
                real = tensor.dtype == "real"
                self.given[tensor.name] = rng.normal(size=shape) if real else rng.integers(3, size=shape)
        self.parameters = {p.name: self.given[p.name] for p in self.lowered.parameters}
        self.directions = {name: rng.normal(size=a.shape) for name, a in self.parameters.items()}
        self.outputs = tuple(n for n, r in self.lowered.roles.items() if r.use == "output")
        found = run(self.lowered.training, self.given)
        self.cotangents = {name: rng.normal(size=found[name].shape) for name in self.outputs}

    def gradients(self, name: str) -> dict[str, np.ndarray]:
        entry = self.entries[name]
        along = {"tangent": self.directions, "cotangent": self.cotangents}
        given = {
            tensor.name: along[tensor.kind][tensor.of]
            for tensor in entry.program.inputs
            if tensor.kind in along
        }
        known = {t.name for t in entry.program.inputs}
        found = run(entry.program, {n: a for n, a in self.given.items() if n in known} | given)
        return {of: found[result] for result, of in entry.results("gradient").items()}

    def of_parameters(self, *names: str, inputs: bool = False):
        """Tensors of the training program, as a function of parameters, and of the input."""

        def function(points):
            values = in_jax(self.jax, self.lowered.training, self.given | points, batch=BATCH)
            return tuple(values[name] for name in names)

        points = self.parameters | ({"input": self.given["input"]} if inputs else {})
        return function, points

    def of_outputs(self, outputs: dict):
        """The loss without penalties, as a function of the outputs alone."""
        jnp, given, total = self.jax.numpy, self.given, 0.0
        for name, value in outputs.items():
            label = given.get("label", given.get("loss.class.label"))
            if name == "dense_2" and "loss.number.label" in given:
                total += ((value - given["loss.number.label"]) ** 2).mean()
                continue
            share = self.jax.nn.log_softmax(value) if name.startswith("dense") else jnp.log(value)
            weight = 0.5 if "loss.class.label" in given else 1.0
            total -= weight * share[np.arange(BATCH), label].mean()
        return total


@pytest.fixture(params=MODELS)
def products(request: pytest.FixtureRequest, jax: ModuleType) -> Products:
    return Products(MODELS[request.param](), jax)


def same(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-11, err_msg=name)


def test_a_given_cotangent(products: Products) -> None:
    function, points = products.of_parameters(*products.outputs, inputs=True)
    _, pull = products.jax.vjp(function, points)
    (expected,) = pull(tuple(products.cotangents[name] for name in products.outputs))
    same(products.gradients("input_pullback"), {name: expected[name] for name in points})
    same(products.gradients("pullback"), {name: expected[name] for name in products.parameters})
    entry = products.entries["pullback"]
    assert entry.given("label") == {} and tuple(entry.results("output")) == products.outputs


def test_gauss_newton(products: Products) -> None:
    jax = products.jax
    function, points = products.of_parameters(*products.outputs)

    def loss(values):
        return products.of_outputs(dict(zip(products.outputs, values, strict=True)))

    values, tangents = jax.jvp(function, (points,), (products.directions,))
    curved = jax.jvp(jax.grad(loss), (values,), (tangents,))[1]
    (expected,) = jax.vjp(function, points)[1](curved)
    same(products.gradients("gauss_newton"), {name: expected[name] for name in points})


@pytest.mark.parametrize("name", ["logits", "two"])
def test_fisher(name: str, jax: ModuleType) -> None:
    """The mean of g gᵀ by the gradients of each example."""
    products = Products(MODELS[name](), jax)
    per_example = entry_points(products.lowered, Driver(costs_nothing), ("per_example",))[0]
    known = {t.name for t in per_example.program.inputs}
    found = run(per_example.program, {n: a for n, a in products.given.items() if n in known})
    each = {of: found[result] for result, of in per_example.results("example_gradient").items()}
    slopes = sum(np.tensordot(each[n], products.directions[n], products.directions[n].ndim) for n in each)
    expected = {n: np.einsum("b,b...->...", slopes, each[n]) / BATCH for n in each}
    same(products.gradients("fisher"), expected)


def test_at_probabilities_gauss_newton_is_the_fisher_matrix(jax: ModuleType) -> None:
    """-log p is curved by 1/p² along p: without the penalty the two are one."""
    model = Sequential([Input(3), Dense(3), Softmax()], loss=CrossEntropy(), optimizer=SGD(0.1))
    products = Products(model, jax)
    same(products.gradients("gauss_newton"), products.gradients("fisher"))


def test_what_has_no_product() -> None:
    layers = [Input(3), BatchNormalization(), Dense(2)]
    normal = lower(Sequential(layers, loss=MeanSquaredError(), optimizer=SGD()))
    with pytest.raises(ModelError, match="examples of a batch interact"):
        entry_points(normal, Driver(costs_nothing), ("fisher",))
    x = Input(3)
    first = Dense(2)(x)
    outputs = {"first": first, "second": Tanh()(first)}
    losses = {"first": MeanSquaredError(), "second": MeanSquaredError()}
    nested = lower(Model(x, outputs, losses=losses, optimizer=SGD()))
    with pytest.raises(ModelError, match=r"no variables of their own[\s\S]*tanh_1, which is made of dense_1"):
        entry_points(nested, Driver(costs_nothing), ("gauss_newton",))


def test_modes_and_methods_have_one_order() -> None:
    assert {*NEW} < {*MODES} and {"vjp", "gauss_newton", "fisher"} < {offer.method for offer in ORDER}
