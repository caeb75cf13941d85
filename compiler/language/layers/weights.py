"""The parameters of layers that multiply by a kernel and add a bias, as their arguments say."""

from __future__ import annotations

from typing import Protocol

from compiler.language.layers.base import Parameter, Shape


class Weighed(Protocol):
    """A layer whose arguments say how its kernel and its bias start: `kernel_initializer` and so on."""

    @property
    def use_bias(self) -> bool: ...


def kernel_and_bias(layer: Weighed, kernel: Shape, units: int) -> dict[str, Parameter]:
    """A kernel of that shape and, where the layer uses one, a bias (units,)."""
    parameters = {"kernel": _parameter(layer, "kernel", kernel)}
    if layer.use_bias:
        parameters["bias"] = _parameter(layer, "bias", (units,))
    return parameters


def _parameter(layer: Weighed, name: str, shape: Shape) -> Parameter:
    initializer, regularizer = getattr(layer, f"{name}_initializer"), getattr(layer, f"{name}_regularizer")
    return Parameter(shape, initializer, regularizer, constraint=getattr(layer, f"{name}_constraint", None))
