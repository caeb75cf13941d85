"""What `chainrule doctor --measure` prints, and that it measures. No test looks at how fast."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.cli import main
from compiler.errors import ModelError
from compiler.machine.registry import all_targets
from compiler.machine.target import Target
from compiler.toolchain.build import Toolchain, find_toolchain
from compiler.toolchain.measured import known_of, this_processor
from compiler.tools.measure import pace
from compiler.tools.measure.pace import far_memory, measure_pace, measured_room
from compiler.tools.measure.pace_program import Job, run_jobs
from compiler.tools.measure.pace_text import peak_of, render, to_json
from tests.machine.measurements import measurement
from tests.machines import MODELS, native

MACHINE = all_targets()["x86-64-v4"].machine
TABLE = """\
Imaginary 9000: 512-bit vectors, 2.50 GHz; the best of 100 rounds

bytes a cycle                     one core           3 cores    model
                             read    write     read    write     read
level 1  32.0 KiB           101.0     50.5    303.0    151.5     64.0
level 2  1.0 MiB             51.0     25.5    153.1     76.6     32.0
level 3  4.0 MiB             26.0     13.0     78.0     39.0     20.0
memory                        9.0      4.5      9.0      4.5      4.0

multiply-adds: operations a cycle one core 32.0 (80 GFLOP/s), 3 cores 96.0 (240 GFLOP/s), model 64
a byte a cycle is 2.50 GB/s; of all cores the sum

native now reads 100, 51, 26, 9 bytes a cycle: measured.json
Its modules are built again; named targets stay as they are. chainrule doctor --forget removes it."""


def test_table() -> None:
    assert render(measurement(MACHINE), MACHINE, Path("measured.json")) == TABLE
    unsteady = render(measurement(MACHINE, steadiness=0.5), MACHINE, Path("measured.json"))
    assert "rounds differ much" in unsteady and "is 50% of the best" in unsteady
    assert "measure again when it is idle" in unsteady


def test_json() -> None:
    found = json.loads(json.dumps(to_json(measurement(MACHINE), MACHINE, Path("measured.json"))))
    assert found["file"] == "measured.json" and found["steady"]
    assert found["bandwidths"] == [100, 51, 26, 9] and found["model"]["bandwidths"] == [64, 32, 20, 4]
    assert found["measurement"]["gigahertz"] == 2.5
    rate = {"what": "write", "level": "memory", "cores": 3, "best": 4.5, "median": 4.5 * 0.95}
    assert rate in found["measurement"]["rates"]


def test_peak_of_a_model() -> None:
    """An arithmetic unit that takes half of a vector takes two cycles for one."""
    peaks = {name: peak_of(target.machine) for name, target in MODELS.items()}
    assert (peaks["intel-avx512"], peaks["amd-avx512"], peaks["avx2"], peaks["scalar"]) == (64, 32, 32, 4)


@pytest.mark.parametrize("target", list(MODELS.values()), ids=list(MODELS))
def test_a_level_is_measured_where_it_alone_holds_what_is_read(target: Target) -> None:
    nearer = 0.0
    for number, level in enumerate(target.machine.levels[:-1]):
        room = measured_room(target.machine, number)
        assert nearer < room < level.room and room % pace.PAGE == 0
        nearer = level.room


def test_memory_is_more_than_caches_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "CACHES", tmp_path)
    assert far_memory(2**40) == pace.LEAST_FAR
    rows = [
        ("0", "1", "32K", "0"),
        ("0", "3", "131072K", "0-1"),
        ("1", "3", "131072K", "0-1"),
        ("2", "3", "?", "2"),
    ]
    for number, (cpu, level, size, shared) in enumerate(rows):
        folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{number}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(f"{text}\n")
    # Two processors share one cache, which counts once.
    assert far_memory(2**40) == 4 * 131072 * 1024
    assert far_memory(2**20) == 2**18


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return find_toolchain()


def test_measuring(toolchain: Toolchain) -> None:
    """Every figure is there and above 0; memory is not read faster than the nearest cache."""
    target = native()
    found = measure_pace(target, toolchain, rounds=3, far_bytes=32 * 2**20)
    assert found.problem(target.machine) == "" and found.gigahertz > 0
    for cores in {1, found.cores}:
        assert found.rate("multiply-adds", "", cores).best > 0
        for level in target.machine.levels:
            for what in ("read", "write"):
                rate = found.rate(what, level.name, cores)
                assert 0 < rate.median <= rate.best
    bandwidths = found.bandwidths(target.machine)
    assert list(bandwidths) == sorted(bandwidths, reverse=True)


def test_a_program_that_cannot_be_built(toolchain: Toolchain) -> None:
    broken = Toolchain((*toolchain.command, "--no-such-option"), toolchain.version)
    with pytest.raises(ModelError, match="cannot be built or run"):
        run_jobs(native(), "float32", broken, [Job("chain")], 1)


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """It measures, keeps, and prints; native is compiled by that from then on."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    taken: list[object] = []

    def fake(target: Target, toolchain: Toolchain) -> object:
        own = this_processor()
        taken.append(target)
        return replace(measurement(target.machine), processor=own.processor, flags=own.flags)

    monkeypatch.setattr(pace, "measure_pace", fake)
    assert main(["doctor", "--measure"]) == 0
    assert "native now reads 100, 51, 26, 9 bytes a cycle" in capsys.readouterr().out
    assert main(["doctor", "--measure", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    machine = native().machine
    assert printed["bandwidths"] == [100, 51, 26, 9] and len(taken) == 2
    known = known_of(machine)
    assert known.measurement and known.file == Path(printed["file"])
    with pytest.raises(SystemExit):
        main(["doctor", "--measure", "--forget"])
    assert "not allowed with" in capsys.readouterr().err
