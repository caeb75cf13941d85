"""What `chainrule compile --timings` prints: where the time of a compilation went."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from typing import Any

from compiler.driver import Step
from compiler.stopwatch import Spent, Stopwatch

STAGES = {
    "parse": "read the model file",
    "lower": "formulas to programs",
    "passes": "derive, simplify, lower: all passes before planning",
    "tile": "the size of a tile: a plan of the step",
    "plan": "plans: schedules, kernels, places",
    "text": "the module's text",
    "translate": "Cython to C",
    "build": "C to a shared object",
    "side by side": "Cython to C to a shared object, side by side",
}
LEAST = 0.005
"""Seconds of a pass that is worth a line."""


def render(stopwatch: Stopwatch, steps: Iterable[Step]) -> str:
    """Stage by stage, then pass by pass, then memory."""
    spent = stopwatch.stages
    lines = [f"{'where the time went':<54}{'seconds':>9}{'processor':>11}"]
    lines += [_line(text, spent[name]) for name, text in STAGES.items() if name in spent]
    lines.append(_line("together", _sum(spent.values())))
    lines += ["", "passes, over all programs"]
    passes = sorted(_passes(steps).items(), key=lambda item: -item[1].seconds)
    lines += [_line(name, one) for name, one in passes if one.seconds >= LEAST]
    own, others = _memory()
    lines += ["", f"memory: {own} MB at most, of the programs that were run {others} MB"]
    return "\n".join(lines)


def to_json(stopwatch: Stopwatch, steps: Iterable[Step]) -> dict[str, Any]:
    """The same for a program: seconds and megabytes."""
    own, others = _memory()
    return {
        "stages": {name: vars(one) for name, one in stopwatch.stages.items()},
        "passes": {name: vars(one) for name, one in _passes(steps).items()},
        "memory": {"own": own, "programs": others},
    }


def _line(text: str, spent: Spent) -> str:
    return f"  {text:<52}{spent.seconds:9.2f}{spent.processor:11.2f}"


def _sum(all_: Iterable[Spent]) -> Spent:
    kept = tuple(all_)
    return Spent(sum(one.seconds for one in kept), sum(one.processor for one in kept))


def _passes(steps: Iterable[Step]) -> dict[str, Spent]:
    found: dict[str, list[Spent]] = {}
    for step in steps:
        found.setdefault(step.name, []).append(Spent(step.seconds, step.processor))
    return {name: _sum(spent) for name, spent in found.items()}


def _memory() -> tuple[int, int]:
    """Megabytes at most: of this process, and of the largest that it has run."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, others = (resource.getrusage(who).ru_maxrss // 1024 for who in whose)
    return own, others
