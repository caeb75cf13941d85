"""How long models take to compile with nothing cached, each in a process of its own: `make compile-times`.

Beside the time on the clock stands that of processors, which is what it is where other programs run too, and
the most memory that one of the processes had. Each has an aim, which is for two cores and the clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contention import describe_contention, share_of_others, take_reading

MEGABYTES = 600
"""Memory of the compiler at most."""


@dataclass(frozen=True)
class Case:
    """A model, and what it may take: seconds, or so many times what another one takes."""

    model: str
    seconds: float = 0.0
    times: float = 0.0
    other: str = ""


CASES = (
    Case("models/mnist.py", seconds=10),
    Case("benchmarks/models/gpt_small.py", seconds=20),
    Case("benchmarks/models/unet_small.py", seconds=25),
    Case("benchmarks/models/resnet20.py", seconds=25),
    Case("benchmarks/models/resnet110.py", seconds=45),
    Case("benchmarks/models/gpt_deep.py", times=1.3, other="benchmarks/models/gpt_small.py"),
)


@dataclass(frozen=True)
class Taken:
    """Of a compilation: seconds on the clock, of processors, and bytes of its largest process."""

    seconds: float
    processor: float
    memory: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ", ".join(case.model for case in CASES)
    parser.add_argument("--models", help=f"files with commas; those with an aim are {known}")
    chosen = parser.parse_args().models
    aims = {case.model: case for case in CASES}
    models = chosen.split(",") if chosen else list(aims)
    before, taken = take_reading(), dict[str, Taken]()
    print(f"{'model':<32}  seconds   aim  processor  megabytes (aim {MEGABYTES})")
    for model in models:
        taken[model] = compiled(model)
        print(row(model, aims.get(model, Case(model)), taken), flush=True)
    print(describe_contention(share_of_others(before, take_reading())))


def row(model: str, case: Case, taken: dict[str, Taken]) -> str:
    """What a compilation took beside its aim; a star where that is missed."""
    own, aim = taken[model], aim_of(case, taken)
    text = f"{model:<32}  {own.seconds:7.1f} " + ("    –" if aim is None else f"{aim:5.1f}")
    late = "*" if aim is not None and own.seconds > aim else " "
    large = "*" if own.memory > MEGABYTES * 1e6 else " "
    return f"{text}{late} {own.processor:9.1f}  {own.memory / 1e6:9.0f}{large}"


def aim_of(case: Case, taken: dict[str, Taken]) -> float | None:
    """Seconds; None where there is no aim, or where it is by a model that was not compiled."""
    if case.other:
        return case.times * taken[case.other].seconds if case.other in taken else None
    return case.seconds or None


def compiled(model: str) -> Taken:
    """Compile a model file with empty caches. Raises CalledProcessError where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: os.path.join(folder, name) for name in ("CHAINRULE_CACHE", "XDG_CACHE_HOME")}
        out = os.path.join(folder, "out")
        return timed((sys.executable, "-m", "chainrule", "compile", "--quiet", model, "--out", out), caches)


def timed(command: Sequence[str], variables: dict[str, str]) -> Taken:
    """Run a command to its end with these variables beside those of this process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **variables})
    _, status, used = os.wait4(process.pid, 0)
    # It was waited for here, so that what it used is its own and no other's.
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024
    return Taken(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


if __name__ == "__main__":
    main()
