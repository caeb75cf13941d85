"""Where what a call is given and gives lies in memory: from the rows of a signature, by role.

parameters   one arena, in the order of the model, each at a multiple of 16 values
gradients    laid out like it, and behind them the values (the loss, its derivative) that a call gives
states       behind the slots of the optimizer, each as large as the arena; behind them what a step makes
             of states
of examples  states of the examples of a batch, one after another for all of it; behind them what it makes of
             these
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from compiler.errors import CompilerBug
from compiler.ir.module.entry_point import EntryPoint, Role
from compiler.ir.module.grammar import Layout, Place, Storage
from compiler.ir.module.signature import Row, Signature
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.ir.tensor.program import Program, Shape
from compiler.schedule.layout import aligned, row_size

ARENA_ALIGNMENT = 16
"""Parameters start at multiples of 16 values: a cache line in float32."""


def storage_of(signature: Signature) -> Storage:
    """The arrays for all parameters, states and slots of a signature."""
    slots = tuple(row.name for row in signature.of("slot"))
    inputs, outputs = signature.of("input"), signature.of("output")
    of_examples = signature.of("example_state")
    parameters = layout(signature.of("parameter"))
    # Values that are no sums over the batch stand between the gradients and them.
    first = parameters.size + ARENA_ALIGNMENT * len(signature.of("value"))
    sums = layout(signature.of("sum", "metric"))
    return Storage(
        *(parameters, layout(signature.of("state"))),
        example_states=_starts(of_examples),
        example_state_values=_values(of_examples),
        slots=slots,
        inputs=_starts(inputs),
        outputs=_starts(outputs),
        input_values=_values(inputs),
        output_values=_values(outputs),
        sums=sums,
        first_sum=first,
    )


def _values(rows: Iterable[Row]) -> int:
    """Values of an example of all rows."""
    return sum(row_size(row.shape) for row in rows)


def _starts(rows: Iterable[Row]) -> dict[str, int]:
    """Values of an example in front of each row's, where all lie one after another."""
    rows = tuple(rows)
    ends = accumulate((row_size(row.shape) for row in rows), initial=0)
    return dict(zip((row.name for row in rows), ends, strict=False))


def layout(rows: Iterable[Row]) -> Layout:
    """Rows without a batch axis, one after another."""
    rows = tuple(rows)
    offsets: dict[str, int] = {}
    end = 0
    for row in rows:
        offsets[row.name] = end
        end += aligned(row_size(row.shape), ARENA_ALIGNMENT)
    return Layout(rows, offsets, max(end, ARENA_ALIGNMENT))


@dataclass(frozen=True)
class Placed:
    """What a plan is made with: places of what is given and given back, and offsets of sums in a lane."""

    given: Mapping[str, Place]
    lanes: Mapping[str, int]


def placed(entry: EntryPoint, storage: Storage, behind: int = 0) -> Placed:
    """Place what an entry point is given and what it gives.

    What a program over all parameters sums goes `behind` the sums of others, which are still to be read.
    """
    program, offsets = entry.program, storage.parameters.offsets
    known = (t for t in program.inputs if t.name in entry.roles)
    given = {t.name: _given(entry.roles[t.name], t.shape, storage) for t in known}
    given |= batch_outputs(entry, storage)
    lanes: dict[str, int] = {}
    values = [name for name in program.outputs if entry.roles[name].use in ("value", "measure", "slope")]
    for name in program.outputs:
        role, summed = entry.roles[name], _summed_over_batch(program, name)
        if role.use == "sum":
            lanes[name] = storage.first_sum + storage.sums.offsets[role.of]
        elif role.use == "gradient" and name not in given:
            lanes[name] = offsets[role.of]
        elif name in values and not summed:
            # A loss with penalties is more than a sum over the batch: it is put among the sums when whole.
            lanes[name] = storage.parameters.size + values.index(name) * ARENA_ALIGNMENT
        elif name not in values and name not in given:
            given[name] = _given(role, program.shape(name), storage)
        if name in lanes and not summed:
            given[name] = Place("total", lanes[name])
    if entry.batch == "parameters":
        _check_in_place(entry, given)
        sums = [d.name for d in program.definitions if d.shape == () and _summed_over_batch(program, d.name)]
        first = aligned(behind, ARENA_ALIGNMENT)
        lanes = {name: first + number * ARENA_ALIGNMENT for number, name in enumerate(sums)}
    return Placed(given, lanes)


def batch_outputs(entry: EntryPoint, storage: Storage) -> dict[str, Place]:
    """Places of results with a value for each example, in the array that the caller gives for them.

    Gradients of examples are laid out like the arena; everything else follows, in order.
    """
    program = entry.program
    each = entry.results("example_gradient")
    places = {name: Place("output", storage.parameters.offsets[of]) for name, of in each.items()}
    end = storage.parameters.size if each else 0
    for name in program.outputs:
        given = entry.roles[name].use in ("output", "gradient", "example_value")
        if given and has_batch(program.shape(name)):
            places[name] = Place("output", end)
            end += row_size(program.shape(name))
    return places


def _given(role: Role, shape: Shape, storage: Storage) -> Place:
    """Where a tensor of this role lies that a program is given, or that it writes over such a one."""
    arena, states = storage.parameters, storage.states
    match role.use:
        case "input" | "label":
            return Place(role.use)
        case "parameter":
            return Place("parameter", arena.offsets[role.of])
        case "parameters":
            return Place("parameter")
        case "gradients":
            return Place("total")
        case "gradient":
            return Place("total", arena.offsets[role.of])
        case "slot":
            first = arena.offsets[role.part] if role.part else 0
            return Place("state", storage.slots.index(role.of) * arena.size + first)
        case "sum" | "metric":
            return Place("total", storage.first_sum + storage.sums.offsets[role.of])
        case "state":
            return Place("state", storage.first_state + states.offsets[role.of])
        case "new_state":
            # A step of training copies the new states over the old ones; no other call does.
            return Place("state", storage.first_state + states.size + states.offsets[role.of])
        case "example_state":
            return Place("example_state", storage.example_states[role.of])
        case "new_example_state":
            return Place("example_state", storage.example_state_values + storage.example_states[role.of])
        case "tangent":
            if has_batch(shape):
                return Place("input_tangent", storage.inputs[role.of])
            return Place("tangent", arena.offsets[role.of])
        case "cotangent":
            return Place("output_cotangent", storage.outputs[role.of])
        case use if use in SCALAR_KINDS:
            return Place("scalar", SCALAR_KINDS.index(use))
    raise CompilerBug(f"there is no place for a tensor whose role is {role.use}")


def _summed_over_batch(program: Program, name: str) -> bool:
    """Whether the lanes hold all of a tensor, so that it is whole when they are summed."""
    definition = program.definition(name)
    return definition is not None and all(runs_over_batch(term) for term in definition.terms)


def _check_in_place(entry: EntryPoint, given: Mapping[str, Place]) -> None:
    """What is given must not be read after its new value has been written over it."""
    old = {t.name: given[t.name] for t in entry.program.inputs if t.name in given}
    written: set[Place] = set()
    for definition in entry.program.definitions:
        late = [name for name in definition.tensors if old.get(name) in written]
        if late:
            raise CompilerBug(f"{entry.name} reads {sorted(late)} after writing over it")
        if definition.name in given:
            written.add(given[definition.name])
