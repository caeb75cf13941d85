"""The pace of this processor as `chainrule doctor --measure` has measured it, kept in the user's cache.

A file is named by what the system says of the processor, as machines may share a home. It counts only if it
is what was written, by this user, for this processor and the machine model in use; one that does not is said
to be ignored. Kernels for `native` are chosen by what it says, those for named targets never.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from compiler.machine.machine import Machine
from compiler.machine.measured import Measurement, Rate
from compiler.toolchain.cache_entry import Unfit, key_of, own_content, private_folder
from runtime.cache_folder import cache_folder
from runtime.files import atomic_write, try_folder

ROOM = 2**14
"""Bytes of a file, at most."""
DESCRIPTION = Path("/proc/cpuinfo")
NAMES, FLAGS = ("model name", "CPU part"), ("flags", "Features")
"""What Linux calls them, on x86 and on ARM."""


@dataclass(frozen=True)
class Identity:
    """What the system says of the processor."""

    processor: str
    flags: str


@dataclass(frozen=True)
class Known:
    """What is known of this processor: a measurement, or why the one that is there is ignored, or neither."""

    file: Path
    measurement: Measurement | None = None
    ignored: str = ""

    def machine(self, described: Machine) -> Machine:
        """The machine model as it is to be used."""
        return self.measurement.applied(described) if self.measurement else described


def this_processor() -> Identity:
    """The first of this machine's processors: its name and its flags."""
    fields: dict[str, str] = {}
    if DESCRIPTION.is_file():
        with DESCRIPTION.open(encoding="utf-8", errors="replace") as handle:
            # Of hundreds of processors the system takes a while to describe all.
            pairs = [line.partition(":") for line in takewhile(str.strip, handle)]
        fields = {name.strip(): value.strip() for name, _, value in pairs}
    name = next((fields[name] for name in NAMES if name in fields), "")
    flags = next((fields[name] for name in FLAGS if name in fields), "")
    return Identity(name or platform.processor() or platform.machine(), flags)


def measured_file(identity: Identity) -> Path:
    """Where a measurement of this processor is kept."""
    return cache_folder() / "measured" / f"{key_of(identity.processor, identity.flags)[:16]}.json"


def known_of(machine: Machine) -> Known:
    """What was measured of this processor, for a machine model."""
    identity = this_processor()
    file = measured_file(identity)
    try:
        measurement = _read(own_content(file))
        if Identity(measurement.processor, measurement.flags) != identity:
            raise Unfit(f"it was measured on another machine ({measurement.processor})")
        if problem := measurement.problem(machine):
            raise Unfit(problem)
    except (FileNotFoundError, NotADirectoryError):
        return Known(file)
    except OSError as error:
        return Known(file, ignored=f"it cannot be read ({error.strerror})")
    except Unfit as reason:
        return Known(file, ignored=str(reason))
    return Known(file, measurement)


def try_to_keep() -> Path:
    """Find out, before anything is measured, whether it can be kept, and where.

    Raises ModelError where others may write there, OSError where nobody can.
    """
    file = measured_file(this_processor())
    private_folder(file.parent)
    try_folder(file, ROOM)
    return file


def keep(measurement: Measurement, file: Path) -> None:
    """Write a measurement down, whole or not at all. Raises OSError."""
    values = asdict(measurement)
    with atomic_write(file) as handle:
        Path(handle.name).chmod(0o600)
        handle.write(json.dumps({**values, "seal": _seal(values)}, indent=1).encode())


def forget() -> tuple[Path, bool]:
    """Remove what was measured of this processor: its file, and whether there was one. Raises OSError."""
    file = measured_file(this_processor())
    there = file.exists()
    file.unlink(missing_ok=True)
    return file, there


def _read(content: bytes) -> Measurement:
    try:
        values = json.loads(content)
        seal = values.pop("seal")
        rates = tuple(Rate(**rate) for rate in values["rates"])
        measurement = replace(Measurement(**values), rates=rates, rooms=tuple(values["rooms"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unfit("it is damaged") from error
    if seal != _seal(asdict(measurement)):
        raise Unfit("it is damaged")
    return measurement


def _seal(values: dict[str, Any]) -> str:
    return key_of(json.dumps(values, sort_keys=True))
