"""Random systems of recurrence equations, and the same without any: each element a definition of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import sympy
from hypothesis import strategies as st

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Program,
    Reads,
    Tensor,
    Term,
    make_term,
    move_term,
)
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.rename import substitute_axes

UNITS = 2
KINDS = ("linear", "tanh", "product", "contraction")


@dataclass(frozen=True)
class Read:
    """What an equation reads: of which stage, how far away, and how."""

    stage: int
    offsets: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class System:
    """Equations of stages over carried axes of some extents; `largest` says which take a maximum."""

    extents: tuple[int, ...]
    stages: tuple[tuple[Read, ...], ...]
    largest: tuple[bool, ...]


@st.composite
def systems(draw, legal: bool = True) -> System:
    """Systems that some order of steps computes, or any."""
    depth = draw(st.integers(1, 2))
    extents = tuple(draw(st.integers(1, 4 if depth == 1 else 3)) for _ in range(depth))
    directions = tuple(draw(st.sampled_from((1, -1))) for _ in range(depth))
    number = draw(st.integers(1, 3))
    stages = []
    for own in range(number):
        reads = []
        for _ in range(draw(st.integers(1, 2))):
            stage = draw(st.integers(0, number - 1))
            offsets = tuple(draw(st.integers(-1, 1)) for _ in range(depth))
            if legal:
                offsets = _back(offsets, directions, stage < own)
            reads.append(Read(stage, offsets, draw(st.sampled_from(KINDS))))
        stages.append(tuple(reads))
    largest = tuple(draw(st.booleans()) and draw(st.booleans()) for _ in range(number))
    return System(extents, tuple(stages), largest)


def _back(offsets: tuple[int, ...], directions: tuple[int, ...], earlier: bool) -> tuple[int, ...]:
    """The offsets turned round where they go forward; a read of the same place where that is earlier."""
    for offset, direction in zip(offsets, directions, strict=True):
        if offset * direction < 0:
            return offsets
        if offset * direction > 0:
            return tuple(-o for o in offsets)
    return offsets if earlier else (-directions[0], *offsets[1:])


def program_of(system: System) -> Program:
    """The system, with circles where there are some; the loss is a weighted sum of the last stage."""
    names = ("i", "j")[: len(system.extents)]
    shape = (None, *system.extents, UNITS)
    axes = (Axis("b", None), *map(Axis, names, system.extents), Axis("u", UNITS))
    place = tuple(axis(a.name) for a in axes)
    inputs = (
        Tensor("x", shape, "input"),
        Tensor("weight", shape, "input"),
        Tensor("w", (UNITS, UNITS), "parameter"),
    )
    definitions = [
        _definition(f"s{k}", shape, axes, place, reads, largest)
        for k, (reads, largest) in enumerate(zip(system.stages, system.largest, strict=True))
    ]
    last = Reads()
    body = last.symbol(Access("weight", place)) * last.symbol(Access(definitions[-1].name, place))
    loss = Definition("loss", (), "sum", (make_term(axes, (), body, last.pairs()),))
    return Program(inputs, in_order([*definitions, loss]), ("loss",))


def _definition(
    name: str,
    shape: tuple[int | None, ...],
    axes: tuple[Axis, ...],
    place: tuple[Affine, ...],
    read: Sequence[Read],
    largest: bool,
) -> Definition:
    if largest:
        return Definition(name, shape, "max", (_maximum(axes, place, read[0]),))
    terms = [move_term(axes, place, Access("x", place))]
    terms += [_term(axes, place, one) for one in read]
    return Definition(name, shape, "sum", tuple(terms))


def _access(place: tuple[Affine, ...], read: Read, unit: Affine) -> Access:
    moved = (index + offset for index, offset in zip(place[1:-1], read.offsets, strict=True))
    return Access(f"s{read.stage}", (place[0], *moved, unit), 0.0)


def _term(axes: tuple[Axis, ...], place: tuple[Affine, ...], read: Read) -> Term:
    reads = Reads()
    if read.kind == "contraction":
        value = reads.symbol(_access(place, read, axis("v")))
        body = value * reads.symbol(Access("w", (axis("v"), axis("u"))))
        return make_term((*axes, Axis("v", UNITS)), place, body, reads.pairs())
    value = reads.symbol(_access(place, read, place[-1]))
    bodies = {"linear": value / 2, "tanh": sympy.tanh(value), "product": value}
    body = bodies[read.kind]
    if read.kind == "product":
        body = body * reads.symbol(Access("x", place)) / 2
    return make_term(axes, place, body, reads.pairs())


def _maximum(axes: tuple[Axis, ...], place: tuple[Affine, ...], read: Read) -> Term:
    """The largest of what is read, of any unit, and a weight."""
    reads = Reads()
    body = reads.symbol(_access(place, read, axis("v"))) + reads.symbol(Access("w", (axis("v"), axis("u"))))
    return make_term((*axes, Axis("v", UNITS)), place, body + reads.symbol(Access("x", place)), reads.pairs())


def unrolled(program: Program, extents: tuple[int, ...]) -> Program:
    """The program with a definition for each place of the carried axes i and j.

    Raises RecursionError where an element needs itself."""
    stages = [d for d in program.definitions if d.name != "loss"]
    names = ("i", "j")[: len(extents)]
    elements = [
        _element(stage, dict(zip(names, point, strict=True)), program)
        for point in product(*map(range, extents))
        for stage in stages
    ]
    if _has_cycle({d.name: d.tensors for d in elements}):
        raise RecursionError
    (whole,) = program.definition("loss").terms
    points = (dict(zip(names, point, strict=True)) for point in product(*map(range, extents)))
    loss = tuple(_at(whole, point, program) for point in points)
    last = Definition("loss", (), "sum", loss)
    return Program(program.inputs, in_order([*elements, last]), program.outputs)


def element_name(name: str, point: Sequence[int]) -> str:
    return "_".join([name, *map(str, point)])


def _element(stage: Definition, point: Mapping[str, int], program: Program) -> Definition:
    terms = tuple(_at(term, point, program) for term in stage.terms)
    name = element_name(stage.name, tuple(point.values()))
    kept = tuple(replace(t, target=(t.target[0], t.target[-1])) for t in terms)
    return Definition(name, (stage.shape[0], stage.shape[-1]), stage.operation, kept)


def _at(term: Term, point: Mapping[str, int], program: Program) -> Term:
    """The term at one place, reading elements; what is outside is 0."""
    axes = tuple(a for a in term.axes if a.name not in point)
    fixed = substitute_axes(term, {name: constant(value) for name, value in point.items()}, axes)
    reads, body = [], fixed.body
    for symbol, access in fixed.reads:
        if access.tensor in {tensor.name for tensor in program.inputs}:
            reads.append((symbol, access))
            continue
        where = tuple(index.constant for index in access.indices[1:-1])
        shape = program.shape(access.tensor)[1:-1]
        if all(0 <= k < n for k, n in zip(where, shape, strict=True)):
            name = element_name(access.tensor, where)
            reads.append((symbol, Access(name, (access.indices[0], access.indices[-1]))))
        else:
            body = body.xreplace({symbol: sympy.S.Zero})
    return make_term(axes, fixed.target, body, reads, fixed.guards)


def _has_cycle(reads: Mapping[str, Sequence[str]]) -> bool:
    waiting = {name: {r for r in names if r in reads} for name, names in reads.items()}
    while waiting:
        ready = {name for name, needs in waiting.items() if not needs & waiting.keys()}
        if not ready:
            return True
        waiting = {name: needs for name, needs in waiting.items() if name not in ready}
    return False
