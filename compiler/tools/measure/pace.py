"""What this processor does in a cycle, one core and all: bytes of each level of memory, multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from compiler.machine.machine import Machine
from compiler.machine.measured import Measurement, Rate, What, rooms
from compiler.machine.target import Target
from compiler.toolchain.build import Toolchain
from compiler.toolchain.compile_file import available_memory
from compiler.toolchain.measured import this_processor
from compiler.toolchain.processes import processors
from compiler.tools.measure.pace_program import (
    ACCUMULATORS,
    CHAIN_CYCLES,
    OPERATIONS,
    Job,
    Kind,
    Seconds,
    run_jobs,
)

DTYPE = "float32"
ROUNDS = 100
MOVED_BYTES = 16 * 2**20
"""Of a cache, by each thread in a round: tenths of a millisecond, shorter than a turn on a busy machine."""
FAR_BYTES = 8 * 2**20
"""Of memory, by each thread in a round, at most."""
STEPS = 100_000
"""Of loops of arithmetic."""
PAGE = 4096
LEAST_FAR = 256 * 2**20
CACHES = Path("/sys/devices/system/cpu")
"""Where Linux describes them."""


@dataclass(frozen=True)
class Part:
    """One thing to measure: what it is to a person, and to the program."""

    what: What
    level: str
    job: Job
    in_round: float
    """Bytes or operations of all threads."""


def measure_pace(
    target: Target, toolchain: Toolchain, rounds: int = ROUNDS, far_bytes: int | None = None
) -> Measurement:
    """Measures this processor. Of many short rounds the best counts, so that a busy machine does little harm.

    Raises ModelError where the program cannot be built or run.
    """
    machine = target.machine
    far = far_memory(available_memory()) if far_bytes is None else far_bytes
    parts = list(_parts(machine, far))
    chain = Job("chain", passes=STEPS)
    jobs = [*(part.job for part in parts), chain]
    *seconds, cycles = run_jobs(target, DTYPE, toolchain, jobs, rounds, far)
    gigahertz = CHAIN_CYCLES * STEPS / cycles.best / 1e9
    rates = tuple(_rate(part, found, gigahertz) for part, found in zip(parts, seconds, strict=True))
    own = this_processor()
    return Measurement(
        own.processor, own.flags, machine.vector_bytes, rooms(machine), gigahertz, rounds, rates
    )


def measured_room(machine: Machine, number: int) -> int:
    """Bytes that are gone through for a cache: midway between what the nearer one holds and what it holds
    itself, so that this cache holds them and the nearer does not."""
    held = (0, *rooms(machine))
    return (held[number] + held[number + 1]) // 2 // PAGE * PAGE


def far_memory(available: int) -> int:
    """Bytes of memory to go through: four times what all caches hold, at most a quarter of what there is."""
    return min(max(LEAST_FAR, 4 * _cache_bytes()), available // 4)


def _parts(machine: Machine, far_bytes: int) -> Iterator[Part]:
    operations = OPERATIONS * machine.lanes(DTYPE) * ACCUMULATORS * STEPS
    for cores in sorted({1, processors()}):
        yield Part("multiply-adds", "", Job("multiply-adds", cores, STEPS), cores * operations)
        for number, level in enumerate(machine.levels):
            far = number == len(machine.levels) - 1
            # So little of memory that, when all cores come round to it again, no cache holds it.
            turn = min(FAR_BYTES, far_bytes // (4 * cores) // PAGE * PAGE)
            room = turn if far else measured_room(machine, number)
            passes = 1 if far else max(1, MOVED_BYTES // room)
            for what in ("read", "write"):
                kind = cast(Kind, f"{what}-far" if far else what)
                yield Part(what, level.name, Job(kind, cores, passes, room), cores * passes * room)


def _rate(part: Part, found: Seconds, gigahertz: float) -> Rate:
    best, median = (part.in_round / (seconds * gigahertz * 1e9) for seconds in (found.best, found.median))
    return Rate(part.what, part.level, part.job.threads, best, median)


def _cache_bytes() -> int:
    """All caches of the last level together, by Linux; elsewhere they are not known."""
    sizes: dict[tuple[str, str], int] = {}
    for folder in CACHES.glob("cpu[0-9]*/cache/index*"):
        texts = [folder / name for name in ("level", "shared_cpu_list", "size")]
        if all(path.is_file() for path in texts):
            level, shared, size = (path.read_text().strip() for path in texts)
            if size.endswith("K") and size[:-1].isdigit():
                sizes[level, shared] = int(size[:-1]) * 1024
    last = max((level for level, _ in sizes), default="")
    return sum(size for (level, _), size in sizes.items() if level == last)
