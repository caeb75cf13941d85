"""A step of two models that take turns, as of a GAN: the gradient is that of the two as one, by JAX."""

from __future__ import annotations

import numpy as np

from compiler.derive.vjp import vjp
from compiler.driver import Driver
from compiler.entry_points import entry_points
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input
from compiler.language.losses import BinaryCrossEntropy, FormulaLoss
from compiler.language.optimizers import Adam
from compiler.pricing import costs_nothing

BATCH = 3


def generator() -> Model:
    """Points from noise. Its own loss takes no part."""
    noise = Input(4)
    point = Dense(2)(Dense(6, activation="relu")(noise))
    spread = FormulaLoss("loss[] = mean[b](sum[i](point[b, i]**2))", inputs=("point",))
    return Model(noise, point, losses={"spread": spread(point)}, optimizer=Adam(1e-3))


def discriminator() -> Model:
    layers = [Input(2), Dense(6, activation="relu"), Dense(1, activation="sigmoid")]
    return Sequential(layers, loss=BinaryCrossEntropy(), optimizer=Adam(1e-3))


def test_the_generator_learns_from_the_cotangent_of_its_output(jax) -> None:
    maker, critic = lower(generator()), lower(discriminator())
    pull = next(e for e in entry_points(maker, Driver(costs_nothing), ("pullback",)))
    judge, _ = vjp(critic.training, critic.total, critic.differentiable)
    rng = np.random.default_rng(0)
    made = {p.name: rng.normal(size=p.shape) for p in maker.parameters}
    known = {p.name: rng.normal(size=p.shape) for p in critic.parameters}
    noise, real = rng.normal(size=(BATCH, 4)), np.ones((BATCH, 1))
    (output,) = maker.predict.outputs
    fake = run(maker.predict, {"input": noise, **made})[output]
    cotangent = run(judge, {"input": fake, "label": real, **known})[judge.outputs[-1]]
    given = {t.name: cotangent for t in pull.program.inputs if t.kind == "cotangent"}
    found = run(pull.program, {"input": noise, **made, **given})

    def layers(p, x):
        hidden = jax.nn.relu(x @ p["dense_1.kernel"] + p["dense_1.bias"])
        return hidden @ p["dense_2.kernel"] + p["dense_2.bias"]

    def judged(p):
        return -jax.numpy.log(jax.nn.sigmoid(layers(known, layers(p, noise)))).mean()

    expected = jax.grad(judged)(made)
    assert list(pull.results("gradient").values()) == list(made)
    for result, of in pull.results("gradient").items():
        np.testing.assert_allclose(found[result], expected[of], rtol=1e-9, atol=1e-13, err_msg=of)
