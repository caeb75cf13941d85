"""From a model to the text of its module: every transition of the compiler, in order.

model file -> model -> tensor programs -> derived, simplified, lowered programs -> plans -> Cython
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from compiler.driver import Driver, Step
from compiler.emit.cython.render import render_module
from compiler.emit.stub import print_stub
from compiler.entry_points import ALWAYS, ENTRY_POINTS, MEASURED, Recipe, entry_points
from compiler.errors import ModelError
from compiler.facts import Facts
from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel, shape_text
from compiler.frontend.number_range import number_problems
from compiler.ir.module.entry_point import Duty, EntryPoint, with_duty
from compiler.ir.module.grammar import Area
from compiler.ir.module.methods import Absent, Method
from compiler.ir.module.module import Instruments as Measuring
from compiler.ir.module.module import Module
from compiler.ir.module.sharing import with_shared_kernels
from compiler.ir.module.supersteps import in_supersteps
from compiler.ir.module.verify import verify_routine
from compiler.language.description import Model
from compiler.machine.elements import element_bytes
from compiler.machine.precision import precision_for
from compiler.machine.target import Target
from compiler.offers import APPLY_GRADIENTS, GRADIENTS, ORDER, TRAIN_STEP
from compiler.pipeline import PASSES, Pass
from compiler.plan.kernels import Kernels
from compiler.plan.methods import Halves, methods_of, training_methods
from compiler.plan.module import memory_of, routine_of
from compiler.plan.plan import Plan, make_plan
from compiler.plan.storage import Storage, placed, storage_of
from compiler.plan.tiling import cheapest_tile, smallest_tile
from compiler.plan.updates import JoinedStep, planned_step
from compiler.plan.whole import LANES
from compiler.pricing import TYPICAL_TILE, cost_for
from compiler.schedule.layout import row_size
from compiler.schedule.settings import Settings
from compiler.stopwatch import Stopwatch

STEP = "training_step"
"""The name of the program that is both halves of a step."""
UPDATE_ARRAYS = 4
"""Arrays, with as many values as a tile of the update has, that fill a first-level cache."""
Instruments = Literal["none", "programs", "kernels"]
"""What a module can be asked for besides: the time of each program, and the time of each kernel call."""


@dataclass(frozen=True)
class ModuleSource:
    """The generated text and the facts that a summary shows."""

    name: str
    text: str
    stub: str
    """What type checkers read of the module, NAME.pyi."""
    lowered: LoweredModel
    entries: tuple[EntryPoint, ...]
    plans: dict[str, Plan]
    """One for each entry point, by its name."""
    storage: Storage
    settings: Settings
    steps: tuple[Step, ...]
    modes: tuple[str, ...]
    without: frozenset[str] = frozenset()
    module: Module | None = None
    joined: JoinedStep | None = None
    """The step as one program, where some parameters are updated in the registers of their gradients."""

    def plan(self, duty: Duty) -> Plan:
        """The plan of the entry point that has this duty in the module."""
        return self.plans[with_duty(self.entries, duty).name]

    @property
    def step(self) -> tuple[Plan, Plan]:
        """What a step of training runs."""
        return self.plan("training" if self.joined is None else "step"), self.plan("update")


def compile_to_source(
    model: Model,
    target: Target,
    dtype: str,
    digest: str,
    after: Callable[[Step], None] = lambda step: None,
    without: frozenset[str] = frozenset(),
    modes: tuple[str, ...] = ("vjp",),
    instruments: Instruments = "none",
    recipes: tuple[Recipe, ...] = ENTRY_POINTS,
    passes: tuple[Pass, ...] = PASSES,
    stopwatch: Stopwatch | None = None,
) -> ModuleSource:
    """Run everything but the C compiler. `digest` identifies model and options in the module.

    `without` names those of the `passes` to leave out; `modes` are some of `compiler.modes.MODES`,
    vjp among them; `instruments` are for measurements; of `recipes` the module has those of its modes.
    Raises ModelError for numbers that the dtype cannot hold, and for a dtype whose products the target lacks.
    """
    stopwatch = stopwatch or Stopwatch()
    with stopwatch.stage("lower"):
        lowered = lower(model)
    precision = precision_for(dtype, target)
    dtype = precision.real
    problems = number_problems(lowered, dtype, {step.name: step.span for step in model.graph.steps})
    if problems:
        raise ModelError(*problems)
    storage = storage_of(lowered.signature)
    costs = target.machine.costs(dtype)
    driver = Driver(cost_for(target, dtype), without, after, passes, costs)
    settings = Settings(target, dtype, 1, fuse=driver.has("fuse"), zeros=driver.has("zeros"))
    settings = replace(settings, bfloat16=precision.factors == "bfloat16")
    driver.planned = replace(settings, tile=TYPICAL_TILE) if driver.has("tile") else settings
    wanted = (*modes, *(() if instruments == "none" else (MEASURED,)))
    with stopwatch.stage("passes"):
        entries = entry_points(lowered, driver, wanted, recipes)
    # Where a tile is one example, what it was planned for is what is written.
    kernels = Kernels()
    if driver.has("tile"):
        with stopwatch.stage("tile"):
            training = with_duty(entries, "training")
            tile = tile_examples(training, storage, settings, driver.unrecorded(), kernels)
        if settings.tile != tile:
            # Kernels are called by what they were first made for, which another plan may not have first.
            settings, kernels = replace(settings, tile=tile), Kernels()
    plans: dict[str, Plan] = {}
    for entry in entries:
        # What an update sums stands behind the gradient and the loss, which are still to be read.
        behind = max((plan.lane_elements for plan in plans.values()), default=0)
        with stopwatch.stage("plan"):
            plans[entry.name] = _plan(entry, storage, settings, driver, behind, kernels)
    joined = None
    if driver.has("update") and settings.fuse:
        with stopwatch.stage("plan"):
            found = _joined(entries, plans, storage, settings, kernels)
        if found is not None:
            joined, plans[STEP] = found
            entries = (*entries, joined.entry)
    steps = tuple(driver.steps)
    source = ModuleSource(
        *(lowered.name, "", "", lowered, entries, plans, storage, settings, steps, modes, without),
        joined=joined,
    )
    with stopwatch.stage("text"):
        module = _module(source, digest, instruments, recipes)
        _verify(module, entries)
        return replace(source, module=module, text=render_module(module, target), stub=print_stub(module))


def tile_examples(
    entry: EntryPoint, storage: Storage, settings: Settings, driver: Driver, kernels: Kernels | None = None
) -> int:
    """Examples in a tile of a training step."""
    plan = _plan(entry, storage, settings, driver, kernels=kernels)
    return cheapest_tile(plan, settings.machine, settings.dtype)


def _plan(
    entry: EntryPoint,
    storage: Storage,
    settings: Settings,
    driver: Driver,
    behind: int = 0,
    kernels: Kernels | None = None,
) -> Plan:
    """Place what an entry point is given and gives, and plan it; sums of an update go `behind` others."""
    if entry.batch == "parameters":
        size = settings.machine.level1_bytes // UPDATE_ARRAYS
        settings = replace(settings, tile=size // element_bytes("real", settings.dtype))
    where = placed(entry, storage, behind)
    facts = Facts(settings=settings, places=where.given)
    program = driver.through(("planning",), entry.name, entry.program, facts)
    plan = make_plan(entry.name, program, settings, where.given, where.lanes, kernels)
    if entry.batch == "parameters":
        return plan
    return replace(plan, least=smallest_tile(plan, settings.machine, settings.dtype))


def _joined(
    entries: tuple[EntryPoint, ...],
    plans: Mapping[str, Plan],
    storage: Storage,
    settings: Settings,
    kernels: Kernels,
) -> tuple[JoinedStep, Plan] | None:
    """A step as one program, of what is planned of its halves; None where nothing is gained."""
    halves = (with_duty(entries, duty) for duty in ("training", "update"))
    training, update = (half.with_program(plans[half.name].program) for half in halves)
    return planned_step(STEP, training, update, plans[training.name].least, storage, settings, kernels)


def _module(
    source: ModuleSource, digest: str, instruments: Instruments, recipes: tuple[Recipe, ...]
) -> Module:
    """The module as data: what the emitter prints."""
    model, settings, entries, plans = source.lowered, source.settings, source.entries, source.plans
    dtype, sites, clocks = settings.dtype, count(), count() if instruments == "kernels" else None
    made = {e.name: routine_of(plans[e.name], dtype, sites, clocks) for e in entries}
    first, training = (with_duty(entries, duty) for duty in ("initial_values", "training"))
    made[training.name] = in_supersteps(made[training.name])
    routines = with_shared_kernels(made.values())
    others = [plans[entry.name] for entry in entries if entry is not first]
    return Module(
        name=model.name,
        digest=digest,
        target=settings.target.name,
        dtype=dtype,
        modes=source.modes,
        summary=tuple(summary_lines(source)),
        parameter_count=model.parameter_count,
        signature=model.signature,
        storage=source.storage,
        memory=memory_of(
            others,
            dtype,
            parameters=source.storage.parameters.size,
            updates=[source.plan("update")],
            totals=source.storage.totals,
        ),
        tile=settings.tile,
        routines=routines,
        initialize=routines[entries.index(first)],
        initialize_bytes=max(64, plans[first.name].shared_bytes),
        methods=_methods(source, recipes),
        training=routines[entries.index(training)],
        instruments=_instruments(source, instruments),
    )


def _verify(module: Module, entries: tuple[EntryPoint, ...]) -> None:
    """Every routine reads what there is, within the memory that there is. Raises CompilerBug."""
    arena, memory, storage = module.storage.parameters.size, module.memory, module.storage
    sizes: dict[Area, int] = {
        **{"parameter": arena, "tangent": arena, "tile": memory.tile_bytes, "lane": memory.lane_elements},
        "example_state": 2 * storage.example_state_values,
        **{"shared": memory.shared_bytes, "batch": memory.batch_elements},
        **{"total": max(arena, memory.lane_elements), "state": storage.first_state + 2 * storage.states.size},
    }
    for entry, routine in zip(entries, module.routines, strict=True):
        own: dict[Area, int] = {"shared": module.initialize_bytes} if routine is module.initialize else {}
        given = [t.name for t in entry.program.inputs if t.name in entry.roles]
        real = element_bytes("real", module.dtype)
        verify_routine(routine, given, entry.program.outputs, real_bytes=real, sizes=sizes | own)


def _methods(source: ModuleSource, recipes: tuple[Recipe, ...]) -> tuple[Method | Absent, ...]:
    """What the network offers, in the order in which readers look for it."""
    signature, plans, entries = source.lowered.signature, source.plans, source.entries
    training, update = (with_duty(entries, duty) for duty in ("training", "update"))
    modes = {recipe.offer.method: recipe.mode for recipe in recipes if recipe.offer and recipe.mode != ALWAYS}
    announced = {recipe.offer for recipe in recipes if recipe.announced}
    told = {offer.method for offer in announced if offer}
    absent = {name: mode for name, mode in modes.items() if mode not in source.modes and name in told}
    halves = Halves(training, update, TRAIN_STEP, GRADIENTS, APPLY_GRADIENTS, source.joined)
    methods: list[Method | Absent] = [
        *training_methods(halves, plans, signature),
        *methods_of(entries, plans, signature),
    ]
    methods = [replace(method, mode=modes.get(method.name, "")) for method in methods]
    methods += [Absent(name, mode) for name, mode in absent.items()]
    order = [offer.method for offer in ORDER]
    return tuple(sorted(methods, key=lambda m: order.index(m.name) if m.name in order else len(order)))


def _instruments(source: ModuleSource, instruments: Instruments) -> Measuring | None:
    if instruments == "none":
        return None
    calls = sum(len(plan.kernels) for plan in source.plans.values())
    duties: tuple[Duty, ...] = ("forward", "training", "evaluation", "prediction")
    return Measuring(
        clocks=calls if instruments == "kernels" else 0,
        timed=tuple((duty, with_duty(source.entries, duty).name) for duty in duties),
        output_row=sum(row_size(row.shape) for row in source.lowered.signature.of("output")),
    )


def summary_lines(source: ModuleSource) -> list[str]:
    """What the head of the generated file says of the model."""
    model, settings = source.lowered, source.settings
    width = max(len(row.name) for row in model.layers)
    lines = [
        f"{row.name:<{width}}  {shape_text(row.shape, 'x'):>12}  {row.parameters:>10,} parameters"
        + (f", {row.states:,} of state" if row.states else "")
        for row in model.layers
    ]
    machine = settings.machine
    lines.append("")
    lines.append(
        f"target {settings.target.name}: {machine.lanes(settings.dtype)} lanes of {settings.dtype}; "
        f"tiles of {settings.tile} examples; {LANES} lanes of accumulators"
    )
    if settings.bfloat16:
        lines.append("factors of large products are rounded to bfloat16 (kernels that say so)")
    if source.without:
        lines.append(f"passes left out: {', '.join(sorted(source.without))}")
    return [line.rstrip() for line in lines]
