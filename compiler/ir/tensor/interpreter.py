"""Runs a tensor program in plain NumPy, point by point of every term's domain.

The oracle of the tests and of the simplifier's self-check: it takes the meaning of a term literally and
shares no code with inversion, passes, scheduling or printing. It is slow and uses memory in proportion
to a term's domain; use it on small shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from keyword import iskeyword
from typing import Any

import numpy as np
import sympy
from sympy.printing.numpy import NumPyPrinter

from compiler.errors import CompilerBug
from compiler.ir.affine.domain import sizes
from compiler.ir.affine.expression import Affine, Atom, FloorDiv, Mod, Read
from compiler.ir.scalar import bfloat16
from compiler.ir.tensor.axes import batch_axis, has_batch
from compiler.ir.tensor.circles import Circle, circles
from compiler.ir.tensor.counter_random import uniform
from compiler.ir.tensor.program import IDENTITY, Access, Definition, Program, Shape, Tensor, Term

Arrays = Mapping[str, np.ndarray]


def run(
    program: Program,
    inputs: Arrays,
    *,
    batch: int | None = None,
    seed: int = 0,
    step: int = 0,
    dtype: type[np.floating] = np.float64,
) -> dict[str, np.ndarray]:
    """Every tensor of the program by name: the given inputs, the random tensors, the definitions.

    `inputs` maps names to arrays; `batch` is found from an input with a batch dimension when it is not
    given, and the size of the batch need not be given. Real tensors are computed in `dtype`: each operation
    is rounded to it, as a kernel of that precision rounds, but for erf and erfc, whose argument and
    result alone are.
    """
    batch = batch if batch is not None else _batch_of(program, inputs)
    values: dict[str, np.ndarray] = {}
    for tensor in program.inputs:
        value = _given(tensor, inputs, batch, seed, step)
        values[tensor.name] = value if tensor.dtype == "index" else np.asarray(value, dtype)
    in_circles = {name: circle for circle in circles(program) for name in circle.names}
    for definition in program.definitions:
        if definition.name not in values:
            values[definition.name] = _identity(definition, batch, dtype)
            circle = in_circles.get(definition.name)
            if circle is None:
                _evaluate(definition, values, batch, dtype, {})
            else:
                _in_steps(program, circle, values, batch, dtype)
    return values


def _in_steps(
    program: Program, circle: Circle, values: dict[str, np.ndarray], batch: int, dtype: type[np.floating]
) -> None:
    """Compute all members of a circle."""
    members = {name: program.definitions[program.positions[name]] for name in circle.names}
    values.update({name: _identity(member, batch, dtype) for name, member in members.items()})
    for name, places in circle.turns():
        _evaluate(members[name], values, batch, dtype, places)


def _batch_of(program: Program, inputs: Arrays) -> int:
    for tensor in program.inputs:
        if has_batch(tensor.shape) and tensor.name in inputs:
            return int(np.shape(inputs[tensor.name])[tensor.shape.index(None)])
    return 1


def _given(tensor: Tensor, inputs: Arrays, batch: int, seed: int, step: int) -> np.ndarray:
    shape = concrete_shape(tensor.shape, batch)
    if tensor.name in inputs:
        # A real one is rounded once, to what is computed in: by way of float64 it would lose what is finer.
        value = np.asarray(inputs[tensor.name], dtype=np.int64 if tensor.dtype == "index" else None)
        if value.shape != shape:
            raise ValueError(f"{tensor.name}: expected shape {shape}, found {value.shape}")
        return value
    if tensor.kind == "random":
        elements = np.arange(int(np.prod(shape, dtype=np.int64)))
        return uniform(seed, step, tensor.stream, elements).reshape(shape)
    if tensor.kind == "iota":
        return np.arange(shape[0], dtype=np.float64)
    if tensor.kind == "batch_size":
        return np.asarray(float(batch))
    raise ValueError(f"no value was given for {tensor.kind} {tensor.name}")


def concrete_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """The shape with the batch's extent put in."""
    return tuple(batch if extent is None else extent for extent in shape)


def _identity(definition: Definition, batch: int, dtype: type[np.floating]) -> np.ndarray:
    """The tensor before anything is combined into it."""
    shape = concrete_shape(definition.shape, batch)
    if definition.operation in ("argmax", "argmin"):
        return np.zeros(shape, np.int64)
    return np.full(shape, IDENTITY[definition.operation], dtype)


def _evaluate(
    definition: Definition,
    values: Arrays,
    batch: int,
    dtype: type[np.floating],
    fixed: Mapping[int, int],
) -> None:
    """Combine into the definition's tensor the points whose target is at the `fixed` places."""
    if any(place >= (definition.shape[dimension] or 0) for dimension, place in fixed.items()):
        return
    result = values[definition.name]
    if definition.operation in ("argmax", "argmin"):
        _winners(definition, values, batch, dtype, fixed)
        return
    combine = {"sum": np.add, "max": np.maximum, "min": np.minimum}[definition.operation]
    for term in definition.terms:
        points, target, value = _points(term, values, batch, dtype, fixed)
        keep = np.logical_and(points, _inside(target, result.shape))
        flat = np.zeros((), np.int64)
        for index, extent in zip(target, result.shape, strict=True):
            flat = flat * extent + index
        flat, value = (np.broadcast_to(array, keep.shape)[keep] for array in (flat, value))
        with np.errstate(all="ignore"):  # floats follow IEEE 754, and say nothing
            combine.at(result.reshape(-1), flat, value)


def _winners(
    definition: Definition,
    values: Arrays,
    batch: int,
    dtype: type[np.floating],
    fixed: Mapping[int, int],
) -> None:
    """Row-major position of the first best point among the reduction axes, in loop order."""
    (term,) = definition.terms
    sign = 1.0 if definition.operation == "argmax" else -1.0
    kept = [a for a in term.axes if a not in term.reduction_axes]
    ordered = Term((*kept, *term.reduction_axes), term.target, term.body, term.reads, term.guards)
    points, target, value = _points(ordered, values, batch, dtype, fixed)
    reduced = int(np.prod(sizes(term.reduction_axes), dtype=np.int64))
    score = np.where(points, sign * np.broadcast_to(value, points.shape), -np.inf)
    allowed = points.reshape(-1, reduced)
    flat = score.reshape(-1, reduced)
    # A guarded-out point never wins, not even against -inf: rank "allowed" before the value.
    best = np.where(allowed, flat, -np.inf).max(axis=1, keepdims=True)
    # A NaN equals nothing, and beats everything.
    winner = np.argmax(allowed & ((flat == best) | np.isnan(flat)), axis=1)
    first = tuple(np.broadcast_to(t, points.shape).reshape(-1, reduced)[:, 0] for t in target)
    # A single element has no index, and takes no array.
    values[definition.name][first] = winner if first else winner[0]


def _points(
    term: Term, values: Arrays, batch: int, dtype: type[np.floating], fixed: Mapping[int, int]
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Over the domain box where the target is at the `fixed` places: which points' guards hold, the target
    indices, the body's values."""
    bound: dict[str | None, int] = {}
    for dimension, place in fixed.items():
        bound[term.target[dimension].single_axis] = place
    loops = [axis for axis in term.axes if axis.name not in bound]
    extents = [batch if axis.extent is None else axis.extent for axis in loops]
    grids = np.indices(extents, sparse=True) if extents else ()
    axes = {axis.name: grid for axis, grid in zip(loops, grids, strict=True)}
    axes |= {axis.name: np.asarray(bound[axis.name]) for axis in term.axes if axis.name in bound}
    keep = np.ones(extents, dtype=bool)
    for dimension, place in fixed.items():
        keep = keep & (affine_values(term.target[dimension], axes, values) == place)
    for axis in term.axes:
        keep = keep & (axis.name not in bound or bound[axis.name] < axis.size)
        if axis.end is not None and (examples := batch_axis(term.axes)) is not None:
            last = values[axis.end.lengths][axes[examples.name]] + axis.end.shift
            keep = keep & (axes[axis.name] < last)
    # Guards that read no tensor come first: a saved winner may only be read where they hold.
    for guard in sorted(term.guards, key=lambda g: len(g.affine.reads)):
        number = affine_values(guard.affine, axes, values)
        test = {">=": number >= 0, "==": number == 0}.get(guard.kind)
        keep = keep & (number % guard.modulus == 0 if test is None else test)
    arguments = [_read(access, axes, values, keep) for _, access in term.reads]
    value = _body_function(tuple(symbol for symbol, _ in term.reads), term.body, np.dtype(dtype))(*arguments)
    target = [affine_values(index, axes, values) for index in term.target]
    return keep, target, np.asarray(value, dtype)


def _read(access: Access, axes: Arrays, values: Arrays, keep: np.ndarray) -> np.ndarray:
    array = values[access.tensor]
    index = [affine_values(i, axes, values) for i in access.indices]
    inside = _inside(index, array.shape)
    if np.all(inside):
        return np.asarray(array[tuple(index)])
    if access.outside is None:
        if not np.all(inside | ~keep):
            raise CompilerBug(f"a read leaves its tensor: {access}")
        fill = 0.0
    else:
        fill = access.outside
    clipped = tuple(np.clip(i, 0, max(n - 1, 0)) for i, n in zip(index, array.shape, strict=True))
    return np.where(inside, array[clipped], array.dtype.type(fill))


def _inside(index: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    inside: Any = np.True_
    for i, extent in zip(index, shape, strict=True):
        inside = inside & (i >= 0) & (i < extent)
    return inside


def affine_values(affine: Affine, axes: Mapping[str, np.ndarray], values: Arrays) -> np.ndarray:
    """The integer values of an index expression over grids of its axes."""
    total: Any = np.int64(affine.constant)
    for atom, coefficient in affine.terms:
        total = total + coefficient * _atom_values(atom, axes, values)
    return total


def _atom_values(atom: Atom, axes: Mapping[str, np.ndarray], values: Arrays) -> np.ndarray:
    if isinstance(atom, str):
        return axes[atom]
    if isinstance(atom, Read):
        array = values[atom.tensor]
        index = [affine_values(i, axes, values) for i in atom.indices]
        # Clipping is harmless: where an index leaves the array, an earlier guard already fails.
        return array[tuple(np.clip(i, 0, n - 1) for i, n in zip(index, array.shape, strict=True))]
    number = affine_values(atom.numerator, axes, values)
    if isinstance(atom, FloorDiv):
        return number // atom.divisor
    if isinstance(atom, Mod):
        return number % atom.divisor
    raise CompilerBug(f"unknown atom {atom!r}")


def large_integers(body: sympy.Expr) -> dict[sympy.Expr, sympy.Expr]:
    """The whole numbers that no integer of the machine holds: a float to every kernel."""
    return {n: sympy.Float(n) for n in body.atoms(sympy.Integer) if abs(n) >= 2**63}


@lru_cache(maxsize=4096)
def _body_function(reads: tuple[sympy.Symbol, ...], body: sympy.Expr, dtype: np.dtype) -> Callable[..., Any]:
    """The body as a function of what it reads.

    What `sympy.lambdify` prints, without its docstring and its names of arguments in two spellings, which
    take five times as long as the rest. Programs are run again at other points, and share bodies.
    """
    constants = large_integers(body)
    # A constant such as sqrt(2) would be computed as a float64, and make float64 of what it meets.
    found = (node for node in body.atoms(sympy.Pow, sympy.Function) if node.is_number)
    constants |= {node: node.evalf(17) for node in found}
    # A tensor may be called like nothing that Python can call an argument.
    arguments = {s: s if s.name.isidentifier() and not iskeyword(s.name) else sympy.Dummy() for s in reads}
    printer = NumPyPrinter(
        {"fully_qualified_modules": False, "user_functions": {"erf": "erf", "erfc": "erfc"}}
    )
    names = ", ".join(map(printer.doprint, arguments.values()))
    text = f"lambda {names}: ({printer.doprint(body.xreplace(constants | arguments))})"
    # The text is the printer's: names of functions, and arguments.
    own = {"erf": _erf, "erfc": _erfc, "where": partial(_where, dtype), **bfloat16.FUNCTIONS}
    function = eval(text, {**vars(np), **own})

    def evaluate(*arguments: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return evaluate


def _where(dtype: np.dtype, condition: np.ndarray, then: object, otherwise: object) -> np.ndarray:
    """NumPy's own makes integers of two whole numbers, and float64 of what they meet."""
    return np.where(condition, np.asarray(then, dtype), np.asarray(otherwise, dtype))


def _erf(argument: np.ndarray) -> np.ndarray:
    return _erf_of_each(argument).astype(np.asarray(argument).dtype)


def _erfc(argument: np.ndarray) -> np.ndarray:
    return _erfc_of_each(argument).astype(np.asarray(argument).dtype)


_erf_of_each, _erfc_of_each = (np.vectorize(f, otypes=[float]) for f in (math.erf, math.erfc))
