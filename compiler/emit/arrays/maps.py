"""How a library reads an array at the indices of a term: a slice, a transposition, an index grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.ir.affine.domain import Shape
from compiler.ir.affine.expression import Affine, Extent
from compiler.ir.tensor.axes import plain_axes


@dataclass(frozen=True)
class Slice:
    """An index that runs over one axis, or is a number: `start + step*axis`."""

    axis: str | None
    start: int
    step: int


def slices(
    indices: Sequence[Affine], extents: Mapping[str, Extent], shape: Shape
) -> tuple[Slice, ...] | None:
    """The indices as slices that stay inside; None where one is more, is decided
    by a loop around, or an axis is there twice."""
    found = [_slice(index) for index in indices]
    if any(s is None for s in found):
        return None
    parts = tuple(s for s in found if s is not None)
    axes = [s.axis for s in parts if s.axis is not None]
    if len(set(axes)) < len(axes) or not extents.keys() >= set(axes):
        return None
    if any(not _stays(s, extents, n) for s, n in zip(parts, shape, strict=True)):
        return None
    return parts


def _slice(index: Affine) -> Slice | None:
    if index.is_constant:
        return Slice(None, index.constant, 1)
    if len(index.terms) > 1:
        return None
    atom, step = index.terms[0]
    return Slice(atom, index.constant, step) if isinstance(atom, str) and step > 0 else None


def _stays(s: Slice, extents: Mapping[str, Extent], extent: Extent) -> bool:
    if s.axis is None:
        return extent is not None and 0 <= s.start < extent
    size = extents[s.axis]
    if size is None or extent is None:
        return size is extent and (s.start, s.step) == (0, 1)
    return s.start >= 0 and s.start + s.step * (size - 1) < extent


def slice_text(s: Slice, extents: Mapping[str, Extent], extent: Extent) -> str:
    """A slice as it stands between brackets: `:`, `2:5`, `1::2`, `0`."""
    if s.axis is None:
        return str(s.start)
    size = extents[s.axis]
    if size is None or (s.start, s.step, size) == (0, 1, extent):
        return ":"
    end = s.start + s.step * (size - 1) + 1
    step = f":{s.step}" if s.step != 1 else ""
    return f"{s.start or ''}:{end}{step}"


def letters_of(axes: Sequence[str]) -> dict[str, str]:
    """One letter for each axis, as a contraction is written: its own first letter, where that is free."""
    letters: dict[str, str] = {}
    for name in axes:
        wanted = [c for c in name if c.isascii() and c.islower()] + list("ijklmnopqrstuvwxyzabcdefgh")
        letters[name] = next(c for c in wanted if c not in letters.values())
    return letters


def is_plain(indices: Sequence[Affine], extents: Mapping[str, Extent], shape: Shape) -> bool:
    """Whether the indices are different axes, each over its whole dimension."""
    names = plain_axes(indices)
    return names is not None and all(
        a in extents and extents[a] == n for a, n in zip(names, shape, strict=True)
    )
