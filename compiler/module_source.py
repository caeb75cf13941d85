"""From a model to the text of its module: every transition of the compiler, in order.

model file -> model -> tensor programs -> derived, simplified, lowered programs -> plans -> Cython
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from compiler.assemble import lane_copies, program_text, tile_bytes_with_input
from compiler.driver import Driver, Step
from compiler.emit.cython.render import render_module
from compiler.entry_points import ENTRY_POINTS, MEASURED, Recipe, entry_points
from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel
from compiler.ir.module.entry_point import Duty, EntryPoint, with_duty
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.language.description import Model
from compiler.machine.target import Target
from compiler.pipeline import PASSES, Facts, Pass
from compiler.plan.plan import Plan, make_plan
from compiler.plan.storage import Storage, placed, storage_of
from compiler.plan.tiling import cheapest_tile
from compiler.plan.whole import LANE_TILES, LANES
from compiler.pricing import pricer
from compiler.schedule.layout import row_size
from compiler.schedule.settings import Settings

UPDATE_TILE = 2048
"""Parameters in a tile of the update: a few arrays of them fill half of a first-level cache."""
Instruments = Literal["none", "programs", "kernels"]
"""What a module can be asked for besides: the time of each program, and the time of each kernel call."""


@dataclass(frozen=True)
class ModuleSource:
    """The generated text and the facts that a summary shows."""

    name: str
    text: str
    lowered: LoweredModel
    entries: tuple[EntryPoint, ...]
    plans: dict[str, Plan]
    """One for each entry point, by its name."""
    storage: Storage
    settings: Settings
    steps: tuple[Step, ...]
    modes: tuple[str, ...]

    def plan(self, duty: Duty) -> Plan:
        """The plan of the entry point that has this duty in the module."""
        return self.plans[with_duty(self.entries, duty).name]

    @property
    def step(self) -> tuple[Plan, Plan]:
        """What a step of training runs."""
        return self.plan("training"), self.plan("update")


def compile_to_source(
    model: Model,
    target: Target,
    dtype: str,
    digest: str,
    after: Callable[[Step], None] = lambda step: None,
    without: frozenset[str] = frozenset(),
    modes: tuple[str, ...] = ("vjp",),
    instruments: Instruments = "none",
    recipes: Iterable[Recipe] = ENTRY_POINTS,
    passes: tuple[Pass, ...] = PASSES,
) -> ModuleSource:
    """Run everything but the C compiler. `digest` identifies model and options in the module.

    `without` names those of the `passes` to leave out; `modes` are some of `compiler.modes.MODES`,
    vjp among them; `instruments` are for measurements; of `recipes` the module has those of its modes.
    """
    lowered = lower(model)
    storage = storage_of(lowered.signature)
    driver = Driver(pricer(target, dtype, without), without, after, passes)
    wanted = (*modes, *(() if instruments == "none" else (MEASURED,)))
    entries = entry_points(lowered, driver, wanted, recipes)
    settings = Settings(target, dtype, 1, fuse=driver.has("fuse"), zeros=driver.has("zeros"))
    if driver.has("tile"):
        tile = tile_examples(with_duty(entries, "training"), storage, settings, driver.unrecorded())
        settings = replace(settings, tile=tile)
    plans: dict[str, Plan] = {}
    for entry in entries:
        # What an update sums stands behind the gradient and the loss, which are still to be read.
        behind = max((plan.lane_elements for plan in plans.values()), default=0)
        plans[entry.name] = _plan(entry, storage, settings, driver, behind)
    steps = tuple(driver.steps)
    source = ModuleSource(lowered.name, "", lowered, entries, plans, storage, settings, steps, modes)
    facts = module_facts(source, digest) | mode_facts(source)
    if without:
        facts["summary"] = [*facts["summary"], f"passes left out: {', '.join(sorted(without))}"]
    facts |= instrument_facts(source, instruments)
    clocks = count() if instruments == "kernels" else None
    texts = [program_text(plan, dtype, clocks) for plan in plans.values()]
    text = render_module(texts, facts, target, dtype)
    return replace(source, text=text)


def instrument_facts(source: ModuleSource, instruments: Instruments) -> dict[str, object]:
    """What the templates of the measuring part need."""
    (output,) = source.lowered.signature.of("output")
    plans = source.plans
    return {
        "instrumented": instruments != "none",
        "clocks": sum(len(plan.kernels) for plan in plans.values()) if instruments == "kernels" else 0,
        # Those that are given a batch alone and give the same every time.
        "timed": ("forward", "gradient", "inference", "predict"),
        "output_row": row_size(output.shape),
    }


def tile_examples(entry: EntryPoint, storage: Storage, settings: Settings, driver: Driver) -> int:
    """Examples in a tile of a training step."""
    return cheapest_tile(_plan(entry, storage, settings, driver), settings.machine, settings.dtype)


def _plan(entry: EntryPoint, storage: Storage, settings: Settings, driver: Driver, behind: int = 0) -> Plan:
    """Place what an entry point is given and gives, and plan it; sums of an update go `behind` others."""
    if entry.batch == "parameters":
        settings = replace(settings, tile=UPDATE_TILE)
    where = placed(entry, storage, behind)
    facts = Facts(settings=settings, places=where.given)
    program = driver.through(("planning",), entry.name, entry.program, facts)
    return make_plan(entry.name, program, settings, where.given, where.lanes)


def module_facts(source: ModuleSource, digest: str) -> dict[str, object]:
    """Strings and numbers for the module's template."""
    model, settings, storage = source.lowered, source.settings, source.storage
    signature = model.signature
    given, label, output = (signature.one(use) for use in ("input", "label", "output"))
    training = [source.plans[entry.name] for entry in source.entries if entry.duty != "initial_values"]
    arena, states = storage.parameters, storage.states
    return {
        "name": model.name,
        "name_literal": repr(model.name),
        "hash_literal": repr(digest),
        "target_literal": repr(settings.target.name),
        "dtype": settings.dtype,
        "dtype_literal": repr(settings.dtype),
        "summary": summary_lines(model, settings),
        "input_shape": given.example,
        "input_kind": given.dtype,
        "input_limit": given.limit,
        "input_text": f"integers from 0 to {given.limit - 1}"
        if given.dtype == "index"
        else f"{settings.dtype}, other floats (converted), or uint8 (scaled by 1/255)",
        "output_shape": output.example,
        "label_shape": label.example,
        "label_kind": label.dtype,
        "label_limit": label.limit,
        "label_text": f"Labels `y` are integers from 0 to {label.limit - 1}."
        if label.dtype == "index"
        else f"Targets `y` are arrays of shape (batch, {', '.join(map(str, label.example))}).",
        "batch_shape_text": ", ".join(["batch", *map(str, given.example)]),
        "output_text": ", ".join(map(str, output.example)),
        "parameter_count": model.parameter_count,
        "parameters": [
            {"name": repr(row.name), "shape": row.shape, "offset": arena.offsets[row.name]}
            for row in arena.rows
        ],
        "states": [
            {"name": repr(row.name), "shape": row.shape, "offset": states.offsets[row.name]}
            for row in states.rows
        ],
        "state_size": states.size if states.rows else 0,
        "slots": storage.slots,
        "arena": arena.size,
        "input_row": row_size(given.shape),
        "tile": settings.tile,
        "lanes": LANES,
        "lane_tiles": LANE_TILES,
        "lane_copies": lane_copies(source.plan("update"), arena.size),
        "tile_bytes": max(tile_bytes_with_input(plan, settings.dtype) for plan in training),
        "lane_elements": max(plan.lane_elements for plan in training),
        "shared_bytes": max(plan.shared_bytes for plan in training),
        "initialize_bytes": max(64, source.plan("initial_values").shared_bytes),
        "crossing_row": max(plan.batch_elements for plan in training),
        "scalar_count": len(SCALAR_KINDS),
        "scalars": ["batch", "self._rate", "self._step"],
        "argument_count": 0,
        "learning_rate": repr(signature.one("rate").default),
        "loss_offset": _value_offsets(source, "training")[0],
        "inference_loss_offset": _value_offsets(source, "evaluation")[0],
    }


def mode_facts(source: ModuleSource) -> dict[str, object]:
    """What the templates of the modes need: which there are, and where their sums are found."""
    facts: dict[str, object] = {"modes": source.modes, "tangents": False}
    for entry in source.entries:
        slopes = {**entry.results("value"), **entry.results("slope")}
        facts["tangents"] |= bool(entry.given("tangent"))
        facts[f"{entry.name}_offsets"] = [source.plans[entry.name].places[name].offset for name in slopes]
    return facts


def _value_offsets(source: ModuleSource, duty: Duty) -> list[int]:
    """Where the values that an entry point gives stand among the sums."""
    entry = with_duty(source.entries, duty)
    return [source.plans[entry.name].places[name].offset for name in entry.results("value")]


def summary_lines(model: LoweredModel, settings: Settings) -> list[str]:
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
        f"target {settings.target.name}: {machine.lanes(settings.dtype)} lanes of {settings.dtype}; "
        f"tiles of {settings.tile} examples; {LANES} lanes of accumulators"
    )
    return [line.rstrip() for line in lines]


def _shape_text(shape: tuple) -> str:
    """`28x28x1`, or the shapes of several results."""
    if shape and isinstance(shape[0], tuple):
        return ", ".join(map(_shape_text, shape))
    return "x".join(map(str, shape))
