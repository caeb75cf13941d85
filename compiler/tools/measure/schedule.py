"""What `chainrule compile --explain-schedule` finds out: each kernel's schedule, why, and its time.

The module is built once more with a clock around every kernel call, and steps of training are run on one
thread. Clocks cost some 50 nanoseconds a call. A time is the shortest of all steps: what the schedule is
worth when nothing disturbs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from compiler.frontend.parse import load_model
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.program import Definition, Program
from compiler.machine.elements import element_bytes, real_of
from compiler.module_source import LANES, ModuleSource, compile_to_source
from compiler.plan.kernels import Call
from compiler.plan.plan import Plan
from compiler.schedule.header import operation_count
from compiler.schedule.layout import row_size
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import Options, target_for
from compiler.tools.measure.clock import own_seconds
from compiler.tools.measure.module import instrumented, random_batch
from compiler.tools.measure.peak import Peak, measure_peak

WARM_UP_STEPS = 3
STEPS = 20


@dataclass(frozen=True)
class KernelReport:
    """One kernel call of the step: seconds, operations and bytes of all tiles of a batch together."""

    program: str
    phase: int
    in_tile: bool
    tiles: int
    tile: int
    """How many there are in each of the tiles."""
    unit: str
    """Of what: "examples", or "values" of parameters."""
    call: Call
    predicted: float
    measured: float
    operations: int
    moved: int
    """Bytes of every tensor that the call touches, once for each call."""


@dataclass(frozen=True)
class PassReport:
    """Operations of the gradient program after a pass: for each example, and for each call besides."""

    name: str
    example: int
    call: int
    rewrites: int


@dataclass(frozen=True)
class Workspace:
    """Bytes that a step needs beside parameters and states."""

    tile: int
    """For each thread."""
    lanes: int
    shared: int
    crossing: int
    """What lives from one phase to the next, for the batch."""


@dataclass(frozen=True)
class ScheduleReport:
    source: ModuleSource
    batch: int
    peak: Peak
    step: float
    """Seconds of a whole step, clocks included."""
    kernels: tuple[KernelReport, ...]
    passes: tuple[PassReport, ...]
    workspace: Workspace

    @property
    def tiles(self) -> int:
        return -(-self.batch // self.source.settings.tile)


def explain_schedule(path: Path, options: Options, batch: int) -> ScheduleReport:
    """Compile a model, measure a step of it kernel by kernel. Raises ModelError as compiling does."""
    toolchain = find_toolchain()
    target = target_for(options.target, toolchain)
    peak = measure_peak(target, real_of(options.dtype), toolchain)
    source = compile_to_source(
        load_model(path),
        target,
        options.dtype,
        "",
        without=options.without,
        modes=options.modes,
        instruments="kernels",
    )
    with instrumented(path, replace(options, instruments="kernels")) as built:
        step, clocks = step_and_clocks(built.module, batch)
    return report_of(source, batch, peak, step, clocks)


def report_of(
    source: ModuleSource, batch: int, peak: Peak, step: float, clocks: Sequence[float]
) -> ScheduleReport:
    """What was planned beside what was measured: seconds of a step, and of every kernel call of a module."""
    kernels, passes = tuple(_kernel_reports(source, batch, peak, clocks)), tuple(pass_reports(source))
    return ScheduleReport(source, batch, peak, step, kernels, passes, workspace(source, batch))


def step_and_clocks(module: ModuleType, batch: int) -> tuple[float, list[float]]:
    """Seconds of a step, and of each kernel call in it, all its tiles together: the shortest of each."""
    net = module.Network(seed=0, threads=1)
    x, y = random_batch(module, batch)
    for _ in range(WARM_UP_STEPS):
        net.train_step(x, y)
    steps, clocks = [], []
    for _ in range(STEPS):
        module.kernel_clocks()
        start = own_seconds()
        net.train_step(x, y)
        steps.append(own_seconds() - start)
        clocks.append([seconds for seconds, _ in module.kernel_clocks()])
    return min(steps), [min(one) for one in zip(*clocks, strict=True)]


def calls_in_order(plans: Iterable[Plan]) -> Iterator[tuple[Plan, int, bool, Call]]:
    """Every call in the order in which clocks are numbered: plan, phase, whether in the tiles, the call."""
    for plan in plans:
        for number, phase in enumerate(plan.phases):
            yield from ((plan, number, False, call) for call in phase.before)
            yield from ((plan, number, True, call) for call in phase.tile)


def _kernel_reports(
    source: ModuleSource, batch: int, peak: Peak, clocks: Sequence[float]
) -> Iterator[KernelReport]:
    step = {plan.name for plan in source.step}
    for clock, (plan, phase, in_tile, call) in zip(
        clocks, calls_in_order(source.plans.values()), strict=True
    ):
        if plan.name in step:
            examples, unit = _examples(plan, source, batch)
            tiles = -(-examples // plan.tile) if in_tile else 1
            seconds = predicted_cycles(call, source, examples) / (peak.gigahertz * 1e9)
            yield KernelReport(
                plan.name,
                phase,
                in_tile,
                tiles,
                plan.tile,
                unit,
                call,
                seconds,
                clock,
                call.kernel.operations * (examples if call.kernel.per_example else 1),
                _moved(plan, call, source.settings.dtype, examples, tiles),
            )


def _examples(plan: Plan, source: ModuleSource, batch: int) -> tuple[int, str]:
    """How many there are of what a plan is over, and what: examples of a batch, or values of parameters."""
    (entry,) = (entry for entry in source.entries if entry.name == plan.name)
    if entry.batch == "examples":
        return batch, "examples"
    left = source.joined.left if source.joined else ((0, source.storage.parameters.size),)
    return sum(end - begin for begin, end in left), "values"


def predicted_cycles(call: Call, source: ModuleSource, examples: int) -> float:
    """Of all tiles together: what the kernel's own schedule says of one."""
    tiles = examples / call.schedule.settings.tile if call.kernel.per_example else 1
    return call.schedule.cycles(source.settings.machine) * tiles


def _moved(plan: Plan, call: Call, dtype: str, batch: int, calls: int) -> int:
    total = 0
    for name in (n for n in dict.fromkeys(call.tensors) if n in plan.program):
        shape = plan.program.shape(name)
        size = row_size(shape) * element_bytes(plan.elements[name], dtype)
        total += size * (batch if has_batch(shape) else calls)
    return total


def pass_reports(source: ModuleSource) -> Iterator[PassReport]:
    """Operations of the gradient program as the model gives it, and after each pass."""
    yield PassReport("the model", *operations_of_program(source.lowered.training), 0)
    for step in source.steps:
        if step.program == source.plan("training").name:
            counted = operations_of_program(step.result)
            yield PassReport(step.name, *counted, len(step.rewrites))


def operations_of_program(program: Program) -> tuple[int, int]:
    """Operations for each example, and for each call besides."""
    return operations_of_all(program.definitions)


def operations_of_all(definitions: Iterable[Definition]) -> tuple[int, int]:
    """The same of definitions."""
    example = call = 0
    for definition in definitions:
        for term in definition.terms:
            count = operation_count(term)
            if runs_over_batch(term):
                example += count
            else:
                call += count
    return example, call


def workspace(source: ModuleSource, batch: int) -> Workspace:
    """Of a step: the larger of its two programs in each area."""
    plans = source.step
    value = element_bytes("real", source.settings.dtype)
    return Workspace(
        max(max(plan.tile_bytes + plan.tile_room * value, plan.room * value) for plan in plans),
        LANES * max(plan.lane_elements for plan in plans) * value,
        max(plan.shared_bytes for plan in plans),
        max(plan.batch_elements for plan in plans) * batch * value,
    )
