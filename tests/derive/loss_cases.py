"""Every loss as a row of the table, differentiated by predictions, and by labels that are no classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.ir.tensor.program import Tensor
from compiler.language.losses import (
    BinaryCrossEntropy,
    CategoricalHinge,
    CrossEntropy,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
)
from tests.derive import references
from tests.derive.case_builders import from_range, jnp, loss_case, probabilities
from tests.derive.cases import Case, made_once

SHAPE = (4, 3)
WIDE = from_range(-3.0, 3.0)


@made_once
def loss_cases() -> Iterator[Case]:
    yield from cross_entropy_cases()
    yield from distance_cases()


def cross_entropy_cases() -> Iterator[Case]:
    """From probabilities and logits, for classes and distributions, smoothed and not."""
    yield loss_case("cross_entropy", CrossEntropy(), (5,), references.cross_entropy)
    yield loss_case("cross_entropy-on-rows", CrossEntropy(), (3, 5), references.cross_entropy)
    for logits in (False, True):
        for smoothing in (0.0, 0.1):
            for one_hot in (False, True):
                name = f"cross_entropy{'-logits' * logits}{'-smoothed' * bool(smoothing)}{'-dense' * one_hot}"
                loss = CrossEntropy(logits, smoothing, one_hot)
                reference = references.smoothed_cross_entropy(loss)
                if name != "cross_entropy":
                    yield loss_case(name, loss, (3, 5), reference, WIDE if logits and not one_hot else None)
            loss = BinaryCrossEntropy(logits, smoothing)
            name = f"binary_cross_entropy{'-logits' * logits}{'-smoothed' * bool(smoothing)}"
            reference = references.binary_cross_entropy(loss)
            yield loss_case(name, loss, SHAPE, reference, WIDE if logits else None)


def distance_cases() -> Iterator[Case]:
    """The losses of differences, divergences and margins."""

    def case(name, loss, function, draw=None, shape=SHAPE):
        reference = jnp(lambda np, v: function(np, v["prediction"], v["label"]))
        return loss_case(name, loss, shape, reference, draw)

    yield case("mean_squared_error", MeanSquaredError(), lambda np, p, t: ((p - t) ** 2).mean())
    yield case("mean_absolute_error", MeanAbsoluteError(), lambda np, p, t: abs(p - t).mean(), WIDE)
    yield case("huber", Huber(), lambda np, p, t: _huber(np, p - t, 1.0), WIDE)
    yield case("huber-narrow", Huber(0.1), lambda np, p, t: _huber(np, p - t, 0.1), WIDE)
    yield case("log_cosh", LogCosh(), lambda np, p, t: np.log(np.cosh(p - t)).mean(), WIDE)
    divergence = case(
        "kl_divergence",
        KLDivergence(),
        lambda np, p, t: (t * np.log(t / p)).sum(-1).mean(),
        probabilities,
    )
    yield divergence
    yield case("hinge", Hinge(), lambda np, p, t: np.maximum(1 - t * p, 0).mean(), WIDE)
    squared = Hinge(squared=True)
    yield case("hinge-squared", squared, lambda np, p, t: (np.maximum(1 - t * p, 0) ** 2).mean(), WIDE)
    yield case("categorical_hinge", CategoricalHinge(), _categorical_hinge, _one_hot, (5,))


def _huber(np, difference, delta):
    size = abs(difference)
    return np.where(size <= delta, difference**2 / 2, delta * (size - delta / 2)).mean()


def _categorical_hinge(np, p, t):
    return np.maximum(1 + ((1 - t) * p).max(-1) - (t * p).sum(-1), 0).mean()


def _one_hot(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Labels near one-hot ones, so that no two classes tie; predictions as usual."""
    values = rng.normal(size=shape)
    if tensor.name != "label":
        return values
    return np.eye(shape[-1])[values.argmax(-1)] + 0.01 * rng.uniform(size=shape)
