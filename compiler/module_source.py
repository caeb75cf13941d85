"""From a model to the text of its module: every transition of the compiler, in order.

model file -> model -> tensor programs -> derived, simplified, lowered programs -> plans -> Cython
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from compiler.assemble import lane_copies, program_text, render_target, tile_bytes_with_input
from compiler.emit.cython.render import render_module
from compiler.errors import CompilerBug
from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel, ParameterSpec
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.ir.tensor.program import Definition, Program
from compiler.language.description import Model
from compiler.machine.machine import Machine
from compiler.passes.pack import pack
from compiler.passes.select import Price
from compiler.pipeline import (
    Stage,
    Trace,
    arena_outputs,
    example_outputs,
    loss_program,
    module_programs,
)
from compiler.plan.plan import Place, Plan, make_plan
from compiler.plan.tiling import cheapest_tile
from compiler.plan.whole import LANE_TILES, LANES
from compiler.schedule.kernel import Settings, predicted_cycles
from compiler.schedule.layout import aligned, row_size

UPDATE_TILE = 2048
"""Parameters in a tile of the update: a few arrays of them fill half of a first-level cache."""
TYPICAL_TILE = 4
"""Examples in the tile that `select` compares prices for."""
Instruments = Literal["none", "programs", "kernels"]
"""What a module can be asked for besides: the time of each program, and the time of each kernel call."""
ARENA_ALIGNMENT = 16
"""Parameters start at multiples of 16 values: a cache line in float32."""


@dataclass(frozen=True)
class ModuleSource:
    """The generated text and the facts that a summary shows."""

    name: str
    text: str
    lowered: LoweredModel
    plans: dict[str, Plan]
    settings: Settings
    stages: tuple[Stage, ...]
    modes: tuple[str, ...]


def compile_to_source(
    model: Model,
    machine: Machine,
    dtype: str,
    digest: str,
    after: Callable[[Stage], None] = lambda stage: None,
    without: frozenset[str] = frozenset(),
    modes: tuple[str, ...] = ("vjp",),
    instruments: Instruments = "none",
) -> ModuleSource:
    """Run every stage but the C compiler's. `digest` identifies model and options in the module.

    `without` names passes to leave out (`compiler.switches`); `modes` are some of `compiler.modes.MODES`,
    vjp among them; `instruments` are for measurements.
    """
    lowered = lower(model)
    arena, arena_size = arena_layout(lowered.parameters)
    trace = Trace(after, without)
    price = pricer(machine, dtype, without)
    programs = module_programs(lowered, price, trace, modes)
    if instruments != "none":
        programs["forward"] = loss_program(lowered, price, trace)
    settings = Settings(machine, dtype, 1, fuse="fuse" not in without, zeros="zeros" not in without)
    if "tile" not in without:
        tile = tile_examples(programs["gradient"], lowered, arena, settings)
        settings = replace(settings, tile=tile)
    plans: dict[str, Plan] = {}
    for name, program in programs.items():
        # What an update sums stands behind the gradient and the loss, which are still to be read.
        behind = max((plan.lane_elements for plan in plans.values()), default=0)
        plans[name] = _plan(name, program, lowered, arena, arena_size, settings, behind)
    facts = module_facts(lowered, plans, arena, arena_size, settings, digest) | mode_facts(plans, modes)
    if without:
        facts["summary"] = [*facts["summary"], f"passes left out: {', '.join(sorted(without))}"]
    facts |= instrument_facts(plans, instruments)
    clocks = count() if instruments == "kernels" else None
    texts = [program_text(plan, dtype, clocks) for plan in plans.values()]
    text = render_module(texts, facts, render_target(settings))
    return ModuleSource(lowered.name, text, lowered, plans, settings, tuple(trace.stages), modes)


def pricer(machine: Machine, dtype: str, without: frozenset[str] = frozenset()) -> Price:
    """Predicted cycles of a definition, scheduled for a typical tile: what `select` compares."""
    settings = Settings(machine, dtype, TYPICAL_TILE)
    known: dict[tuple[object, ...], float] = {}

    def price(definition: Definition, program: Program) -> float:
        # The programs of a module have most definitions in common.
        key = (definition, *(program.shape(name) for name in definition.tensors))
        if key not in known:
            known[key] = predicted(definition, program)
        return known[key]

    def predicted(definition: Definition, program: Program) -> float:
        packed = program if "pack" in without else pack(program, definition.name)[0]
        shapes = {entry.name: entry.shape for entry in (*packed.inputs, *packed.definitions)}
        names = definition.name, packed.find("unpacked", definition.name)
        own = [d for d in packed.definitions if d.name in names]
        return sum(predicted_cycles(d, shapes, settings) for d in own)

    return price


def instrument_facts(plans: dict[str, Plan], instruments: Instruments) -> dict[str, object]:
    """What the templates of the measuring part need."""
    return {
        "instrumented": instruments != "none",
        "clocks": sum(len(plan.kernels) for plan in plans.values()) if instruments == "kernels" else 0,
        # Those that are given a batch alone and give the same every time.
        "timed": ("forward", "gradient", "inference", "predict"),
        "output_row": row_size(plans["predict"].program.shape(plans["predict"].program.outputs[0])),
    }


def arena_layout(kept: tuple[ParameterSpec, ...]) -> tuple[dict[str, int], int]:
    """Offset of each parameter (or state) in a flat arena, and the arena's size, in values."""
    offsets: dict[str, int] = {}
    end = 0
    for parameter in kept:
        offsets[parameter.name] = end
        end += aligned(row_size(parameter.shape), ARENA_ALIGNMENT)
    return offsets, max(end, ARENA_ALIGNMENT)


def _state_places(model: LoweredModel, arena_size: int) -> tuple[dict[str, Place], dict[str, Place]]:
    """Places of the states, behind the optimizer's slots, and of their new values behind those.

    A step of training copies the one over the other; no other call of the gradient program does.
    """
    offsets, size = arena_layout(model.states)
    start = len(model.optimizer.slots) * arena_size
    old = {name: Place("state", start + offset) for name, offset in offsets.items()}
    new = {s.new_name: Place("state", start + size + offsets[s.name]) for s in model.states}
    return old, new


def tile_examples(program: Program, model: LoweredModel, arena: dict[str, int], settings: Settings) -> int:
    """Examples in a tile of a training step."""
    plan = _plan("gradient", program, model, arena, 0, settings)
    return cheapest_tile(plan, settings.machine, settings.dtype)


def _plan(
    name: str,
    program: Program,
    model: LoweredModel,
    arena: dict[str, int],
    arena_size: int,
    settings: Settings,
    behind: int = 0,
) -> Plan:
    """Place what a program is given and what it gives, and plan it; sums of an update go `behind` others."""
    given: dict[str, Place] = {}
    for tensor in program.inputs:
        if tensor.kind in ("input", "label") and None in tensor.shape:
            given[tensor.name] = Place(tensor.kind)
        elif tensor.kind == "parameter":
            given[tensor.name] = Place("parameter", arena[tensor.name])
        elif tensor.kind in SCALAR_KINDS:
            given[tensor.name] = Place("scalar", SCALAR_KINDS.index(tensor.kind))
        elif tensor.kind == "tangent" and None in tensor.shape:
            given[tensor.name] = Place("input_tangent")
        elif tensor.kind == "tangent":
            given[tensor.name] = Place("tangent", arena[tensor.of])
    states, new_states = _state_places(model, arena_size)
    if name != "update":
        given |= states
    lanes = {output: arena[parameter] for output, parameter in arena_outputs(model, name, program).items()}
    for output, offset in lanes.items():
        if not _summed_over_batch(program, output):
            given[output] = Place("total", offset)
    sums = [output for output in program.outputs if program.shape(output) == () and output not in lanes]
    for number, output in enumerate(sums if name != "initialize" else ()):
        # A loss with penalties is a sum over the batch and more: it is put among the sums when it is whole.
        if not _summed_over_batch(program, output):
            lanes[output] = arena_size + number * ARENA_ALIGNMENT
            given[output] = Place("total", lanes[output])
    if name == "gradient":
        given |= new_states
    elif name in ("input_gradient", "input_hvp"):
        given |= {output: Place("output") for output in program.outputs if None in program.shape(output)}
    elif name == "per_example":
        losses, gradients = example_outputs(model, program)
        given |= {gradient: Place("output", arena[parameter]) for gradient, parameter in gradients.items()}
        given[losses] = Place("output", arena_size)
    elif name in ("inference", "predict"):
        given[model.output] = Place("output")
    elif name == "initialize":
        given |= {parameter: Place("parameter", offset) for parameter, offset in arena.items()}
    elif name == "update":
        given |= _update_places(model, arena_size)
        settings = replace(settings, tile=UPDATE_TILE)
        summed = [d.name for d in program.definitions if _summed_over_batch(program, d.name)]
        scalars = [total for total in summed if program.shape(total) == ()]
        first = aligned(behind, ARENA_ALIGNMENT)
        lanes = {total: first + number * ARENA_ALIGNMENT for number, total in enumerate(scalars)}
    return make_plan(name, program, settings, given, lanes)


def _summed_over_batch(program: Program, name: str) -> bool:
    """Whether the lanes hold all of a tensor, so that it is whole when they are summed."""
    definition = program.definition(name)
    return definition is not None and all(
        any(a.extent is None for a in term.axes) for term in definition.terms
    )


def _update_places(model: LoweredModel, arena_size: int) -> dict[str, Place]:
    """The update works in place: a new state is written over the old one."""
    places = {"parameter": Place("parameter"), "gradient": Place("total")}
    for number, slot in enumerate(model.optimizer.slots):
        places[slot] = Place("state", number * arena_size)
    _check_in_place(model)
    return places | {new: places[old] for new, old in model.optimizer.renewed.items()}


def _check_in_place(model: LoweredModel) -> None:
    """An old state must not be read after the new one has been written over it."""
    written: set[str] = set()
    for definition in model.optimizer.update.definitions:
        late = written & set(definition.tensors)
        if late:
            raise CompilerBug(f"the optimiser reads {sorted(late)} after writing over it")
        if definition.name in model.optimizer.renewed:
            written.add(model.optimizer.renewed[definition.name])


def module_facts(
    model: LoweredModel,
    plans: dict[str, Plan],
    arena: dict[str, int],
    arena_size: int,
    settings: Settings,
    digest: str,
) -> dict[str, object]:
    """Strings and numbers for the module's template."""
    gradient, inference = plans["gradient"], plans["inference"]
    label = gradient.program["label"]
    output = plans["predict"].program[model.output]
    given = gradient.program["input"]
    input_shape = given.shape[1:]
    training = [plan for name, plan in plans.items() if name != "initialize"]
    index = label.dtype == "index"
    program, (states, state_size) = gradient.program, arena_layout(model.states)
    return {
        "name": model.name,
        "name_literal": repr(model.name),
        "hash_literal": repr(digest),
        "target_literal": repr(settings.machine.name),
        "dtype": settings.dtype,
        "dtype_literal": repr(settings.dtype),
        "summary": summary_lines(model, plans, settings),
        "input_shape": input_shape,
        "input_kind": given.dtype,
        "input_limit": given.limit,
        "input_text": f"integers from 0 to {given.limit - 1}"
        if given.dtype == "index"
        else f"{settings.dtype}, other floats (converted), or uint8 (scaled by 1/255)",
        "output_shape": output.shape[1:],
        "label_shape": label.shape[1:],
        "label_kind": "index" if index else "real",
        "label_limit": label.limit if index else None,
        "label_text": f"Labels `y` are integers from 0 to {label.limit - 1}."
        if index
        else f"Targets `y` are arrays of shape (batch, {', '.join(map(str, label.shape[1:]))}).",
        "batch_shape_text": ", ".join(["batch", *map(str, input_shape)]),
        "output_text": ", ".join(map(str, output.shape[1:])),
        "parameter_count": model.parameter_count,
        "parameters": [
            {"name": repr(p.name), "shape": p.shape, "offset": arena[p.name]} for p in model.parameters
        ],
        "states": [
            {"name": repr(n), "shape": program.shape(n), "offset": offset} for n, offset in states.items()
        ],
        "state_size": state_size if states else 0,
        "slots": tuple(model.optimizer.slots),
        "arena": arena_size,
        "input_row": row_size(input_shape),
        "tile": settings.tile,
        "lanes": LANES,
        "lane_tiles": LANE_TILES,
        "lane_copies": lane_copies(plans["update"], arena_size),
        "tile_bytes": max(tile_bytes_with_input(plan, settings.dtype) for plan in training),
        "lane_elements": max(plan.lane_elements for plan in training),
        "shared_bytes": max(plan.shared_bytes for plan in training),
        "initialize_bytes": max(64, plans["initialize"].shared_bytes),
        "crossing_row": max(plan.batch_elements for plan in training),
        "scalar_count": len(SCALAR_KINDS),
        "scalars": ["batch", "self._rate", "self._step"],
        "argument_count": 0,
        "learning_rate": repr(model.optimizer.learning_rate),
        "loss_offset": gradient.places["loss"].offset,
        "inference_loss_offset": inference.places["loss"].offset,
    }


def mode_facts(plans: dict[str, Plan], modes: tuple[str, ...]) -> dict[str, object]:
    """What the templates of the modes need: which there are, and where their sums are found."""
    facts: dict[str, object] = {"modes": modes, "tangents": bool({"jvp", "hvp"} & set(modes))}
    for name in {"jvp", "input_jvp"} & plans.keys():
        facts[f"{name}_offsets"] = [plans[name].places[loss].offset for loss in plans[name].program.outputs]
    return facts


def summary_lines(model: LoweredModel, plans: dict[str, Plan], settings: Settings) -> list[str]:
    """What the head of the generated file says of the model."""
    width = max(len(row.name) for row in model.layers)
    lines = [
        f"{row.name:<{width}}  {_shape_text(row.shape):>12}  {row.parameters:>10,} parameters"
        + (f", {row.states:,} of state" if row.states else "")
        for row in model.layers
    ]
    machine = settings.machine
    lines.append("")
    lines.append(
        f"target {machine.name}: {machine.lanes(settings.dtype)} lanes of {settings.dtype}; "
        f"tiles of {settings.tile} examples; {LANES} lanes of accumulators"
    )
    return [line.rstrip() for line in lines]


def _shape_text(shape: tuple) -> str:
    """`28x28x1`, or the shapes of several results."""
    if shape and isinstance(shape[0], tuple):
        return ", ".join(map(_shape_text, shape))
    return "x".join(map(str, shape))
