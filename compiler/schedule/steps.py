"""The members of a circle as they are at one step of its loops: definitions of which none reads a later one.

    s[b,t,u] += r[v,u]·h[b,t-1,v]   if t >= 1           s[b,t,u] += r[v,u]·h.earlier[b,t-1,v]   if t >= 1
    h[b,t,u] += tanh(z[b,t,u] + s[b,t,u])         ->    h[b,t,u] += tanh(z[b,t,u] + s[b,t,u])

over axes b, u, v, while t is the variable of a loop around both (`Axis.outer`). What earlier steps have
written is a tensor of another name, that lies where this one does: so a strategy sees no definition that
reads itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Read, atom_of, axis, constant, rebuild_atom
from compiler.ir.tensor.axes import AxisNames
from compiler.ir.tensor.circles import Circle
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Axis, Definition, Term, make_term
from compiler.ir.tensor.rename import rename_axes

Places = Mapping[str, tuple[tuple[int, Axis], ...]]
"""Of each member the dimensions that are carried, each with the axis of its loop, outermost first."""


@dataclass(frozen=True)
class Steps:
    """A loop over steps, and what each step computes in order: definitions, and loops inside of it."""

    axis: Axis
    direction: int
    body: tuple[Definition | Steps, ...]


@dataclass(frozen=True)
class Stepped:
    """A circle at one step."""

    steps: Steps
    places: Places
    earlier: Mapping[str, str]
    """By the name under which earlier steps are read: the member."""


def stepped(entries: tuple[Definition, ...], circle: Circle) -> Stepped:
    """The loops of a circle, whose members are the entries; or the winner of a member is one of them, which
    is found together with it. Raises CompilerBug where a step would write anywhere but at its own place."""
    members = {definition.name: definition for definition in entries}
    beside = [d for d in entries if d.name not in circle.names]
    winner_of = {name: d.name for d in beside for name in circle.names if members[name].terms == d.terms}
    names = AxisNames(_free_names(members, circle))
    levels = list(_levels(circle))
    loops: dict[Circle, Axis] = {}
    places: dict[str, tuple[tuple[int, Axis], ...]] = {}
    for level in levels:
        wanted = _carried_axis(members[level.names[0]], level)
        loops[level] = Axis(names.fresh(wanted or "step"), level.extent, outer=True)
    for name in circle.names:
        around = (level for level in levels if name in level.names)
        places[name] = tuple(zip(circle.carried(name), (loops[level] for level in around), strict=True))
    places.update((winner, places[name]) for name, winner in winner_of.items())
    made = Names(n for d in entries for n in (d.name, *d.tensors))
    earlier = {name: made.fresh(f"{name}.earlier") for name in members}
    ready = {name: _at_a_step(definition, places, earlier) for name, definition in members.items()}

    def loop(level: Circle) -> Steps:
        body: list[Definition | Steps] = []
        for part in level.body:
            body.append(ready[part] if isinstance(part, str) else loop(part))
            if isinstance(part, str) and part in winner_of:
                body.append(ready[winner_of[part]])
        return Steps(loops[level], level.direction, tuple(body))

    return Stepped(loop(circle), places, {alias: name for name, alias in earlier.items()})


def _levels(circle: Circle) -> Iterator[Circle]:
    """Every circle, outer before inner."""
    yield circle
    for part in circle.body:
        if isinstance(part, Circle):
            yield from _levels(part)


def _free_names(members: Mapping[str, Definition], circle: Circle) -> Iterator[str]:
    """Names of axes that are not carried."""
    for name in circle.names:
        for term in members[name].terms:
            carried = {term.target[k].single_axis for k in circle.carried(name)}
            yield from (a.name for a in term.axes if a.name not in carried)


def _carried_axis(definition: Definition, level: Circle) -> str | None:
    dimension = level.dimensions[0]
    return next((term.target[dimension].single_axis for term in definition.terms), None)


def _at_a_step(definition: Definition, places: Places, earlier: Mapping[str, str]) -> Definition:
    own = places[definition.name]

    def name_of(tensor: str, indices: tuple[Affine, ...]) -> str:
        common = [place for place in places.get(tensor, ()) if place[1] in {a for _, a in own}]
        now = all(indices[dimension] == axis(a.name) for dimension, a in common)
        return tensor if now else earlier[tensor]

    terms = (_term(definition, term, own, name_of) for term in definition.terms)
    return replace(definition, terms=tuple(terms))


def _term(
    definition: Definition,
    term: Term,
    own: tuple[tuple[int, Axis], ...],
    name_of: Callable[[str, tuple[Affine, ...]], str],
) -> Term:
    """A term over the axes of the loops, which are the carried ones of its target."""
    names: dict[str, str] = {}
    for dimension, loop in own:
        index = term.target[dimension]
        if index.single_axis is not None:
            names[index.single_axis] = loop.name
        else:
            raise CompilerBug(f"{definition.name}: a step writes at {index}, which is not its own place")
    term = rename_axes(term, names)
    loops = {loop.name for _, loop in own}
    axes = (replace(a, outer=a.name in loops) for a in term.axes)

    def put(affine: Affine) -> Affine:
        total = constant(affine.constant)
        for atom, coefficient in affine.terms:
            if isinstance(atom, str):
                changed = axis(atom)
            elif isinstance(atom, Read):
                indices = tuple(map(put, atom.indices))
                changed = atom_of(Read(name_of(atom.tensor, indices), indices, atom.extent))
            else:
                changed = rebuild_atom(atom, put)
            total = total + changed * coefficient
        return total

    reads = []
    for symbol, access in term.reads:
        indices = tuple(map(put, access.indices))
        reads.append((symbol, replace(access, tensor=name_of(access.tensor, indices), indices=indices)))
    tested = (replace(guard, affine=put(guard.affine)) for guard in term.guards)
    return make_term(axes, map(put, term.target), term.body, reads, tested)
