"""Projections: index maps made of plain axes and of reads of labels, such as `[b, label[b]]`.

With the extents known, of digits too: `[b, 4*g + k]` for k below 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from compiler.ir.affine.expression import Affine, Extent, Read


def projects(indices: Iterable[Affine], extents: Mapping[str, Extent] | None = None) -> bool:
    """Whether every index is an axis, a label read at such indices, or a number.

    With `extents`, an index may also be a number whose digits are axes, as `ravel` makes one.
    """

    def plain(index: Affine) -> bool:
        if index.is_constant or index.single_axis is not None:
            return True
        if extents is not None and is_ravel(index, extents):
            return True
        ((atom, coefficient), *more) = index.terms
        return coefficient == 1 and not index.constant and not more and _is_label(atom)

    def _is_label(atom: object) -> bool:
        return isinstance(atom, Read) and all(map(plain, atom.indices))

    return all(map(plain, indices))


def is_ravel(index: Affine, extents: Mapping[str, Extent]) -> bool:
    """Whether the axes of the index are its digits: each value comes from one place."""
    place = 1
    for atom, coefficient in sorted(index.terms, key=lambda term: term[1]):
        extent = extents[atom] if isinstance(atom, str) else None
        if extent is None or coefficient != place:
            return False
        place *= extent
    return not index.constant
