"""What a step costs: what each pass changed, memory kernel by kernel, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Program, Rewrite
from compiler.machine.elements import element_bytes
from compiler.plan.plan import Plan
from compiler.schedule.layout import row_size
from compiler.tools.explain.blocks import Bar, Block, Fold, Heading, Lines, Paragraph, Series, Table, Timeline
from compiler.tools.explain.material import Material
from compiler.tools.explain.measured import MEASURED_BATCH, Measured
from compiler.tools.measure.schedule import (
    KernelReport,
    calls_in_order,
    operations_of_program,
    workspace,
)
from compiler.tools.words import bytes_text

MOST_ROWS = 36
"""Of the timeline; kernels that take less are left out."""


def cost_part(model: Material, found: Measured | None) -> Iterator[Block]:
    """What each pass made of the work, what is kept in memory, what was measured."""
    yield Heading(2, "What it costs", "cost")
    yield from _passes(model)
    yield from _memory(model)
    forward, _ = operations_of_program(model.training)
    both, _ = operations_of_program(model.steps[-1].result)
    weights = sum(row.parameters for row in model.source.lowered.layers)
    if forward:
        yield Paragraph(
            f"Forward and backward together take {both / forward:.2f} times the operations of the forward "
            f"formulas. One forward pass for each of the {weights:,} weights, which is what differences "
            f"take, would be {weights * forward / max(both, 1):,.0f} times as much work."
        )
    if found is None:
        yield Paragraph(
            "Nothing was measured: `chainrule explain MODEL`, without --quick and for this machine, "
            "builds the "
            "model and measures it."
        )
        return
    yield from _times(found, weights)
    yield _timeline(found)
    yield _roofline(found)


def _passes(model: Material) -> Iterator[Block]:
    dtype = model.source.settings.dtype
    programs = [("the model", model.training, 0)]
    programs += [(step.name, step.result, len(step.rewrites)) for step in model.steps]
    rows, previous = [], None
    for name, program, rewrites in programs:
        example, call = operations_of_program(program)
        sizes = (bytes_text(count(program, dtype)) for count in (moved, held))
        row = (f"{example:,}", f"{call:,}", *sizes)
        if row != previous or rewrites:
            rows.append((name, *row, f"{rewrites:,}"))
        previous = row
    head = ("after", "operations an example", "a call", "bytes moved", "values", "steps recorded")
    yield Table("The loss and its gradient after each pass that changed something", head, tuple(rows))
    yield Paragraph(
        "Bytes moved: each formula by itself reads what it needs once and writes its result once, for an "
        "example. Values: what all results take together if each had a place of its own.",
        "note",
    )
    arranged = model.arranged
    if arranged:
        steps = tuple(block for number, step in enumerate(arranged, 1) for block in _arranged(number, *step))
        yield Fold(f"How the formulas were arranged ({len(arranged)} steps)", steps)


def _arranged(number: int, name: str, rewrite: Rewrite) -> Iterator[Block]:
    """A step of a pass: which equation was solved, what is gathered, stored no more, or in a copy."""
    rule = name if rewrite.rule == name else f"{name}, {rewrite.rule}"
    yield Paragraph(f"{number}. {rule}: {rewrite.why}", "step")
    before, after = (" ".join(text.split()) for text in (rewrite.before, rewrite.after))
    yield Paragraph(f"`{before}` → `{after}`")


def moved(program: Program, dtype: str) -> int:
    """Bytes that the formulas of a program read and write for an example, each tensor once a formula."""
    return sum(
        _bytes(program, name, dtype)
        for d in program.definitions
        for name in dict.fromkeys((d.name, *d.tensors))
    )


def held(program: Program, dtype: str) -> int:
    """Bytes of all results of a program, for an example."""
    return sum(_bytes(program, d.name, dtype) for d in program.definitions)


def _bytes(program: Program, name: str, dtype: str) -> int:
    entry = program[name]
    return row_size(entry.shape) * element_bytes("real" if entry.dtype == "real" else "index", dtype)


def _memory(model: Material) -> Iterator[Block]:
    space = workspace(model.source, MEASURED_BATCH)
    areas = (
        ("a tile of examples, for each thread", space.tile),
        ("sums in lanes", space.lanes),
        ("what has no batch axis", space.shared),
        (f"kept for a whole batch of {MEASURED_BATCH}", space.crossing),
    )
    rows = [(name, bytes_text(count) if count else "nothing") for name, count in areas]
    yield Table("Workspace of a training step", ("for", "bytes"), tuple(rows))
    plan = model.source.plan("training")
    counts = live(plan, model.source.settings.dtype)
    points = tuple((float(k), count / 1024) for k, count in enumerate(counts, 1))
    if points:
        place = plan.tile_bytes / 1024
        yield Lines(
            "Memory over a step",
            f"What a tile of {plan.tile} examples keeps while its kernels run one after the other: what is "
            "saved on the way forward is let go on the way back. The line is the place that the plan gives "
            f"it, {bytes_text(plan.tile_bytes)}.",
            "kernels of a tile, in order",
            "KiB",
            (Series(points),),
            roof=Series(((1.0, place), (points[-1][0], place))),
            steps=True,
        )


def live(plan: Plan, dtype: str) -> list[int]:
    """Bytes of a tile that are needed while each of its kernels runs."""
    calls = [
        {*call.tensors, *(entry.name for entry in call.entries)}
        for _, _, in_tile, call in calls_in_order((plan,))
        if in_tile
    ]
    ends: dict[str, list[int]] = {}
    for number, names in enumerate(calls):
        for name in names:
            if name in plan.places and plan.places[name].area == "tile":
                ends.setdefault(name, [number, number])[1] = number
    sizes = {name: _tile_bytes(plan, name, dtype) for name in ends}
    return [
        sum(sizes[name] for name, (first, last) in ends.items() if first <= number <= last)
        for number in range(len(calls))
    ]


def _tile_bytes(plan: Plan, name: str, dtype: str) -> int:
    shape = plan.program.shape(name)
    size = row_size(shape) * element_bytes(plan.elements[name], dtype)
    return size * (plan.tile if has_batch(shape) else 1)


def _times(found: Measured, weights: int) -> Iterator[Block]:
    forward, gradient, sampled = found.forward, found.gradient, found.sampled
    each = sampled.seconds / max(1, 2 * sampled.weights)
    rows = (
        ("forward", _time(forward), "1"),
        ("forward and backward: the whole gradient", _time(gradient), f"{gradient / forward:,.2f}"),
        ("backward", _time(gradient - forward), f"{gradient / forward - 1:,.2f}"),
        (
            f"differences for {sampled.weights} weights",
            _time(sampled.seconds),
            f"{sampled.seconds / forward:,.0f}",
        ),
        (
            f"differences for all {weights:,} weights, at this pace",
            _time(2 * each * weights),
            f"{2 * each * weights / forward:,.0f}",
        ),
    )
    head = ("what", "time", "÷ forward")
    yield Table(f"Measured on this machine, one thread, a batch of {MEASURED_BATCH}", head, rows)
    yield Paragraph(
        f"Differences take two forward passes for each weight. At the sampled weights they are within "
        f"{sampled.worst:.1%} of the largest slope of the parameter from what reverse mode gives for "
        "all weights "
        "at once: they lose digits besides."
    )


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600.0), ("minutes", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= 2 * size or unit == "ms":
            return f"{seconds / size:,.3g} {unit}"
    return ""


def _timeline(found: Measured) -> Timeline:
    report = found.report
    shown = sorted(report.kernels, key=lambda k: -k.measured)[:MOST_ROWS]
    bars, start = [], 0.0
    rows: list[str] = []
    for kernel in report.kernels:
        if kernel in shown:
            share = kernel.measured / report.step
            label = f"{kernel.call.computes}: {1e3 * kernel.measured:.3f} ms, {share:.1%}"
            bars.append(Bar(label, 1e3 * start, 1e3 * kernel.measured, len(rows)))
            rows.append(f"{_where(kernel)} {kernel.call.computes}")
        start += kernel.measured
    return Timeline(
        "Kernels on a timeline",
        f"A step of {report.batch} examples takes {1e3 * report.step:.3g} ms on one thread; all tiles of a "
        "kernel together, in the order of the step. The number before a name is the phase; u is the update.",
        "ms",
        tuple(rows),
        tuple(bars),
    )


def _where(kernel: KernelReport) -> str:
    return "u" if kernel.program == "update" else str(kernel.phase)


def _roofline(found: Measured) -> Lines:
    report = found.report
    kernels = [k for k in report.kernels if k.operations and k.moved and k.measured]
    points = tuple((k.operations / k.moved, k.operations / k.measured / 1e9) for k in kernels)
    labels = tuple(
        f"{k.call.computes}: {b:.1f} GFLOP/s at {a:.2g} operations a byte"
        for k, (a, b) in zip(kernels, points, strict=True)
    )
    peak, slope = report.peak.gigaflops, found.bandwidth / 1e9
    low, high = min([a for a, _ in points] or [0.1]), max([a for a, _ in points] or [10.0])
    knee = peak / slope
    roof = Series(((low, low * slope), (knee, peak), (max(high, 2 * knee), peak)))
    return Lines(
        "Roofline",
        f"Each point is a kernel as measured; the line is what one core can do at most: {slope:.1f} GB/s of "
        f"memory, {peak:.0f} GFLOP/s of multiply-adds, both measured. Tiles stay in cache, so a kernel may "
        "be above the slope of the memory. Point at one to see its name.",
        "operations for each byte that it touches",
        "10⁹ operations a second",
        (Series(points, labels),),
        logarithmic=(True, True),
        roof=roof,
    )
