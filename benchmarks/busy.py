"""What a second thread brings, or costs, while other programs want the processors: `make busy`.

Neighbours are processes that do nothing but run. Steps on one thread and on two take turns in one process, a
tenth of a second each; a ratio is that of two turns that follow each other, and the figure is their median.
Two threads on two processors with two neighbours compete with as many; with one thread there are three.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from benchmarks.contention import describe_contention, share_of_others, take_reading

CASES = (
    ("mnist", 128),
    ("mnist", 32),
    ("mnist", 8),
    ("mlp_512", 128),
    ("tiny", 1024),
    ("tiny", 128),
    ("tiny", 8),
)
"""Generated modules and sizes of a batch: steps from milliseconds down to microseconds."""
LIMIT = 1.10
"""A second thread may cost no more than this, whatever the neighbours do."""
TURN_SECONDS = 0.1
SETTLING_SECONDS = 0.5
"""Until neighbours have started and the system has found places for them."""


@dataclass(frozen=True)
class Row:
    """Seconds of a step, turn by turn: on one thread, and on two right before or after."""

    case: str
    neighbours: int
    one: Sequence[float]
    two: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Two threads to one, turn by turn, in order of size."""
        return sorted(two / one for one, two in zip(self.one, self.two, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neighbours", default="0,1,2", help="how many, with commas (0,1,2)")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of turns for each figure (40)")
    options = parser.parse_args()
    before = take_reading()
    rows = []
    for neighbours in map(int, options.neighbours.split(",")):
        for name, batch in CASES:
            steps = {threads: make_step(name, batch, threads) for threads in (1, 2)}
            with busy_neighbours(neighbours):
                rows.append(measure(f"{name}, batch {batch:,}", neighbours, steps, options.rounds))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(render(rows))
    print(f"\nbesides the neighbours, {describe_contention(share_of_others(before, take_reading()))}")


def make_step(name: str, batch: int, threads: int) -> Callable[[], float]:
    """A step of a generated module on noise."""
    module: ModuleType = importlib.import_module(f"generated.{name}")
    rng = np.random.default_rng(0)
    x = rng.random((batch, *module.INPUT_SHAPE), dtype=np.float32)
    y = rng.integers(0, module.LABEL_LIMIT, batch)
    network = module.Network(seed=0, threads=threads)
    return lambda: network.train_step(x, y)


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """So many processes that want a processor all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(SETTLING_SECONDS if count else 0)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(case: str, neighbours: int, steps: dict[int, Callable[[], float]], rounds: int) -> Row:
    """Turns of one thread and of two, each round starting with the other."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds + 1):
        for threads in (1, 2) if number % 2 else (2, 1):
            seconds[threads].append(take_turn(steps[threads]))
    # The first round warms up.
    return Row(case, neighbours, seconds[1][1:], seconds[2][1:])


def take_turn(step: Callable[[], float]) -> float:
    """The mean seconds of a step."""
    count, start = 0, time.perf_counter()
    while True:
        step()
        count += 1
        elapsed = time.perf_counter() - start
        if elapsed >= TURN_SECONDS:
            return elapsed / count


def render(rows: Sequence[Row]) -> str:
    """A table in Markdown, and under it how the worst row stands to the limit."""
    lines = [
        "| step | neighbours | 1 thread, ms | 2 threads, ms | two ÷ one | quartiles |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        one, two = (1000 * statistics.median(seconds) for seconds in (row.one, row.two))
        low, middle, high = statistics.quantiles(row.ratios, n=4)
        times = f"{one:.4g} | {two:.4g} | {middle:.2f} | {low:.2f} to {high:.2f}"
        lines.append(f"| {row.case} | {row.neighbours} | {times} |")
    worst = max(rows, key=lambda row: statistics.median(row.ratios))
    ratio = statistics.median(worst.ratios)
    verdict = "within" if ratio <= LIMIT else "ABOVE"
    lines += ["", f"worst: {ratio:.2f}, {worst.case}, {worst.neighbours} neighbours: {verdict} {LIMIT:.2f}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
