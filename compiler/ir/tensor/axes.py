"""What one asks of axes, and names for new ones.

The batch is the axis whose extent is None; a tensor with a row for each example has None in its shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from compiler.ir.affine.domain import Axis, Shape
from compiler.ir.affine.expression import Affine


class Domain(Protocol):
    """What runs over axes: a term, or the nest of one."""

    @property
    def axes(self) -> tuple[Axis, ...]: ...


def runs_over_batch(*domains: Domain) -> bool:
    """Whether any of these runs over the batch: `w̄[i] += x[b,i]·ȳ[b]` does, `w̄[i] += λ·w[i]` does not."""
    return any(batch_axis(domain.axes) is not None for domain in domains)


def batch_axis(axes: Iterable[Axis]) -> Axis | None:
    """The first of these axes that runs over the batch, None where none does."""
    return next((a for a in axes if a.extent is None), None)


def batch_first(axes: Iterable[Axis]) -> list[Axis]:
    """The same axes in the same order, but the batch before all others."""
    return sorted(axes, key=lambda a: a.extent is not None)


def has_batch(shape: Shape) -> bool:
    """Whether a tensor of this shape has a row for each example."""
    return None in shape


def plain_axes(indices: Sequence[Affine]) -> tuple[str, ...] | None:
    """The axis that each index is, where each is one axis and no two are the same: for `[b, h]` b and h.

    None for `[b, h + 1]`, `[h, h]`, `[b, 0]`."""
    names = tuple(index.single_axis for index in indices if index.single_axis is not None)
    return names if len(set(names)) == len(indices) else None


def are_whole(indices: Sequence[Affine], axes: Iterable[Axis], shape: Shape) -> bool:
    """Whether each index is an axis of its own, of these, over a whole dimension: every element is met."""
    names, extents = plain_axes(indices), {a.name: a.extent for a in axes}
    return names is not None and all(extents[name] == n for name, n in zip(names, shape, strict=True))


def are_all(indices: Sequence[Affine], axes: Sequence[Axis], shape: Shape) -> bool:
    """Whether the indices are whole, and no axis is left: every element is met once."""
    return len(indices) == len(axes) and are_whole(indices, axes, shape)


class AxisNames:
    """Makes names of axes that are not among those `taken`, and that are different from each other."""

    def __init__(self, taken: Iterable[str] = ()):
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """`wanted`, or the first of `wanted1`, `wanted2`, … that is free; never the same name twice."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}{number}"
        self._taken.add(name)
        return name
