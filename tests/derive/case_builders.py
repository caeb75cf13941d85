"""Rows of the table from a layer or a loss and what JAX computes in its place."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from compiler.ir.tensor.program import Program, Tensor
from compiler.language.layers import Layer
from compiler.language.losses import Loss
from tests.derive.cases import Case, Sampler, formula_program, layer_program


def jnp(function: Callable) -> Callable:
    """A reference written as a function of `jax.numpy` and the arrays."""
    return lambda jax, v: function(jax.numpy, v)


def on_x(function: Callable) -> Callable:
    """A reference written as a function of `jax` and the input alone."""
    return lambda jax, v: function(jax, v["x"])


def layer_case(
    name: str,
    layer: Layer,
    reference: Callable,
    *shapes: tuple[int, ...],
    draw: Sampler | None = None,
    vocabulary: int | None = None,
) -> Case:
    """A layer on inputs of these shapes, differentiated by inputs, unless of integers, and parameters."""

    @cache
    def build() -> Program:
        return layer_program(layer, *shapes, vocabulary=vocabulary)

    return Case(name, build, "y", None, reference, draw)


def from_range(low: float, high: float) -> Sampler:
    """Every input uniformly from a range."""
    return lambda rng, tensor, shape: rng.uniform(low, high, size=shape)


def loss_case(
    name: str,
    loss: Loss,
    shape: tuple[int, ...],
    reference: Callable,
    draw: Sampler | None = None,
) -> Case:
    """A loss on predictions of this shape, differentiated by these, and by labels that are no classes."""
    forward = loss.forward(shape)
    dtype = "real" if forward.classes is None else "index"

    @cache
    def build() -> Program:
        inputs = [
            Tensor("prediction", (None, *shape), "input"),
            Tensor("label", (None, *forward.label_shape), "label", dtype, forward.classes),
        ]
        return formula_program(forward.formula, inputs, {"loss": ()}, forward.constants)

    wrt = ("prediction",) if forward.classes else ("prediction", "label")
    return Case(name, build, "loss", wrt, reference, draw or from_range(0.1, 0.9))


def probabilities(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Positive numbers that sum to 1 over the last axis."""
    values = rng.uniform(0.1, 1.0, size=shape)
    return values / values.sum(axis=-1, keepdims=True)
