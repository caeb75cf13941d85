"""The same program with short loops, for a check whose time must not depend on the real extents.

Dimensions and axes that must be equally long form a class: an axis that is the plain index of a dimension is
as long as that dimension, and so is the range of a label that indexes it. A class of which anything else is
asked (a window, a division, an argmax over several axes) keeps its extent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from compiler.ir.affine.expression import Affine, Extent, Read, atom_of, rebuild_atom
from compiler.ir.tensor.editing import mapped
from compiler.ir.tensor.program import Axis, Definition, Program, Tensor, Term

SHORT = 3

Member = tuple[str, str, int | str]
"""`("axis", place, name)`, `("dimension", tensor, position)` or `("values", tensor, 0)`."""


def shrink(program: Program, alike: Iterable[tuple[str, str]] = ()) -> Program:
    """The program with every class of extents that allows it cut down to `SHORT`.

    Tensors that are `alike` keep equal shapes, whatever is asked of one of them alone.
    """
    classes = _Classes()
    for one, other in alike:
        for position in range(len(program.shape(one))):
            classes.join(("dimension", one, position), ("dimension", other, position))
    for tensor in program.inputs:
        if tensor.dtype == "index" and tensor.limit is None:
            classes.fix(_values(tensor.name))
    for definition in program.definitions:
        for place, term in _places(definition):
            _constrain(classes, program, definition, place, term)
    return mapped(program, partial(_short_tensor, classes), partial(_short_definition, classes))


@dataclass
class _Classes:
    """Union-find over members; `fixed` holds the roots of classes that keep their extent."""

    parent: dict[Member, Member] = field(default_factory=dict)
    fixed: set[Member] = field(default_factory=set)

    def root(self, member: Member) -> Member:
        passed = []
        while (above := self.parent.setdefault(member, member)) != member:
            passed.append(member)
            member = above
        # Paths are cut short, or a chain of a thousand layers would be walked a thousand times.
        self.parent.update(dict.fromkeys(passed, member))
        return member

    def join(self, one: Member, other: Member) -> None:
        below, above = self.root(one), self.root(other)
        self.parent[below] = above
        if below in self.fixed:
            self.fixed.add(above)

    def fix(self, *members: Member) -> None:
        self.fixed.update(map(self.root, members))

    def short(self, member: Member, extent: Extent) -> Extent:
        return extent if extent is None or self.root(member) in self.fixed else min(extent, SHORT)


def _values(tensor: str) -> Member:
    return "values", tensor, 0


def _places(definition: Definition) -> Iterable[tuple[str, Term]]:
    return ((f"{definition.name} {number}", term) for number, term in enumerate(definition.terms))


def _constrain(classes: _Classes, program: Program, definition: Definition, place: str, term: Term) -> None:
    extents = term.extents

    def index(tensor: str, indices: tuple[Affine, ...], padded: bool) -> None:
        for position, (affine, extent) in enumerate(zip(indices, program.shape(tensor), strict=True)):
            dimension = ("dimension", tensor, position)
            name, label = affine.single_axis, _single_read(affine)
            if not padded and name is not None and extents[name] == extent:
                classes.join(("axis", place, name), dimension)
            elif not padded and label is not None and label.extent == extent:
                classes.join(_values(label.tensor), dimension)
            else:
                classes.fix(dimension, *(("axis", place, name) for name in _computed_with(affine)))
                classes.fix(*(_values(read.tensor) for read in affine.reads))
            for read in affine.reads:
                index(read.tensor, read.indices, False)

    index(definition.name, term.target, False)
    for _, access in term.reads:
        index(access.tensor, access.indices, access.outside is not None)
    for guard in term.guards:
        classes.fix(*(("axis", place, name) for name in _computed_with(guard.affine)))
        classes.fix(*(_values(read.tensor) for read in guard.affine.reads))
        for read in guard.affine.reads:
            index(read.tensor, read.indices, False)
    if definition.dtype == "index":
        reduced = [("axis", place, a.name) for a in term.reduction_axes]
        if len(reduced) == 1:
            classes.join(reduced[0], _values(definition.name))
        else:
            classes.fix(_values(definition.name), *reduced)


def _computed_with(affine: Affine) -> list[str]:
    """Axes that the expression computes with; not those that only say where an integer tensor is read."""
    names: list[str] = []
    for atom, _ in affine.terms:
        if isinstance(atom, str):
            names.append(atom)
        elif not isinstance(atom, Read):
            names += _computed_with(atom.numerator)
    return names


def _single_read(affine: Affine) -> Read | None:
    if affine.constant or len(affine.terms) != 1:
        return None
    ((atom, coefficient),) = affine.terms
    return atom if coefficient == 1 and isinstance(atom, Read) else None


def _short_tensor(classes: _Classes, tensor: Tensor) -> Tensor:
    limit = classes.short(_values(tensor.name), tensor.limit)
    return replace(tensor, shape=_short_shape(classes, tensor.name, tensor.shape), limit=limit)


def _short_shape(classes: _Classes, name: str, shape: tuple[Extent, ...]) -> tuple[Extent, ...]:
    return tuple(classes.short(("dimension", name, k), extent) for k, extent in enumerate(shape))


def _short_definition(classes: _Classes, definition: Definition) -> Definition:
    terms = tuple(_short_term(classes, place, term) for place, term in _places(definition))
    return replace(definition, shape=_short_shape(classes, definition.name, definition.shape), terms=terms)


def _short_term(classes: _Classes, place: str, term: Term) -> Term:
    def put(affines: Iterable[Affine]) -> tuple[Affine, ...]:
        return tuple(_short_affine(classes, affine) for affine in affines)

    axes = tuple(Axis(a.name, classes.short(("axis", place, a.name), a.extent)) for a in term.axes)
    reads = tuple((s, replace(access, indices=put(access.indices))) for s, access in term.reads)
    guards = tuple(replace(g, affine=_short_affine(classes, g.affine)) for g in term.guards)
    return Term(axes, put(term.target), term.body, reads, guards)


def _short_affine(classes: _Classes, affine: Affine) -> Affine:
    total = Affine((), affine.constant)
    for atom, coefficient in affine.terms:
        if isinstance(atom, str):
            changed = atom_of(atom)
        else:
            changed = rebuild_atom(atom, lambda inner: _short_affine(classes, inner))
            read = changed.terms[0][0] if len(changed.terms) == 1 else None
            if isinstance(atom, Read) and isinstance(read, Read):
                extent = classes.short(_values(atom.tensor), atom.extent)
                changed = atom_of(replace(read, extent=read.extent if extent is None else extent))
        total = total + changed * coefficient
    return total
