"""Functions of NumPy, PyTorch and JAX behind one face: value, pullback, and pushforward where there is one.

A framework is told by what the inputs are. Arrays go in and out as float64 NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Differentiable:
    """A function of arrays with a derivative that somebody claims."""

    name: str
    value: Callable[..., np.ndarray]
    pull: Callable[[Arrays, np.ndarray], Arrays]
    """(inputs, cotangent of the value) → a cotangent for each input."""
    push: Callable[[Arrays, Arrays], np.ndarray] | None = None
    """(inputs, a tangent for each) → the tangent of the value."""


def framework_of(inputs: Sequence[Any]) -> str:
    """ "torch", "jax" or "numpy"."""
    roots = {type(value).__module__.partition(".")[0] for value in inputs}
    if "torch" in roots:
        return "torch"
    return "jax" if roots & {"jax", "jaxlib"} else "numpy"


def in_numpy(
    function: Callable[..., Any], pull: Callable[..., Any], push: Callable[..., Any] | None
) -> Differentiable:
    """A function with derivatives that are functions: pull(*inputs, cotangent), push(*inputs, *tangents)."""

    def pulled(inputs: Arrays, cotangent: np.ndarray) -> Arrays:
        return several(pull(*inputs, cotangent), len(inputs))

    def pushed(inputs: Arrays, tangents: Arrays) -> np.ndarray:
        assert push is not None
        return np.asarray(push(*inputs, *tangents), np.float64)

    def value(*inputs: np.ndarray) -> np.ndarray:
        found = function(*inputs)
        # What a list of numbers is in NumPy is an array.
        return np.asarray(one(found) if isinstance(found, dict) else found, np.float64)

    return Differentiable(_name(function), value, pulled, pushed if push else None)


def parameters_of(function: Any) -> dict[str, Any]:
    """The parameters of a PyTorch module by name; nothing else has any."""
    return dict(function.named_parameters()) if hasattr(function, "named_parameters") else {}


def in_torch(function: Callable[..., Any], number: int) -> Differentiable:
    """The backward pass that PyTorch runs for a function; of a module by its parameters too, which follow its
    `number` inputs."""
    import torch

    names = tuple(parameters_of(function))

    def call(given: list[Any]) -> Any:
        if not names:
            return function(*given)
        parameters = dict(zip(names, given[number:], strict=True))
        return torch.func.functional_call(function, parameters, tuple(given[:number]))

    def tensors(inputs: Arrays, grad: bool) -> list[Any]:
        return [torch.tensor(x, dtype=torch.float64, requires_grad=grad) for x in inputs]

    def value(*inputs: np.ndarray) -> np.ndarray:
        return one(call(tensors(inputs, False))).detach().numpy()

    def pull(inputs: Arrays, cotangent: np.ndarray) -> Arrays:
        given = tensors(inputs, True)
        found = torch.autograd.grad(
            call(given), given, torch.tensor(cotangent, dtype=torch.float64), allow_unused=True
        )
        return tuple(np.zeros_like(x) if g is None else g.numpy() for x, g in zip(inputs, found, strict=True))

    return Differentiable(_name(function), value, pull)


def in_jax(function: Callable[..., Any]) -> Differentiable:
    """A function: JAX's reverse and forward mode of it, or its `custom_vjp`, which has no forward mode."""
    import jax

    jax.config.update("jax_enable_x64", True)

    def value(*inputs: np.ndarray) -> np.ndarray:
        return np.asarray(one(function(*map(jax.numpy.asarray, inputs))), np.float64)

    def pull(inputs: Arrays, cotangent: np.ndarray) -> Arrays:
        _, back = jax.vjp(function, *map(jax.numpy.asarray, inputs))
        return tuple(np.asarray(x) for x in back(jax.numpy.asarray(cotangent)))

    def push(inputs: Arrays, tangents: Arrays) -> np.ndarray:
        _, slope = jax.jvp(
            function, tuple(map(jax.numpy.asarray, inputs)), tuple(map(jax.numpy.asarray, tangents))
        )
        return np.asarray(slope)

    return Differentiable(_name(function), value, pull, None if hasattr(function, "defvjp") else push)


def one(value: Any) -> Any:
    """The value of a function, which is one array. Raises ValueError for several."""
    if isinstance(value, tuple | list | dict):
        message = f"a function of one result is measured, and this one gives a {type(value).__name__}"
        raise ValueError(f"{message}: choose one, as in lambda x: function(x)[0]")
    return value


def several(found: Any, number: int) -> Arrays:
    """What a derivative returns, an array for each input. Raises ValueError for another number of them."""
    parts = tuple(found) if isinstance(found, tuple | list) else (found,)
    if len(parts) != number:
        raise ValueError(f"expected {number} derivatives, one for each input; found {len(parts)}")
    return tuple(np.asarray(part, np.float64) for part in parts)


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)
