"""What the products of every benchmark's step reach of the processor's peak, and how close predictions are.

    python -m benchmarks.shares [--cases CASE …]

Every model is compiled with a clock around each kernel, and steps of it are run on one thread, by
`chainrule compile --explain-schedule`. For each case: every product of more than a million operations a call
that is below 60 % of peak, and why; the kernels that take longest of those whose predictions are not within
1.5 times. At the end a line for each case.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.cases import CASES, Case, parse_case
from benchmarks.workloads import WORKLOADS

WANTED_CLOSE = 0.9
"""Share of the kernels' time of which predictions should be close."""
SHOWN = 5


def main(given: Sequence[str] | None = None) -> int:
    """Print the report of each case. 0 whatever it says, which may be of a busy machine."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.shares", description="Shares of peak, predictions."
    )
    parser.add_argument("--cases", nargs="+", type=parse_case, help="such as gpt_medium/train/8 (all)")
    cases: Sequence[Case] = parser.parse_args(given).cases or steps()
    rows = []
    for case in cases:
        report = explained(case)
        print(case.title, *lines(report), "", sep="\n", flush=True)
        rows.append(row(case, report))
    print(*rows, sep="\n")
    return 0


def steps() -> list[Case]:
    """The training step of each workload, once, in the first of its batches."""
    trained = [case for case in CASES.values() if case.mode == "train"]
    return list({case.workload: case for case in reversed(trained)}.values())[::-1]


def explained(case: Case) -> dict[str, Any]:
    """What `--explain-schedule --json` prints. Raises subprocess.CalledProcessError where that fails."""
    model = WORKLOADS[case.workload].model_file
    command = [sys.executable, "-m", "chainrule", "compile", "--quiet", "--json", "--explain-schedule"]
    with tempfile.TemporaryDirectory() as out:
        command += ["--batch", str(case.batch), "--out", out, model]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Products with a reason, then what is predicted worst."""
    step = report["step_seconds"]
    for product in report["products"]:
        if product["reason"]:
            part = f"{product['share']:4.0%} of peak, {product['measured_seconds'] / step:5.1%} of the step"
            yield f"  {part}: {product['name']}: {product['reason']}"
    for kernel in sorted(far(report), key=lambda one: -one["measured_seconds"])[:SHOWN]:
        times = kernel["measured_seconds"] / kernel["predicted_seconds"]
        part = f"{times:4.2f} of predicted, {kernel['measured_seconds'] / step:5.1%} of the step"
        yield f"  {part}: {kernel['name']}: {kernel['schedule']}"


def far(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The kernels whose predictions are not close."""
    return [kernel for kernel in report["kernels"] if kernel["name"] in report["far"]]


def row(case: Case, report: dict[str, Any]) -> str:
    """A line of the table: milliseconds of a step, share of peak, and of what is predicted closely."""
    gigaflops = sum(kernel["operations"] for kernel in report["kernels"]) / report["step_seconds"] / 1e9
    products, close = report["products"], report["close"]
    low = sum(bool(product["reason"]) for product in products)
    return (
        f"{case.name:24}{1e3 * report['step_seconds']:9.2f} ms "
        f"{gigaflops / report['peak']['gigaflops']:5.0%} of peak; {len(products):3} products, {low:3} below; "
        f"close {close:4.0%}{'' if close >= WANTED_CLOSE else f' (less than {WANTED_CLOSE:.0%})'}"
        f"{' (BUSY: measure again)' if report['disturbed'] else ''}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
