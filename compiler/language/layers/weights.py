"""The parameters of layers that multiply by a kernel and add a bias, as their arguments say."""

from __future__ import annotations

from compiler.language.layers.base import Layer, Parameter, Shape


def kernel_and_bias(layer: Layer, kernel: Shape, units: int) -> dict[str, Parameter]:
    """A kernel of that shape and, where the layer uses one, a bias (units,)."""
    parameters = {"kernel": _parameter(layer, "kernel", kernel)}
    if layer.use_bias:
        parameters["bias"] = _parameter(layer, "bias", (units,))
    return parameters


def _parameter(layer: Layer, name: str, shape: Shape) -> Parameter:
    initializer, regularizer = getattr(layer, f"{name}_initializer"), getattr(layer, f"{name}_regularizer")
    return Parameter(shape, initializer, regularizer, constraint=getattr(layer, f"{name}_constraint", None))
