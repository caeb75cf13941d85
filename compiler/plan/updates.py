"""Updates in the registers in which gradients are summed: what nobody else needs never reaches memory.

    w̄[i,o]     += x[b,i]·ȳ[b,o]          at once, over the whole batch
    w.new[i,o] += w[i,o] - rate[]·w̄[i,o]          in the same kernel, written over w

A step of training is then one program: that of the gradient, and behind it the optimizer's formulas over the
axes of each such parameter. All others are updated as they are by themselves, over what is left of the arena.

A parameter is updated so where its gradient is one sum that runs once, which only the update reads; where the
update is a formula of each value by itself; and where the arrays do not stay in a cache. Everybody who reads
the parameter runs before: that a phase has to wait for is said in `JoinedStep.behind`, and the verifier of
routines sees it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from compiler.ir.affine.expression import axis
from compiler.ir.module.entry_point import EntryPoint, Role
from compiler.ir.module.grammar import Storage
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Program,
    Shape,
    Tensor,
    Term,
    element_axes,
    make_term,
)
from compiler.ir.tensor.rename import reading
from compiler.ir.tensor.verify import verify
from compiler.machine.elements import REALS
from compiler.plan.kernels import Kernels
from compiler.plan.plan import Plan, make_plan
from compiler.plan.stages import Behind
from compiler.plan.storage import ARENA_ALIGNMENT, placed
from compiler.schedule.layout import aligned, row_size
from compiler.schedule.settings import Settings


@dataclass(frozen=True)
class Updated:
    """A parameter that is updated where its gradient is summed."""

    parameter: str
    gradient: str
    saved: int
    """Bytes that a step does not move: the gradient is neither written nor read."""


@dataclass(frozen=True)
class JoinedStep:
    """A step of training as one program."""

    entry: EntryPoint
    updated: tuple[Updated, ...]
    behind: Behind
    """For each definition that writes over a parameter, or waits with such a one: who must have run."""
    left: tuple[tuple[int, int], ...]
    """Ranges of the arena whose values the update changes by itself."""


def candidates(
    training: EntryPoint, update: EntryPoint, storage: Storage, settings: Settings
) -> tuple[Updated, ...]:
    """The parameters that can be updated where their gradients are summed, and for which that pays. Both
    programs are as they are planned."""
    if not _is_of_each_value(update) or any(t.kind == "step" for t in training.program.inputs):
        return ()
    gradients = training.results("gradient")
    found = (_candidate(name, of, training.program, storage, settings) for name, of in gradients.items())
    return tuple(one for one in found if one is not None)


def _is_of_each_value(update: EntryPoint) -> bool:
    """Whether the update is of all values as one array, each by itself, and all that it makes is kept: what
    is not stored would not be rounded."""
    program = update.program
    if "gradients" not in {role.use for role in update.roles.values()}:
        return False
    for definition in program.definitions:
        over = has_batch(definition.shape)
        plain = definition.operation == "sum" and definition.dtype == "real" and len(definition.terms) == 1
        if over and not (plain and definition.name in program.results and _is_pointwise(definition.terms[0])):
            return False
        if not over and any(has_batch(program.shape(name)) for name in definition.tensors):
            return False
    return True


def _is_pointwise(term: Term) -> bool:
    (a, *others) = term.axes
    here = (axis(a.name),)
    plain = not (others or term.guards) and term.target == here
    return plain and all(access.indices in ((), here) for _, access in term.reads)


def _candidate(
    gradient: str, parameter: str, program: Program, storage: Storage, settings: Settings
) -> Updated | None:
    definition = program.definition(gradient)
    if definition is None or not definition.at_once or program.readers[gradient]:
        return None
    if parameter not in program or program.shape(parameter) != definition.shape:
        return None
    size = row_size(definition.shape) * REALS[settings.dtype].bytes
    costs = settings.machine.costs(settings.dtype)
    saved = size * (costs.written_passes + 1)
    # Gradients, parameters and slots: where all of them stay in a cache, nothing is saved.
    arrays = (2 + len(storage.slots)) * REALS[settings.dtype].bytes * storage.parameters.size
    if arrays <= costs.updated_bytes or saved <= costs.phase_bytes:
        return None
    return Updated(parameter, gradient, saved)


def joined_step(
    name: str, training: EntryPoint, update: EntryPoint, updated: tuple[Updated, ...], storage: Storage
) -> JoinedStep:
    """The program of a step in which these parameters are updated where their gradients are summed."""
    program, names = training.program, training.program.names()
    once = {t.name: names.fresh(t.name) for t in update.program.inputs if not has_batch(t.shape)}
    once |= {d.name: names.fresh(d.name) for d in update.program.definitions if not has_batch(d.shape)}
    inputs, roles = [], dict(training.roles)
    for tensor in update.program.inputs:
        if tensor.name in once:
            inputs.append(replace(tensor, name=once[tensor.name]))
            roles[once[tensor.name]] = update.roles[tensor.name]
    definitions = [
        replace(reading(definition, once), name=once[definition.name])
        for definition in update.program.definitions
        if definition.name in once
    ]
    names_of = {one.gradient for one in updated}
    gradients = {d.name: d for d in program.definitions if d.name in names_of}
    outputs = [output for output in program.outputs if output not in gradients]
    behind: dict[str, frozenset[str]] = {}
    for one in updated:
        made = _formulas(one, program, update, once, names)
        inputs += made.inputs
        roles |= made.roles
        definitions += [gradients[one.gradient], *made.definitions]
        outputs += [d.name for d in made.definitions]
        readers = frozenset(reader.name for reader in program.readers[one.parameter])
        behind |= dict.fromkeys((one.gradient, *(d.name for d in made.definitions)), readers)
    kept = [definition for definition in program.definitions if definition.name not in gradients]
    joined = program.replace(inputs=(*program.inputs, *inputs), outputs=tuple(outputs))
    joined = joined.with_definitions((*kept, *definitions))
    entry = EntryPoint(name, joined, {n: r for n, r in roles.items() if n in joined}, "step")
    return JoinedStep(entry, updated, behind, tuple(_left({one.parameter for one in updated}, storage)))


@dataclass(frozen=True)
class _Formulas:
    """What the update of one parameter is: over its axes, and all at once."""

    inputs: tuple[Tensor, ...]
    definitions: tuple[Definition, ...]
    roles: Mapping[str, Role]


def _formulas(
    one: Updated, program: Program, update: EntryPoint, once: Mapping[str, str], names: Names
) -> _Formulas:
    shape, origin = program.shape(one.parameter), program[one.parameter].origin
    put, inputs, roles = dict(once), [], {}
    for tensor in update.program.inputs:
        if tensor.name in once:
            continue
        role = update.roles[tensor.name]
        if role.use == "slot":
            put[tensor.name] = names.fresh(f"{one.parameter}.{role.of}")
            inputs.append(replace(tensor, name=put[tensor.name], shape=shape, origin=origin))
            roles[put[tensor.name]] = Role("slot", role.of, one.parameter)
        else:
            put[tensor.name] = one.gradient if role.use == "gradients" else one.parameter
    definitions = []
    for definition in update.program.definitions:
        if definition.name in once:
            continue
        made = put[definition.name] = names.fresh(f"{one.parameter}.{definition.name}")
        role = update.roles[definition.name]
        of = role.of if role.use == "slot" else one.parameter
        roles[made] = Role("slot", of, one.parameter) if role.use == "slot" else Role("parameter", of)
        over = replace(_renamed(definition, made, put, shape), shape=shape, origin=origin, at_once=True)
        definitions.append(over)
    return _Formulas(tuple(inputs), tuple(definitions), roles)


def _renamed(definition: Definition, name: str, put: Mapping[str, str], shape: Shape) -> Definition:
    """A definition of another name that reads tensors of other names, over the axes of a `shape`."""
    axes = element_axes(shape)
    here = tuple(axis(a.name) for a in axes)
    (term,) = definition.terms
    reads = ((s, Access(put[a.tensor], here if a.indices else ())) for s, a in term.reads)
    return replace(definition, name=name, terms=(make_term(axes, here, term.body, reads),))


def _left(updated: Collection[str], storage: Storage) -> Iterator[tuple[int, int]]:
    """Ranges of the arena without these parameters, as long as they can be."""
    begin = 0
    for row in storage.parameters.rows:
        if row.name not in updated:
            continue
        first = storage.parameters.offsets[row.name]
        if first > begin:
            yield begin, first
        begin = first + aligned(row_size(row.shape), ARENA_ALIGNMENT)
    if begin < storage.parameters.size:
        yield begin, storage.parameters.size


def planned_step(
    name: str,
    training: EntryPoint,
    update: EntryPoint,
    least: int,
    storage: Storage,
    settings: Settings,
    kernels: Kernels,
) -> tuple[JoinedStep, Plan] | None:
    """The step as one program, and its plan; None where no parameter is updated in registers."""
    updated = candidates(training, update, storage, settings)
    while updated:
        step = joined_step(name, training, update, updated, storage)
        verify(step.entry.program)
        where = placed(step.entry, storage)
        program = step.entry.program
        plan = make_plan(name, program, settings, where.given, where.lanes, kernels, step.behind)
        touched = {tensor for call in plan.calls for tensor in call.tensors}
        inside = tuple(one for one in updated if one.gradient not in touched)
        if inside == updated:
            return step, replace(plan, least=least)
        updated = inside
    return None
