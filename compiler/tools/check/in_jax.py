"""A tensor program in JAX: the independent framework differentiates what was written, not what was derived.

Only the meaning of a term is said again, in functions of `jax.numpy`; every derivative is JAX's own. A
maximum is `jnp.max` over its reduction axes, which shares a tie out among all that are equal, where ours goes
to the first: at ties the two may differ.

The module `jax` is an argument, for it need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import sympy

from compiler.errors import CompilerBug
from compiler.ir.scalar.held import StopGradient
from compiler.ir.tensor.circles import Circle, circles
from compiler.ir.tensor.counter_random import uniform
from compiler.ir.tensor.interpreter import affine_values, concrete_shape, large_integers
from compiler.ir.tensor.program import IDENTITY, Access, Definition, Program, Tensor, Term


def in_jax(
    jax: ModuleType, program: Program, inputs: Mapping[str, Any], *, batch: int, seed: int = 0, step: int = 0
) -> dict[str, Any]:
    """Every tensor of a forward program by name, as JAX computes it in the precision of the inputs.

    `inputs` are arrays by name, traced ones too; integer tensors must be NumPy arrays, for they are indices.
    """
    values: dict[str, Any] = {}
    for tensor in program.inputs:
        values[tensor.name] = _given(tensor, inputs, batch, seed, step)
    in_circles = {name: circle for circle in circles(program) for name in circle.names}
    for definition in program.definitions:
        circle = in_circles.get(definition.name)
        if circle is None:
            values[definition.name] = _evaluate(jax, definition, values, batch, {})
        elif definition.name not in values:
            _in_steps(jax, program, circle, values, batch)
    return values


def _in_steps(jax: ModuleType, program: Program, circle: Circle, values: dict[str, Any], batch: int) -> None:
    """Compute all members of a circle."""
    members = {name: program.definitions[program.positions[name]] for name in circle.names}
    values.update({name: _nothing(jax, member, batch) for name, member in members.items()})
    for name, places in circle.turns():
        member = members[name]
        if all(place < (member.shape[k] or 0) for k, place in places.items()):
            of_step = _evaluate(jax, member, values, batch, places)
            values[name] = _combine(jax, member)(values[name], of_step)


def _given(tensor: Tensor, inputs: Mapping[str, Any], batch: int, seed: int, step: int) -> Any:
    shape = concrete_shape(tensor.shape, batch)
    if tensor.kind == "random":
        elements = np.arange(int(np.prod(shape, dtype=np.int64)))
        return uniform(seed, step, tensor.stream, elements).reshape(shape)
    if tensor.kind == "iota":
        return np.arange(shape[0], dtype=np.float64)
    return float(batch) if tensor.kind == "batch_size" else inputs[tensor.name]


def _combine(jax: ModuleType, definition: Definition) -> Any:
    jnp = jax.numpy
    return {"sum": jnp.add, "max": jnp.maximum, "min": jnp.minimum}[definition.operation]


def _nothing(jax: ModuleType, definition: Definition, batch: int) -> Any:
    return jax.numpy.full(concrete_shape(definition.shape, batch), IDENTITY[definition.operation])


def _evaluate(
    jax: ModuleType,
    definition: Definition,
    values: Mapping[str, Any],
    batch: int,
    fixed: Mapping[int, int],
) -> Any:
    """What the terms make of the tensor where some dimensions of the target are `fixed`."""
    if definition.dtype != "real":
        raise CompilerBug(f"{definition.name}: a forward program computes no integers")
    shape = concrete_shape(definition.shape, batch)
    combine = _combine(jax, definition)
    result = None
    for term in definition.terms:
        at = {}
        for k, place in fixed.items():
            at[term.target[k].single_axis] = place
        value = _term(jax, definition.operation, term, values, batch, shape, at)
        result = value if result is None else combine(result, value)
    return _nothing(jax, definition, batch) if result is None else result


def _term(
    jax: ModuleType,
    operation: str,
    term: Term,
    values: Mapping[str, Any],
    batch: int,
    shape: tuple[int, ...],
    at: Mapping[str | None, int],
) -> Any:
    """What one term alone makes of the tensor: reduce over the axes that the target lacks, then write.

    Axes are `at` one place each where a step of a circle is computed."""
    jnp = jax.numpy
    identity = IDENTITY[operation]
    extents = [1 if a.name in at else batch if a.extent is None else a.extent for a in term.axes]
    grids = np.indices(extents, sparse=True) if extents else ()
    axes = {a.name: grid + at.get(a.name, 0) for a, grid in zip(term.axes, grids, strict=True)}
    keep = np.full(extents, all(at.get(a.name, 0) < (a.extent or batch) for a in term.axes))
    for guard in term.guards:
        number = affine_values(guard.affine, axes, values)
        keep &= {">=": number >= 0, "==": number == 0}.get(guard.kind, number % max(guard.modulus, 1) == 0)
    arguments = [_read(jax, access, axes, values) for _, access in term.reads]
    value = jnp.broadcast_to(_function(jax, term)(*arguments), extents)
    if not keep.all():
        value = jnp.where(keep, value, identity)
    reduced = tuple(k for k, a in enumerate(term.axes) if a in term.reduction_axes)
    if reduced:
        value = {"sum": jnp.sum, "max": jnp.max, "min": jnp.min}[operation](
            value, axis=reduced, keepdims=True
        )
    if not shape:
        return value.reshape(())
    target = [np.broadcast_to(affine_values(index, axes, values), value.shape) for index in term.target]
    inside = _inside(target, shape)
    if not np.all(inside):
        value = jnp.where(inside, value, identity)
    place = tuple(np.clip(i, 0, n - 1) for i, n in zip(target, shape, strict=True))
    if operation == "sum":
        return jnp.zeros(shape).at[place].add(value)
    # Each element of an extremum is written once: what else would be written there was dropped above.
    return jnp.full(shape, identity).at[place].set(value)


def _read(jax: ModuleType, access: Access, axes: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> Any:
    array = jax.numpy.asarray(values[access.tensor])
    index = [affine_values(i, axes, values) for i in access.indices]
    inside = _inside(index, array.shape)
    clipped = tuple(np.clip(i, 0, n - 1) for i, n in zip(index, array.shape, strict=True))
    value = array[clipped] if clipped else array
    if access.outside is None or np.all(inside):
        return value
    return jax.numpy.where(inside, value, access.outside)


def _inside(index: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    inside: np.ndarray = np.array(True)
    for i, extent in zip(index, shape, strict=True):
        inside = inside & (i >= 0) & (i < extent)
    return inside


def _function(jax: ModuleType, term: Term) -> Callable[..., Any]:
    symbols, special = [symbol for symbol, _ in term.reads], jax.scipy.special
    body = term.body.xreplace(large_integers(term.body))
    named = {"erf": special.erf, "erfc": special.erfc, StopGradient.name: jax.lax.stop_gradient}
    return sympy.lambdify(symbols, body, modules=[named, "jax"])
