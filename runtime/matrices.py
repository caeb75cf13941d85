"""Jacobians and Hessians of small models, row by row: each row is one call of a compiled product.

    jacobian(net, x)                       (batch, *shape of the output, *shape of the input)
    jacobian(net, x, "dense_1.kernel")     (batch, *shape of the output, *shape of the parameter)
    hessian(net, x, y, "dense_1.kernel")   (*shape of the parameter, *shape of the parameter)

There are as many calls as rows, so this is for outputs and parameters that are small.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.errors import DataError


def jacobian(net: Any, x: Any, by: str = "input", output: str | None = None) -> np.ndarray:
    """The derivatives of every output of every example by an input or a parameter.

    `net` is a network that was compiled with the mode pullback, `x` what its `vjp` takes. `output` names one
    of several outputs. By an input, all examples share a call for each element of the output: they must not
    meet, as they do in batch normalization. By a parameter there is a call for each example and element.
    Raises DataError for a network without the mode, and for a name that it has not.
    """
    _needs(net, "vjp", "pullback")
    is_input = by not in net.parameters
    outputs = net.predict(x)
    named = _by_name(outputs, output)
    chosen = named[output]
    batch, *shape = chosen.shape
    size = int(np.prod(shape, dtype=np.int64))
    rows = []
    for number in range(size if is_input else batch * size):
        row = np.zeros((batch, size), chosen.dtype)
        row[slice(None) if is_input else number // size, number % size] = 1
        cotangents = {k: np.zeros_like(o) for k, o in named.items()} | {output: row.reshape(chosen.shape)}
        given = tuple(cotangents.values()) if len(named) > 1 else cotangents[output]
        if isinstance(outputs, dict):
            given = cotangents if len(named) > 1 else given
        _, gradients = net.vjp(x, given, **({"inputs": True} if is_input else {}))
        if by not in gradients:
            raise DataError(f"jacobian: expected one of {', '.join(map(repr, gradients))}, found {by!r}")
        rows.append(np.array(gradients[by]))
    if is_input:
        return np.stack(rows, axis=1).reshape(batch, *shape, *rows[0].shape[1:])
    return np.stack(rows).reshape(batch, *shape, *rows[0].shape)


def hessian(net: Any, x: Any, y: Any, by: str, *other: str) -> np.ndarray:
    """The second derivatives of the training loss by a parameter, or by one and an `other`.

    `net` is a network that was compiled with the mode hvp; there is a call for each value of the parameter.
    Raises DataError for a network without the mode, and for a name that it has not.
    """
    _needs(net, "hvp", "hvp")
    wrong = next((name for name in (by, *other) if name not in net.parameters), None)
    if wrong is not None:
        known = ", ".join(map(repr, net.parameters))
        raise DataError(f"hessian: expected one of {known}, found {wrong!r}")
    parameter = net.parameters[by]
    column = other[0] if other else by
    rows = []
    for number in range(parameter.size):
        direction = np.zeros(parameter.size, parameter.dtype)
        direction[number] = 1
        products = net.hvp(x, y, {by: direction.reshape(parameter.shape)})
        rows.append(np.array(products[column]))
    return np.stack(rows).reshape(*parameter.shape, *rows[0].shape)


def _by_name(outputs: Any, output: str | None) -> dict[str | None, np.ndarray]:
    """The outputs by name, or by number where they have none."""
    if isinstance(outputs, dict):
        named: dict[str | None, np.ndarray] = dict(outputs)
    elif isinstance(outputs, tuple):
        named = {str(number): array for number, array in enumerate(outputs)}
    else:
        named = {None: outputs}
    if output not in named:
        known = ", ".join(map(repr, named))
        raise DataError(f"jacobian: expected output={known.replace(', ', ' or ')}, found {output!r}")
    return named


def _needs(net: Any, method: str, mode: str) -> None:
    if not hasattr(net, method):
        message = f"this network has no {method}: compile the model with --modes {mode}"
        raise DataError(message)
