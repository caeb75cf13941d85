"""Row-major layout: from an access to an element offset, and from axes to loop bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Extent, axis, constant
from compiler.ir.loops.grammar import Body, Fill, Limit, Loop
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Axis, Guard, Shape

BATCH = axis("batch")
"""The number of examples in the tile at hand, as an affine expression of the kernel's variable."""


def row_size(shape: Shape) -> int:
    """Elements of one example (all elements, when there is no batch dimension)."""
    size = 1
    for extent in shape:
        size *= 1 if extent is None else extent
    return size


def clear(name: str, shape: Shape) -> Fill:
    """Sets every element of a tensor to zero."""
    size = row_size(shape)
    return Fill(name, BATCH * size if has_batch(shape) else constant(size))


def extent_of(a: Axis, batch: int) -> int:
    """Points of an axis when a tile holds so many examples."""
    return batch if a.extent is None else a.extent


def aligned(size: int, unit: int) -> int:
    """The smallest multiple of `unit` that is at least `size`."""
    return -(-size // unit) * unit


def strides(shape: Shape) -> tuple[int, ...]:
    """Elements between neighbours along each dimension; the batch may only be the first dimension."""
    if has_batch(shape[1:]):
        raise CompilerBug(f"the batch must be the first dimension of a stored tensor, found shape {shape}")
    result = []
    step = 1
    for extent in reversed(shape):
        result.append(step)
        step *= 1 if extent is None else extent
    return tuple(reversed(result))


def offset(indices: tuple[Affine, ...], shape: Shape) -> Affine:
    """The element offset of an access into a tensor stored in row-major order."""
    total = constant(0)
    for index, stride in zip(indices, strides(shape), strict=True):
        total = total + index * stride
    return total


def extent_limit(extent: Extent) -> Limit:
    return Limit(BATCH if extent is None else constant(extent))


def end_limits(loop_axis: Axis) -> tuple[Limit, ...]:
    """Where an axis ends by a local integer, if it does."""
    end = loop_axis.end
    return () if end is None else (Limit(axis(end.lengths) + end.shift),)


def loops_over(axes: Sequence[Axis], body: Body) -> Body:
    """The body for every point of axes, of which the first is outermost."""
    for a in reversed(axes):
        body = (Loop(a.name, (Limit(constant(0)),), (extent_limit(a.extent),), body),)
    return body


def loop_limits(
    loop_axis: Axis, guards: Iterable[Guard], outer: frozenset[str]
) -> tuple[tuple[Limit, ...], tuple[Limit, ...], tuple[Guard, ...]]:
    """Bounds of one loop from the guards that become decidable in it.

    `outer` are the axes of the loops around it. A guard whose axes are all outer but this one turns into
    a bound: `a·x + rest >= 0` is `x >= ⌈-rest/a⌉` for a > 0 and `x < ⌊rest/-a⌋ + 1` for a < 0. Returns
    (lower bounds, exclusive upper bounds, the guards used).
    """
    lower, upper = [Limit(constant(0))], [extent_limit(loop_axis.extent), *end_limits(loop_axis)]
    used = []
    for guard in guards:
        if not _bounds_axis(guard, loop_axis.name, outer):
            continue
        slope = guard.affine.coefficient(loop_axis.name)
        rest = guard.affine - slope * axis(loop_axis.name)
        if slope > 0:
            lower.append(Limit(-rest, slope))
        else:
            upper.append(Limit(rest + -slope, -slope))
        used.append(guard)
    return _tightest(lower, max), _tightest(upper, min), tuple(used)


def _bounds_axis(guard: Guard, name: str, outer: frozenset[str]) -> bool:
    affine = guard.affine
    plain = all(isinstance(atom, str) for atom, _ in affine.terms)
    return guard.kind == ">=" and plain and affine.coefficient(name) != 0 and affine.axes <= outer | {name}


def _tightest(limits: list[Limit], choose: Callable[[Iterable[int]], int]) -> tuple[Limit, ...]:
    """Merge constant bounds into one; the others stand as they are."""
    constants, others = [], []
    for limit in limits:
        if limit.affine.is_constant:
            value = limit.affine.constant
            # A lower bound is rounded up, an upper one down.
            constants.append(-(-value // limit.divisor) if choose is max else value // limit.divisor)
        else:
            others.append(limit)
    if constants:
        others.insert(0, Limit(constant(choose(constants))))
    return tuple(dict.fromkeys(others))
