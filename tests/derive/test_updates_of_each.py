"""Updates of each parameter by itself: norms of a variable, and constraints, as formulas of the update."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.frontend.lowered import OptimizerSpec
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.verify import verify
from compiler.language.constraints import Constraint, MaxNorm, MinMaxNorm, NonNegative, UnitNorm
from compiler.language.description import Model, Sequential
from compiler.language.layers import Conv2D, Dense, Flatten, Input
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import LAMB, SGD, Adafactor, Adam, Optimizer
from compiler.language.schedules import WarmUp

Arrays = dict[str, np.ndarray]
SHAPES = {"conv2d_1.kernel": (2, 2, 1, 3), "conv2d_1.bias": (3,), "dense_1.kernel": (12, 2)}


def model(optimizer: Optimizer, constraint: Constraint | None = None) -> Model:
    layers = [
        Input(3, 3, 1),
        Conv2D(3, 2, kernel_constraint=constraint, bias_constraint=constraint),
        Flatten(),
        Dense(2, use_bias=False, kernel_constraint=constraint),
    ]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=optimizer)


def updated(spec: OptimizerSpec, start: Arrays, gradients: list[Arrays]) -> Arrays:
    """The parameters after one update for each gradient, each in its own shape."""
    verify(spec.update)
    assert not spec.flat
    values = {
        name: np.zeros(spec.update.shape(name)) for name, role in spec.roles.items() if role.use == "slot"
    }
    values |= {name: array.reshape(-1) for name, array in start.items()}
    for step, gradient in enumerate(gradients, 1):
        of = {name: role.of for name, role in spec.roles.items() if role.use == "gradient"}
        given = {name: gradient[parameter].reshape(-1) for name, parameter in of.items()}
        scalars = {"rate": spec.learning_rate, "step": step}
        read = {tensor.name for tensor in spec.update.inputs}
        found = run(spec.update, {n: a for n, a in (values | given | scalars).items() if n in read})
        by_role = {spec.roles[name]: found[name] for name in spec.update.outputs}
        values = {name: by_role[spec.roles[name]] for name in values if name in read}
    return {name: values[name].reshape(shape) for name, shape in SHAPES.items()}


def arrays(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, shape in SHAPES.items()}


def test_the_norm_of_each_gradient_is_clipped_by_itself() -> None:
    start, gradient = arrays(0), arrays(1)
    found = updated(lower(model(SGD(0.1, clipnorm=2.0))).optimizer, start, [gradient])
    norms = {name: np.linalg.norm(g) for name, g in gradient.items()}
    assert min(norms.values()) < 2 < max(norms.values())
    for name, g in gradient.items():
        np.testing.assert_allclose(found[name], start[name] - 0.1 * g * min(1, 2 / norms[name]), rtol=1e-13)


def together(gradient: Arrays, limit: float) -> float:
    return min(1, limit / np.sqrt(sum((g**2).sum() for g in gradient.values())))


@pytest.mark.parametrize("magnitude", [1e-30, 1e-3, 1.0, 1e30])
@pytest.mark.parametrize("frozen", [(), ("conv2d_1.kernel",)])
def test_all_gradients_are_clipped_together_where_each_update_is_one_of_its_own(magnitude, frozen) -> None:
    """The constraint changes nothing: update ÷ gradient is one number. Frozen ones have gradients of 0."""
    spec = lower(model(SGD(0.1, global_clipnorm=0.1), MaxNorm(1e33))).optimizer
    zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    gradient = {name: magnitude * g for name, g in arrays(1).items()} | {name: zeros[name] for name in frozen}
    found = updated(spec, zeros, [gradient])
    scale = together(gradient, 0.1)
    assert (scale == 1) == (magnitude < 1e-2)
    for name, g in gradient.items():
        np.testing.assert_allclose(found[name], -0.1 * scale * g, rtol=1e-13, atol=0, err_msg=name)


def test_zero_gradients_have_a_norm_too() -> None:
    zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    spec = lower(model(SGD(0.1, global_clipnorm=0.1), MaxNorm(1e3))).optimizer
    start = arrays(0)
    found = updated(spec, start, [zeros])
    for name in SHAPES:
        np.testing.assert_allclose(found[name], start[name], rtol=1e-14)


def test_a_model_without_parameters_has_nothing_to_clip() -> None:
    described = Sequential(
        [Input(3), Flatten()], loss=MeanSquaredError(), optimizer=LAMB(global_clipnorm=1.0)
    )
    assert lower(described).optimizer.update.outputs == ()


@pytest.mark.parametrize("kind", [LAMB, Adafactor, Adam])
def test_clipping_all_together_is_scaling_what_the_update_reads(kind: type[Optimizer]) -> None:
    """Whatever the optimizer: as if it were given gradients that had been clipped before."""
    constraint = MaxNorm(1e3) if kind is Adam else None
    start, gradients = arrays(0), [arrays(1), {name: 1e-3 * g for name, g in arrays(2).items()}, arrays(3)]
    clipped = [{name: together(g, 2.0) * one for name, one in g.items()} for g in gradients]
    found = updated(lower(model(kind(global_clipnorm=2.0), constraint)).optimizer, start, gradients)
    expected = updated(lower(model(kind(), constraint)).optimizer, start, clipped)
    for name in SHAPES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, err_msg=name)


def test_lamb_is_that_of_the_paper() -> None:
    start, gradients = arrays(0), [arrays(k) for k in (1, 2, 3)]
    start["conv2d_1.bias"][:] = 0
    spec = lower(model(LAMB(WarmUp(0.01, 2, 0.5), weight_decay=0.1))).optimizer
    found = updated(spec, start, gradients)
    for name, θ in start.items():
        m, v = np.zeros_like(θ), np.zeros_like(θ)
        for t, g in enumerate((gradient[name] for gradient in gradients), 1):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + 0.1 * θ
            size = np.linalg.norm(θ)
            trust = size / np.linalg.norm(r) if size > 0 else 1
            θ = θ - 0.01 * (0.5 + 0.5 * min((t - 1) / 2, 1)) * trust * r
        np.testing.assert_allclose(found[name], θ, rtol=1e-12, err_msg=name)


def test_adafactor_is_that_of_pytorch() -> None:
    """torch.optim.Adafactor, written out; a matrix keeps means of rows and columns, a vector all of them."""
    start, gradients = arrays(0), [arrays(k) for k in (1, 2, 3)]
    start["conv2d_1.bias"] /= 1e4
    spec = lower(model(Adafactor(0.4, weight_decay=0.1))).optimizer
    found = updated(spec, start, gradients)
    for name, θ in start.items():
        row = column = v = 0.0
        for t, g in enumerate((gradient[name] for gradient in gradients), 1):
            moved, ρ = t**-0.8, min(0.4, t**-0.5)
            α = max(1e-3, np.sqrt((θ**2).mean())) * ρ
            if θ.ndim > 1 and min(θ.shape[-2:]) > 1:
                row = (1 - moved) * row + moved * (g**2).mean(-1, keepdims=True)
                column = (1 - moved) * column + moved * (g**2).mean(-2, keepdims=True)
                v = row * column / np.maximum(row.mean(-2, keepdims=True), 2.0**-23)
            else:
                v = (1 - moved) * v + moved * g**2
            u = g / np.sqrt(np.maximum(v, 2.0**-46))
            θ = θ * (1 - 0.4 * 0.1) - α / max(1, np.sqrt((u**2).mean())) * u
        np.testing.assert_allclose(found[name], θ, rtol=1e-12, err_msg=name)


def norms(array: np.ndarray) -> np.ndarray:
    """Of each output, of shape (1, …, outputs); of a vector, of all of it."""
    over = tuple(range(array.ndim - 1)) or (0,)
    return np.sqrt((array**2).sum(over, keepdims=True))


CONSTRAINTS = {
    "non-negative": (NonNegative(), lambda w: np.maximum(w, 0)),
    "max-norm": (MaxNorm(1.5), lambda w: w * np.minimum(1, 1.5 / norms(w))),
    "min-max": (MinMaxNorm(1.4, 1.6), lambda w: w * np.clip(norms(w), 1.4, 1.6) / norms(w)),
    "unit-norm": (UnitNorm(), lambda w: w / norms(w)),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_an_update_ends_with_the_constraint(name: str) -> None:
    constraint, expected = CONSTRAINTS[name]
    start, gradient = arrays(0), arrays(1)
    found = updated(lower(model(SGD(0.1), constraint)).optimizer, start, [gradient])
    for parameter, w in start.items():
        np.testing.assert_allclose(found[parameter], expected(w - 0.1 * gradient[parameter]), rtol=1e-13)


def test_zeros_have_no_direction() -> None:
    zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    found = updated(lower(model(SGD(0.1), UnitNorm())).optimizer, zeros, [zeros])
    assert all(not array.any() for array in found.values())


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (model(SGD(0.1), MaxNorm(0)), "wrong most"),
        (model(SGD(0.1), MinMaxNorm(2, 1)), "least is above most"),
        (model(SGD(0.1), 3), "wrong kernel_constraint"),
        (model(Adam(clipnorm=0.0)), "wrong clipnorm"),
        (model(Adam(clipnorm=1.0, clipvalue=1.0)), "gradients are clipped twice"),
        (model(Adafactor(beta_2_decay=0.8)), "wrong beta_2_decay"),
        (model(LAMB(global_clipnorm=0.0)), "wrong global_clipnorm"),
    ],
)
def test_wrong_arguments(described: Model, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        described.check()
