"""What a measurement of a case is kept as, and the tables that it is shown in."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case, parse_case
from benchmarks.machine import Machine
from benchmarks.measure import Measurement
from benchmarks.workloads import WORKLOADS

OURS = "chainrule"
OWN_ROWS = {OURS, "chainrule-bfloat16"}
"""Rows that are no other framework's."""
SAME_LOSS = 0.3
"""Share by which losses of a first step may differ: weights are drawn by generators that differ."""
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

Record = dict[str, Any]
"""One case, ready for JSON: when and where it was measured, and a row for each peer and number of threads."""


def make_record(
    case: Case, machine: Machine, load: str, date: str, rounds: int, measurements: Sequence[Measurement]
) -> Record:
    versions = {name: version for m in measurements for name, version in m.versions.items()}
    return {
        "case": case.name,
        "date": date,
        "rounds": rounds,
        "processor": f"{machine.processor}, {machine.usable_cores} core(s), {', '.join(machine.caches)}",
        "vectors": " ".join(machine.vector_extensions),
        "system": machine.system,
        "load": load,
        "versions": versions,
        "data": ", ".join(sorted({m.data for m in measurements if m.data})),
        "rows": [_row_record(m) for m in measurements],
    }


def _row_record(measurement: Measurement) -> Record:
    row: Record = {"threads": measurement.threads, "peer": measurement.peer}
    if not measurement.seconds:
        return row | {"failure": measurement.failure}
    return row | {
        "median": round(measurement.median, 7),
        "fastest": round(measurement.fastest, 7),
        "calls": len(measurement.seconds),
        "start": None if measurement.start is None else round(measurement.start, 4),
        "memory": measurement.memory,
        # NaN is no JSON.
        "evidence": round(measurement.evidence, 4) if math.isfinite(measurement.evidence) else None,
        "setting": measurement.setting,
    }


def fastest_peer(record: Record, threads: int) -> Record | None:
    """The other framework with the lowest median at this number of threads."""
    rows = (r for r in record["rows"] if r["threads"] == threads and "median" in r)
    others = [r for r in rows if r["peer"] not in OWN_ROWS]
    return min(others, key=lambda r: r["median"], default=None)


def render_case(record: Record) -> str:
    """A section of Markdown: what was measured, and a row for each peer; one that failed says why."""
    case = parse_case(record["case"])
    evidence = "first and last loss" if case.mode == "train" else "Σ probabilities"
    lines = [
        f"### {case.title}",
        "",
        f"{WORKLOADS[case.workload].description}. Data: {record['data']}. {record['rounds']} rounds, "
        f"{record['date']}; {record['load']}.",
        "",
        f"| threads | peer | median, ms | fastest, ms | ÷ fastest peer | {evidence} | memory, MiB "
        "| setting |",
        "|---:|---|---:|---:|---:|---:|---:|---|",
    ]
    return "\n".join([*lines, *(_row(row, record) for row in record["rows"])])


def _row(row: Record, record: Record) -> str:
    name = f"**{row['peer']}**" if row["peer"] == OURS else row["peer"]
    if "median" not in row:
        return f"| {row['threads']} | {name} | – | – | – | – | – | {row['failure']} |"
    reference = fastest_peer(record, row["threads"])
    ratio = f"{row['median'] / reference['median']:.2f}" if reference else "–"
    evidence = "–" if row["evidence"] is None else f"{row['evidence']:.3f}"
    if parse_case(record["case"]).mode == "train" and row.get("start") is not None:
        evidence = f"{row['start']:.3f}, {evidence}"
    # Records of before have no memory.
    memory = f"{row['memory'] / 2**20:.0f}" if row.get("memory") else "–"
    return (
        f"| {row['threads']} | {name} | {milliseconds(row['median'])} | {milliseconds(row['fastest'])} "
        f"| {ratio} | {evidence} | {memory} | {row['setting']}{_disagreement(row, record)} |"
    )


def _disagreement(row: Record, record: Record) -> str:
    """What is wrong where a first loss is not about that of chainrule: weights are drawn by the same rule, so
    that another loss means another net, or another mean."""
    ours = next((r["start"] for r in record["rows"] if r["peer"] == OURS and r.get("start")), None)
    given = row.get("start")
    if parse_case(record["case"]).mode != "train" or ours is None or given is None:
        return ""
    return "" if abs(given - ours) <= SAME_LOSS * ours else "; ANOTHER LOSS: do not compare"


def milliseconds(seconds: float) -> str:
    """Three figures at least."""
    value = 1e3 * seconds
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _compared(records: Sequence[Record]) -> Iterator[tuple[Case, Record, Record, float]]:
    """Our row of every case and number of threads, that of the fastest peer, and the ratio."""
    for record in records:
        for ours in (r for r in record["rows"] if r["peer"] == OURS and "median" in r):
            reference = fastest_peer(record, ours["threads"])
            if reference is not None:
                yield parse_case(record["case"]), ours, reference, reference["median"] / ours["median"]


def render_summary(records: Sequence[Record]) -> str:
    """One row a case and number of threads: chainrule beside the fastest of the others, won or lost; and the
    mean of all rows of training."""
    lines = [
        "| case | threads | chainrule, ms | examples/s | fastest peer, ms | | times as fast |",
        "|---|---:|---:|---:|---:|---|---:|",
    ]
    training = []
    for case, ours, reference, times in _compared(records):
        lines.append(
            f"| {case.title} | {ours['threads']} | {milliseconds(ours['median'])} "
            f"| {case.batch / ours['median']:,.0f} | {milliseconds(reference['median'])} "
            f"| {reference['peer']} | {times:.2f} |"
        )
        training += [times] if case.mode == "train" else []
    if training:
        mean = statistics.geometric_mean(training)
        lost = sum(times < 1 for times in training)
        lines.append(
            f"\nTraining, {len(training)} rows: **{mean:.2f}** times as fast as the fastest peer of each row "
            f"(geometric mean); slower than it in {lost}."
        )
    return "\n".join(lines)


def render_results(records: Mapping[str, Record]) -> str:
    """All that stands between the markers of the document."""
    order = [*(name for name in CASES if name in records), *(name for name in records if name not in CASES)]
    chosen = [records[name] for name in order]
    machines = {(r["processor"], r["vectors"], r["system"]) for r in chosen}
    versions = {name: version for r in chosen for name, version in r["versions"].items()}
    lines = [
        f"- machine: {processor}; {vectors}; {system}" for processor, vectors, system in sorted(machines)
    ]
    lines.append(f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}")
    return "\n\n".join(["\n".join(lines), render_summary(chosen), *map(render_case, chosen)])


def keep(records: Sequence[Record], store: Path) -> dict[str, Record]:
    """Put new records in the place of old ones of the same cases; returns all of them."""
    known = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {}
    known |= {record["case"]: record for record in records}
    store.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return known


def write_into(document: Path, text: str) -> None:
    """Replace what stands between the markers. Raises ValueError for a document without them."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} lacks the markers {BEGIN} and {END}")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
