"""Models of several inputs and losses, written again in JAX, which differentiates them itself.

What is compared are the programs that the rules derive, run in float64 in the interpreter; that modules are
these programs is shown elsewhere, for every model (`tests/modules/test_whole_models.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import concrete_shape, run
from tests.derive.rungs import SMALLEST_SCALE
from tests.workshop import ROOT

jax = pytest.importorskip("jax")
BATCH = 2
TOLERANCE = 1e-9


@pytest.fixture(autouse=True)
def double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def dense(p: Mapping, name: str, x):
    return x @ p[f"{name}.kernel"] + p[f"{name}.bias"]


def reader(p: Mapping, image):
    """Two convolutions with a ReLU and a max pool each, as one row of numbers."""
    for name in ("conv2d_1", "conv2d_2"):
        dimensions = ("NHWC", "HWIO", "NHWC")
        image = jax.lax.conv_general_dilated(
            image, p[f"{name}.kernel"], (1, 1), "VALID", dimension_numbers=dimensions
        )
        image = jax.nn.relu(image + p[f"{name}.bias"])
        n, h, w, c = image.shape
        image = image[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
    return image.reshape(image.shape[0], -1)


def cross_entropy(likelihood, label):
    return -(label * jax.numpy.log(likelihood) + (1 - label) * jax.numpy.log(1 - likelihood)).mean()


def pairs(p: Mapping, given: Mapping) -> dict:
    both = jax.numpy.concatenate([reader(p, given["left"]), reader(p, given["right"])], axis=1)
    seen = jax.nn.relu(dense(p, "dense_1", both))
    total = jax.nn.log_softmax(dense(p, "dense_2", seen))
    larger = jax.nn.sigmoid(dense(p, "dense_3", seen))
    losses = {
        "total": -total[np.arange(BATCH), given["loss.total.label"]].mean(),
        "larger": cross_entropy(larger, given["loss.larger.label"]),
    }
    return {"loss": losses["total"] + 0.5 * losses["larger"], **losses}


def siamese(p: Mapping, given: Mapping) -> dict:
    def place(image):
        return dense(p, "dense_2", jax.nn.relu(dense(p, "dense_1", reader(p, image))))

    apart = ((place(given["left"]) - place(given["right"])) ** 2).sum(axis=1)
    d, label = jax.numpy.sqrt(apart + 1e-6), given["label"]
    loss = (label * jax.numpy.maximum(1 - d, 0) ** 2 + (1 - label) * d**2).mean()
    return {"loss": loss, "different": loss}


def vae(p: Mapping, given: Mapping) -> dict:
    image = given["image"]
    hidden = jax.nn.relu(dense(p, "dense_1", image.reshape(BATCH, -1)))
    mean, spread = dense(p, "mean", hidden), dense(p, "spread", hidden)
    one, other = (array for name, array in given.items() if name.startswith("formula_1.uniform"))
    noise = jax.numpy.sqrt(-2 * jax.numpy.log(1 - one)) * jax.numpy.cos(2 * np.pi * other)
    code = mean + jax.numpy.exp(spread / 2) * noise
    decoded = jax.nn.sigmoid(dense(p, "dense_3", jax.nn.relu(dense(p, "dense_2", code))))
    losses = {
        "surprise": cross_entropy(decoded.reshape(image.shape), image),
        "divergence": ((jax.numpy.exp(spread) + mean**2 - 1 - spread).sum(axis=1) / 2).mean(),
    }
    return {"loss": 784 * losses["surprise"] + losses["divergence"], **losses}


def sorting(p: Mapping, given: Mapping) -> dict:
    there = np.arange(12) < given["digits_lengths"][:, None]

    def normalised(name, x):
        centred = x - x.mean(-1, keepdims=True)
        scale = jax.numpy.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
        return p[f"{name}.gamma"] * centred / scale + p[f"{name}.beta"]

    def attention(name, x):
        query, key, value = (
            jax.numpy.einsum("bti,ink->bntk", x, p[f"{name}.{of}_kernel"]) + p[f"{name}.{of}_bias"][:, None]
            for of in ("query", "key", "value")
        )
        score = jax.numpy.where(there[:, None, None], query @ key.swapaxes(2, 3) / np.sqrt(8), -np.inf)
        mixed = jax.nn.softmax(score) @ value
        return jax.numpy.einsum("bntv,nvo->bto", mixed, p[f"{name}.output_kernel"]) + p[f"{name}.output_bias"]

    h = p["embedding_1.table"][given["digits"]] + p["positionembedding_1.table"]
    for k in (1, 2):
        h = h + attention(f"multiheadattention_{k}", normalised(f"layernormalization_{2 * k - 1}", h))
        wide = jax.nn.relu(dense(p, f"dense_{2 * k - 1}", normalised(f"layernormalization_{2 * k}", h)))
        h = h + dense(p, f"dense_{2 * k}", wide)
    chances = jax.nn.log_softmax(dense(p, "dense_5", normalised("layernormalization_5", h)))
    found = jax.numpy.take_along_axis(chances, given["label"][..., None], -1)[..., 0]
    loss = -jax.numpy.where(there, found, 0).sum() / there.sum()
    return {"loss": loss, "total": loss}


def heat(p: Mapping, given: Mapping) -> dict:
    np = jax.numpy

    def temperature(x):
        hidden = np.tanh(dense(p, "dense_2", np.tanh(dense(p, "dense_1", x))))
        return np.sin(np.pi * x[0]) + x[0] * (1 - x[0]) * x[1] * dense(p, "dense_3", hidden)[0]

    def missed(x):
        slope = jax.grad(temperature)
        return (slope(x)[1] - 0.1 * jax.grad(lambda x: slope(x)[0])(x)[0]) ** 2

    law = jax.vmap(missed)(given["input"]).mean()
    return {"loss": law, "law": law}


def normalized(p: Mapping, name: str, x):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jax.numpy.sqrt(variance + 1e-3) * p[f"{name}.gamma"] + p[f"{name}.beta"]


def language(p: Mapping, given: Mapping) -> dict:
    """One table at both ends."""
    np, name = jax.numpy, "multiheadattention_1"
    h = p["embedding_1.table"][given["input"]] + p["positionembedding_1.table"]
    x = normalized(p, "layernormalization_1", h)
    query, key, value = (
        np.einsum("bti,ink->btnk", x, p[f"{name}.{k}_kernel"]) + p[f"{name}.{k}_bias"]
        for k in ("query", "key", "value")
    )
    score = np.einsum("btnk,bsnk->bnts", query, key) / np.sqrt(query.shape[-1])
    seen = np.where(np.tril(np.ones(score.shape[-2:], bool)), score, -np.inf)
    mixed = np.einsum("bnts,bsnv->btnv", jax.nn.softmax(seen), value)
    h = h + np.einsum("btnv,nvo->bto", mixed, p[f"{name}.output_kernel"]) + p[f"{name}.output_bias"]
    x = normalized(p, "layernormalization_2", h)
    h = h + dense(p, "dense_2", jax.nn.gelu(dense(p, "dense_1", x), approximate=False))
    likelihood = jax.nn.log_softmax(normalized(p, "layernormalization_3", h) @ p["embedding_1.table"].T)
    picked = np.take_along_axis(likelihood, given["label"][..., None], axis=-1)
    return {"loss": -picked.mean()}


def batch(model: LoweredModel) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    given = {}
    for tensor in model.training.inputs:
        shape = concrete_shape(tensor.shape, BATCH)
        if tensor.kind in ("input", "label"):
            drawn = rng.integers(tensor.limit, size=shape) if tensor.dtype == "index" else rng.random(shape)
            given[tensor.name] = np.round(drawn) if tensor.kind == "label" else drawn
        elif tensor.kind == "parameter":
            given[tensor.name] = 0.1 * rng.standard_normal(shape)
    return given


ORDINARY = (siamese, sorting, heat)
WRITTEN = [*ORDINARY, *(pytest.param(model, marks=pytest.mark.long) for model in (pairs, vae, language))]


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.__name__)
def test_gradients(written) -> None:
    model = lower(load_model(ROOT / "models" / f"{written.__name__}.py"))
    wrt = (*(p.name for p in model.parameters), *model.differentiable)
    program, _ = vjp(model.training, model.total, wrt)
    random = tuple(t.name for t in program.inputs if t.kind == "random")
    given = batch(model)
    found = run(program.replace(outputs=(*program.outputs, *random)), given, seed=3, step=1)
    given = given | {name: found[name] for name in random}
    points = {name: given[name] for name in wrt}

    def total(points):
        values = written(points, {**given, **points})
        return values["loss"], values

    (_, values), gradients = jax.value_and_grad(total, has_aux=True)(points)
    for name in model.values:
        assert float(found[name]) == pytest.approx(float(values[model.roles[name].of]), rel=TOLERANCE)
    for name, cotangent in zip(wrt, program.outputs[len(model.values) :], strict=True):
        right = np.asarray(gradients[name])
        error = np.abs(found[cotangent] - right).max() / max(np.abs(right).max(), SMALLEST_SCALE)
        assert error <= TOLERANCE, name
