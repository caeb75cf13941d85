"""Derivatives that are values of a model, and what training makes of them, against JAX's."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.verify import verify
from compiler.language.derivative import Derivative
from compiler.language.description import Model
from compiler.language.layers import Dense, Formula, Input
from compiler.language.losses import FormulaLoss
from compiler.language.optimizers import SGD

LAW = "loss[] = mean[b]((ut[b, 0] - 0.1 * uxx[b, 0] + u[b, 0] * ux[b, 0])**2)"


def burgers() -> Model:
    """The loss is of the network's own first and second derivatives by its input."""
    point = Input(2)
    u = Dense(1)(Dense(4, activation="tanh")(Dense(4, activation="tanh")(point)))
    by_time, by_place = Derivative(1)(u, point), Derivative(0)(u, point)
    law = FormulaLoss(LAW, inputs=("ut", "ux", "uxx", "u"))
    values = by_time, by_place, Derivative(0)(by_place, point), u
    outputs = {"u": u, "slope": by_place}
    return Model(point, outputs, losses={"law": law(*values)}, optimizer=SGD(0.1))


def test_a_loss_on_second_derivatives(jax) -> None:
    model = lower(burgers())
    rng = np.random.default_rng(0)
    given = {
        t.name: rng.normal(size=[n or 3 for n in t.shape])
        for t in model.training.inputs
        if t.kind in ("input", "parameter")
    }
    parameters = {p.name: given[p.name] for p in model.parameters}

    def network(p, x):
        for k in (1, 2, 3):
            x = x @ p[f"dense_{k}.kernel"] + p[f"dense_{k}.bias"]
            x = jax.numpy.tanh(x) if k < 3 else x
        return x[0]

    def loss(p):
        def missed(x):
            slope = jax.grad(network, 1)(p, x)
            curved = jax.grad(lambda x: jax.grad(network, 1)(p, x)[0])(x)[0]
            return (slope[1] - 0.1 * curved + network(p, x) * slope[0]) ** 2

        return jax.vmap(missed)(given["input"]).mean()

    value, expected = jax.jit(jax.value_and_grad(loss))(parameters)
    program, _ = vjp(model.training, model.total, tuple(parameters))
    verify(program)
    found = run(program, given)
    assert float(found[model.total]) == pytest.approx(float(value), rel=1e-12)
    for name, cotangent in zip(parameters, program.outputs[len(model.values) :], strict=True):
        np.testing.assert_allclose(found[cotangent], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
    slopes = jax.vmap(lambda x: jax.grad(network, 1)(parameters, x)[0])(given["input"])
    predicted = run(model.predict, {n: given[n] for n in ("input", *parameters)})
    np.testing.assert_allclose(predicted[model.predict.outputs[1]][:, 0], slopes, rtol=1e-12)


def test_by_an_element_of_a_value_of_any_shape() -> None:
    x = Input(2, 3)
    inner = Formula("y[b, i] = sum[j](x[b, i, j]**2)")(x)
    outer = Formula("y[b, k] = prod[i](x[b, i]) + k", sizes={"k": 2})(inner)
    outputs = {
        "by_input": Derivative((1, 2))(outer, x),
        "by_inner": Derivative(0)(outer, inner),
        "none": Derivative(1)(x, inner),
    }
    zero = FormulaLoss("loss[] = mean[b](sum[i](x[b, i]))", inputs=("x",))(inner)
    model = lower(Model(x, outputs, losses={"zero": zero}, optimizer=SGD(0.1)))
    given = np.random.default_rng(1).normal(size=(4, 2, 3))
    found = [run(model.predict, {"input": given})[name] for name in model.predict.outputs]
    squares = (given**2).sum(2)
    np.testing.assert_allclose(found[0], np.repeat((2 * given[:, 1, 2] * squares[:, 0])[:, None], 2, 1))
    np.testing.assert_allclose(found[1], np.repeat(squares[:, 1:], 2, 1))
    np.testing.assert_array_equal(found[2], np.zeros((4, 2, 3)))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (2, "there is no such element"),
        ((0, 0), "there is no such element"),
        (-1, "wrong index"),
        (0.5, "wrong index"),
    ],
)
def test_there_is_no_such_element(index, message: str) -> None:
    x = Input(2)
    u = Dense(1)(x)
    loss = FormulaLoss("loss[] = mean[b](u[b, 0])", inputs=("u",))
    with pytest.raises(ModelError, match=message):
        Model(x, u, losses={"u": loss(Derivative(index)(u, x))}, optimizer=SGD(0.1)).check()
