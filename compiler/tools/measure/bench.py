"""`chainrule bench models/x.py`: what a model's step, forward and backward pass and prediction take.

    step       train_step, as a user calls it: the door's checks, gradient, update
    gradient   forward and backward of a batch in one program, by itself: what value_and_grad runs, no copies
    forward    the training loss alone, with dropout, in a program of its own that saves nothing
    backward   gradient minus forward: what it costs to save for the backward pass is counted here
    predict    predict, as a user calls it
    jvp, hvp, …    what the other modes bring, as a user calls it, where the module was compiled with them

Calls of all of them take turns in rounds, so that a slow moment of the machine falls on each; a figure is the
median of all its calls.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compiler.ir.module.entry_point import Duty
from compiler.machine.elements import real_of
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import Options, target_for
from compiler.tools.measure.module import Instrumented, instrumented, random_batch
from compiler.tools.measure.peak import Peak, measure_peak

TURN_SECONDS = 0.05
"""Of calls of one kind in a round, their preparation included: a small model's takes longer than the call."""
WARM_UP_CALLS = 3

Timer = Callable[[], float]
"""Makes one call and returns the seconds that it took."""


@dataclass(frozen=True)
class Figure:
    """One row: seconds of a call, and operations of a call where they are counted."""

    name: str
    threads: int
    median: float
    fastest: float
    spread: float
    """The distance of the quartiles, relative to the median."""
    operations: int


@dataclass(frozen=True)
class Bench:
    """Everything that `chainrule bench` prints."""

    model: str
    dtype: str
    target: str
    batch: int
    rounds: int
    peak: Peak
    figures: tuple[Figure, ...]

    def figure(self, name: str, threads: int) -> Figure:
        return next(f for f in self.figures if (f.name, f.threads) == (name, threads))


def bench(path: Path, options: Options, batch: int, threads: tuple[int, ...], rounds: int) -> Bench:
    """Measure a model file. Raises ModelError as compiling does."""
    toolchain = find_toolchain()
    peak = measure_peak(target_for(options.target, toolchain), real_of(options.dtype), toolchain)
    with instrumented(path, replace(options, instruments="programs")) as built:
        figures: list[Figure] = []
        for count in threads:
            timers = make_timers(built, batch, count)
            figures += take_figures(timers, rounds, count, batch, _operations(built.facts))
    facts = built.facts
    return Bench(facts["model"], facts["dtype"], facts["target"], batch, rounds, peak, tuple(figures))


def make_timers(built: Instrumented, batch: int, threads: int) -> dict[str, Timer]:
    """What can be timed of this module; the modes that were compiled in are among it."""
    net = built.module.Network(seed=0, threads=threads)
    x, y = random_batch(built.module, batch)
    tangents = {name: np.ones_like(array) for name, array in net.parameters.items()}
    timers: dict[str, Timer] = {
        "step": lambda: _wall(lambda: net.train_step(x, y)),
        "gradient": lambda: net.time_program("training", x, y),
        "forward": lambda: net.time_program("forward", x, y),
        "predict": lambda: _wall(lambda: net.predict(x)),
    }
    for row in built.facts["methods"]:
        given = (x, y, tangents) if row["tangents"] else (x, y)
        timers[row["mode"]] = partial(_wall, partial(getattr(net, row["method"]), *given))
    return timers


def _wall(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_figures(
    timers: dict[str, Timer], rounds: int, threads: int, batch: int, operations: dict[str, list[int]]
) -> list[Figure]:
    """Rounds over all timers, each round beginning with another one."""
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for timer in timers.values():
        for _ in range(WARM_UP_CALLS):
            timer()
    names = list(timers)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            end = time.perf_counter() + TURN_SECONDS
            seconds[name].append(timers[name]())
            while time.perf_counter() < end:
                seconds[name].append(timers[name]())
    figures = [_figure(name, threads, seconds[name], operations.get(name, (0, 0)), batch) for name in names]
    return [*figures, _backward(*(f for f in figures if f.name in ("gradient", "forward")))]


def _operations(facts: dict[str, Any]) -> dict[str, list[int]]:
    """Of each row but a step, which runs two programs, what its program does: for each example, and for each
    call."""
    operations = facts["operations"]
    programs = {row: facts["duties"][duty] for row, duty in PROGRAMS.items()}
    programs |= {row["mode"]: row["program"] for row in facts["methods"]}
    step = [sum(counts) for counts in zip(*map(operations.get, facts["step"]), strict=True)]
    return {"step": step} | {row: operations[program] for row, program in programs.items()}


def _figure(name: str, threads: int, seconds: list[float], counted: Any, batch: int) -> Figure:
    median = statistics.median(seconds)
    quartiles = np.quantile(seconds, (0.25, 0.75))
    spread = float(quartiles[1] - quartiles[0]) / median
    return Figure(name, threads, median, min(seconds), spread, counted[0] * batch + counted[1])


def _backward(gradient: Figure, forward: Figure) -> Figure:
    """The difference of two medians (and of two fastest calls); its spread is that of the longer one."""
    return Figure(
        "backward",
        gradient.threads,
        gradient.median - forward.median,
        gradient.fastest - forward.fastest,
        gradient.spread,
        gradient.operations - forward.operations,
    )


PROGRAMS: dict[str, Duty] = {"gradient": "training", "forward": "forward", "predict": "prediction"}
"""Rows that are one program of every module, and what the module needs it for."""
ORDER = ("step", "gradient", "forward", "backward", "predict")
"""Of the rows of every module; others follow."""


def _compared(rows: Iterable[str]) -> list[str]:
    """The rows whose ratio to forward is given: all that do more than one of its programs."""
    return sorted((row for row in rows if row not in PROGRAMS), key=lambda row: row != "backward")


def _in_order(rows: Mapping[str, Figure]) -> list[str]:
    return [*(row for row in ORDER if row in rows), *(row for row in rows if row not in ORDER)]


def render(result: Bench) -> str:
    """The table that a person reads."""
    peak = result.peak
    lines = [
        f"{result.model}: {result.dtype}, target {result.target}, batch {result.batch}, "
        f"{result.rounds} rounds",
        f"one core: {peak.gigaflops:.0f} GFLOP/s of multiply-adds at {peak.gigahertz:.2f} GHz (measured)",
    ]
    for threads in dict.fromkeys(figure.threads for figure in result.figures):
        rows = {f.name: f for f in result.figures if f.threads == threads}
        lines += ["", f"{threads} thread{'s' if threads > 1 else ''}"]
        lines.append(
            f"{'':12}{'median ms':>11}{'fastest':>10}{'spread':>8}{'examples/s':>13}"
            f"{'GFLOP/s':>9}{'of peak':>9}"
        )
        lines += [_line(rows[name], result) for name in _in_order(rows)]
        forward = rows["forward"]
        lines += [
            f"{name} ÷ forward = {rows[name].median / forward.median:.2f} (medians), "
            f"{rows[name].fastest / forward.fastest:.2f} (fastest)"
            for name in _compared(rows)
        ]
    lines += [
        "",
        "forward: the training loss in a program of its own; backward: gradient minus forward; operations:",
        "those of the formulas after all passes (a product with a zero that is skipped is counted).",
    ]
    return "\n".join(lines)


def _line(figure: Figure, result: Bench) -> str:
    text = (
        f"{figure.name:12}{1e3 * figure.median:11.3f}{1e3 * figure.fastest:10.3f}{figure.spread:8.0%}"
        f"{result.batch / figure.median:13,.0f}"
    )
    if not figure.operations:
        return text
    gigaflops = figure.operations / figure.median / 1e9
    return text + f"{gigaflops:9.1f}{gigaflops / (result.peak.gigaflops * figure.threads):9.0%}"


def to_json(result: Bench) -> dict[str, Any]:
    """The same for a program: seconds, operations and the peak."""
    ratios = {}
    for threads in dict.fromkeys(figure.threads for figure in result.figures):
        rows = {f.name: f.median for f in result.figures if f.threads == threads}
        ratios[str(threads)] = {
            f"{name}_to_forward": rows[name] / rows["forward"] for name in _compared(rows)
        }
    return asdict(result) | {"ratios": ratios}
