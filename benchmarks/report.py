"""The table that a measurement prints, and the same as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.machine import Machine
from benchmarks.measure import Measurement

OURS = "chainrule"


def fastest_peer(measurements: Sequence[Measurement], threads: int) -> Measurement | None:
    """The other framework with the lowest median step at this number of threads."""
    others = [m for m in measurements if m.threads == threads and m.seconds and m.peer != OURS]
    return min(others, key=lambda m: m.median, default=None)


def render_report(title: str, machine: Machine, contention: str, measurements: Sequence[Measurement]) -> str:
    """A Markdown report: title, machine, versions, and a table with a row per peer and number of threads."""
    versions = {name: version for m in measurements for name, version in m.versions.items()}
    data = sorted({m.data for m in measurements if m.data})
    lines = [
        title,
        f"machine   {machine.processor}, {machine.usable_cores} core(s), {', '.join(machine.caches)}",
        f"          {' '.join(machine.vector_extensions)}",
        f"system    {machine.system}",
        f"load      {contention}",
        f"versions  {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"data      {', '.join(data)}",
        "",
        "| threads | peer | median step, ms | fastest step, ms | ÷ fastest peer | last loss | setting |",
        "|---:|---|---:|---:|---:|---:|---|",
    ]
    lines += [render_row(m, fastest_peer(measurements, m.threads)) for m in measurements]
    lines += ["", *render_verdicts(measurements)]
    return "\n".join(lines)


def render_row(measurement: Measurement, reference: Measurement | None) -> str:
    """One row; a peer that could not be measured says why."""
    start = f"| {measurement.threads} | {measurement.peer} "
    if not measurement.seconds:
        return start + f"| – | – | – | – | {measurement.failure} |"
    ratio = f"{measurement.median / reference.median:.2f}" if reference else "–"
    return start + (
        f"| {1e3 * measurement.median:.2f} | {1e3 * measurement.fastest:.2f} | {ratio} "
        f"| {measurement.loss:.3f} | {measurement.setting} |"
    )


def render_verdicts(measurements: Sequence[Measurement]) -> list[str]:
    """One sentence for each number of threads at which chainrule and another framework were measured."""
    verdicts = []
    for ours in (m for m in measurements if m.peer == OURS and m.seconds):
        reference = fastest_peer(measurements, ours.threads)
        if reference is None:
            continue
        ratio = ours.median / reference.median
        word = (
            f"{1 / ratio:.2f} times as fast as" if ratio <= 1 else f"slower by a factor of {ratio:.2f} than"
        )
        verdicts.append(f"{ours.threads} thread(s): {OURS} is {word} the fastest peer, {reference.peer}.")
    return verdicts


def to_json(machine: Machine, contention: str, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Everything that was measured, down to the single steps."""
    rows = []
    for measurement in measurements:
        row = dataclasses.asdict(measurement)
        if measurement.seconds:
            row |= {"median": measurement.median, "fastest": measurement.fastest}
        else:
            row["loss"] = None  # NaN is no JSON
        rows.append(row)
    return {"machine": dataclasses.asdict(machine), "load": contention, "measurements": rows}
