"""What a page measures: the kernels of a step, backward beside forward, one forward pass for each weight.

The module is built with a clock around every kernel call, as `chainrule compile --explain-schedule` does.
It is trained for a few steps besides, so that an example on its way has weights that have learnt something.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np

from compiler.ir.module.entry_point import Duty
from compiler.ir.module.signature import Signature, arguments_of
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import Options
from compiler.tools.check.draws import Range, as_given, drawn
from compiler.tools.explain.example import BATCH, Examples
from compiler.tools.explain.material import Material
from compiler.tools.measure.clock import own_seconds
from compiler.tools.measure.module import instrumented
from compiler.tools.measure.peak import measure_peak
from compiler.tools.measure.schedule import ScheduleReport, report_of, step_and_clocks
from runtime.data.digits import load_digits

MEASURED_BATCH = 128
TURNS = 15
TRAINED_STEPS = 60
SAMPLED_WEIGHTS = 24
STEP = 1e-3
COPIED_BYTES = 1 << 26
DIGITS = (28, 28, 1)


@dataclass(frozen=True)
class Sampled:
    """Derivatives by differences, two forward passes for each of some weights."""

    weights: int
    seconds: float
    """Of all their forward passes."""
    worst: float
    """The largest distance from the gradient, of its largest element in the parameter."""


@dataclass(frozen=True)
class Measured:
    """Seconds of processor time on one thread of this machine, and what was measured besides."""

    report: ScheduleReport
    forward: float
    gradient: float
    bandwidth: float
    """Bytes a second, read and written, of a large copy."""
    sampled: Sampled
    examples: Examples
    losses: tuple[float, ...]
    """Of the steps of training."""


def measured(model: Material, path: Path) -> Measured:
    """Build and measure a model whose text was made with clocks. Raises ModelError and ToolchainError."""
    source = model.source
    settings = source.settings
    peak = measure_peak(settings.target, settings.dtype, find_toolchain())
    options = Options(Path(), dtype=settings.dtype, instruments="kernels")
    with instrumented(path, options) as built:
        step, clocks = step_and_clocks(built.module, MEASURED_BATCH)
        report = report_of(source, MEASURED_BATCH, peak, step, clocks)
        rows, words = data(source.lowered.signature, MEASURED_BATCH)
        x, y = arguments_of(source.lowered.signature, rows)
        net = built.module.Network(seed=0, threads=1)
        forward, gradient = _turns(net, x, y)
        sampled = _sampled(net, x, y)
        losses = tuple(_total(net.train_step(x, y)) for _ in range(TRAINED_STEPS))
        examples = _examples(built.module, net, rows, words)
    return Measured(report, forward, gradient, _bandwidth(), sampled, examples, losses)


def data(signature: Signature, batch: int) -> tuple[dict[str, np.ndarray], str]:
    """Examples by the names of rows, and what they are: digits where the model takes them, else random."""
    rng = np.random.default_rng(0)
    rows = [row for row in signature.of("input", "label") if row.default is None]
    found = {row.name: as_given(row, drawn(rng, row, batch, Range())) for row in rows}
    if [row.example for row in rows if row.use == "input"] != [DIGITS]:
        return found, "random values in place of data"
    images, labels = load_digits()
    for row in rows:
        if row.use == "input" and not (row.scaling and row.scaling.only):
            found[row.name] = images[:batch].astype(np.float32) / 255
        elif row.use == "label" and row.dtype == "index" and row.limit == 10:
            found[row.name] = labels[:batch].astype(np.int32)
    return found, "one of the 1,797 digits that come with the project"


def _turns(net: Any, x: Any, y: Any) -> tuple[float, float]:
    """Seconds of the forward pass and of the gradient, by turns."""
    seconds: dict[Duty, list[float]] = {"forward": [], "training": []}
    for _ in range(TURNS):
        for duty, found in seconds.items():
            found.append(_seconds(net, duty, x, y))
    return median(seconds["forward"]), median(seconds["training"])


def _seconds(net: Any, duty: Duty, x: Any, y: Any) -> float:
    """Of one pass, on the one thread that the network has: as it says itself, unless it was interrupted."""
    start = own_seconds()
    told = net.time_program(duty, x, y)
    return min(told, own_seconds() - start)


def _sampled(net: Any, x: Any, y: Any) -> Sampled:
    """Differences at weights that are spread over all parameters, and how long their passes took."""
    _, gradient = net.value_and_grad(x, y)
    seconds, worst, places = 0.0, 0.0, list(_spread(net.parameters))
    for name, place in places:
        flat = net.parameters[name].reshape(-1)
        kept, values = float(flat[place]), []
        for sign in (1, -1):
            flat[place] = kept + sign * STEP
            seconds += _seconds(net, "forward", x, y)
            values.append(_total(net.value_and_grad(x, y)[0]))
        flat[place] = kept
        slope = (values[0] - values[1]) / (2 * STEP)
        largest = float(np.abs(gradient[name]).max()) or 1.0
        worst = max(worst, abs(slope - float(gradient[name].reshape(-1)[place])) / largest)
    return Sampled(len(places), seconds, worst)


def _spread(parameters: Mapping[str, np.ndarray]) -> Iterator[tuple[str, int]]:
    each = max(1, SAMPLED_WEIGHTS // max(1, len(parameters)))
    for name, array in parameters.items():
        for place in np.unique(np.linspace(0, array.size - 1, min(each, array.size)).astype(int)):
            yield name, int(place)


def _total(values: float | Mapping[str, float]) -> float:
    return float(next(iter(values.values())) if isinstance(values, Mapping) else values)


def _examples(module: ModuleType, net: Any, rows: Mapping[str, np.ndarray], words: str) -> Examples:
    parameters = {name: np.array(array) for name, array in (*net.parameters.items(), *net.state.items())}
    first = {name: array[:BATCH] for name, array in rows.items()}
    trained = f"{words}; the weights have learnt from {MEASURED_BATCH} examples in {TRAINED_STEPS} steps"
    return Examples(first, parameters, trained)


def _bandwidth() -> float:
    """Of the largest copies, which no cache holds, the fastest of a few."""
    source, target = (np.ones(COPIED_BYTES // 8) for _ in range(2))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return 2 * COPIED_BYTES / min(seconds)
