"""The machine that a measurement was made on, in one printable record."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What a reader needs to compare a figure with one of their own."""

    processor: str
    usable_cores: int
    caches: tuple[str, ...]
    """One entry per cache of the first core, such as "L1 data 32K"."""
    vector_extensions: tuple[str, ...]
    system: str


VECTOR_EXTENSIONS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "sve")


def describe_machine() -> Machine:
    """Read the record from /proc and /sys where they exist (Linux), from Python's own tables elsewhere."""
    fields = read_processor_fields()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return Machine(
        processor=fields.get("model name") or platform.processor() or platform.machine(),
        usable_cores=len(usable_cores()),
        caches=read_caches(),
        vector_extensions=tuple(name for name in VECTOR_EXTENSIONS if name in flags),
        system=f"{platform.system()}, Python {platform.python_version()}",
    )


def usable_cores() -> list[int]:
    """The cores that this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def read_processor_fields() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo; none where there is no such file."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text(encoding="utf-8").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_caches() -> tuple[str, ...]:
    """The caches that the first core uses, as the kernel describes them."""
    caches = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (folder / name).read_text(encoding="utf-8").strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            caches.append(f"L{level} {size}" if kind == "Unified" else f"L{level} {kind.lower()} {size}")
    return tuple(caches)
