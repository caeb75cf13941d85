"""What was measured of a processor: kept whole, taken only if it is this one's, and part of what is built."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.cli import main
from compiler.frontend.parse import load_model
from compiler.machine.machine import Machine
from compiler.machine.registry import all_targets
from compiler.toolchain import compile_file as compile_module
from compiler.toolchain import measured
from compiler.toolchain.build import Toolchain
from compiler.toolchain.compile_file import Options, target_for
from compiler.toolchain.measured import forget, keep, known_of, try_to_keep
from tests.machine.measurements import CPUINFO, FLAGS, PROCESSOR, READ, measurement
from tests.machines import MODELS
from tests.workshop import SMALL

MACHINE = all_targets()["x86-64-v3"].machine
TOOLCHAIN = Toolchain(("cc",), "a compiler")


@pytest.fixture(autouse=True)
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An imaginary one, with an empty cache, of which the C compiler says that it is an x86-64-v3."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    describe(CPUINFO, tmp_path, monkeypatch)
    imaginary = replace(all_targets()["x86-64-v3"], name="native")
    monkeypatch.setattr(compile_module, "described_target", lambda toolchain: imaginary)
    monkeypatch.setattr(compile_module, "predefined_macros", lambda toolchain, flags: frozenset())


def describe(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cpuinfo").write_text(text)
    monkeypatch.setattr(measured, "DESCRIPTION", folder / "cpuinfo")


def kept(machine: Machine = MACHINE) -> Path:
    file = try_to_keep()
    keep(measurement(machine), file)
    return file


def test_it_is_kept_and_native_reads_memory_by_it() -> None:
    assert known_of(MACHINE).measurement is None and known_of(MACHINE).ignored == ""
    assert target_for("native", TOOLCHAIN).machine == MACHINE
    file = kept()
    known = known_of(MACHINE)
    assert known.measurement == measurement(MACHINE) and known.file == file
    assert (known.measurement.processor, known.measurement.flags) == (PROCESSOR, FLAGS)
    native = target_for("native", TOOLCHAIN)
    # In two digits; whole vectors of 32 bytes are computed at once, as the model says.
    assert native.machine == replace(MACHINE, bandwidths=(100.0, 51.0, 26.0, 9.0))
    assert native.machine.levels[-1].bandwidth == READ[-1]
    for name, target in all_targets().items():
        assert target_for(name, TOOLCHAIN) == target
    assert forget() == (file, True) and forget() == (file, False)
    assert target_for("native", TOOLCHAIN).machine == MACHINE


@pytest.mark.parametrize(
    ("name", "operations", "unit_bytes"),
    [
        ("intel-avx512", 63.9, 64),
        ("intel-avx512", 45.3, 64),  # the nearer one, where others used the processor too
        ("intel-avx512", 45.2, 32),
        ("intel-avx512", 31.9, 32),  # one unit of whole vectors, or two of halves
        ("amd-avx512", 63.9, 64),
        ("amd-avx512", 32.0, 32),
        ("avx2", 32.0, 64),  # the model's own, which holds a whole vector
        ("avx2", 16.0, 16),
        ("neon", 32.0, 64),  # four units: more than the model counts on
        ("sse", 1.0, 64),
        ("scalar", 2.0, 64),
    ],
)
def test_what_is_computed_at_once_is_measured(name: str, operations: float, unit_bytes: int) -> None:
    """No C compiler says it, and `native` was priced by the processor that it takes this one for."""
    machine = MODELS[name].machine
    found = measurement(machine, operations=operations).applied(machine)
    assert found.unit_bytes == unit_bytes
    assert replace(found, bandwidths=machine.bandwidths, unit_bytes=machine.unit_bytes) == machine


def test_what_is_farther_is_not_read_faster() -> None:
    """As two measurements that differ by noise may say."""
    odd = measurement(MACHINE, read=(60.0, 30.0, 31.0, 5.0))
    assert odd.bandwidths(MACHINE) == (60.0, 30.0, 30.0, 5.0)


def test_modules_for_native_are_built_again(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    model = load_model(tmp_path / "small.py")

    def key(name: str) -> str:
        return compile_module._key(model, Options(tmp_path, name), target_for(name, TOOLCHAIN), TOOLCHAIN)

    before = {name: key(name) for name in ("native", *all_targets())}
    kept()
    changed = [name for name, old in before.items() if key(name) != old]
    assert changed == ["native"]
    forget()
    assert key("native") == before["native"]


def edited(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        values = json.loads(file.read_text())
        change(values)
        file.write_text(json.dumps(values))

    return edit


def sealed(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Written as if it had been measured so."""

    def change_and_seal(values: dict) -> None:
        del values["seal"]
        change(values)
        values["seal"] = measured._seal(values)

    return edited(change_and_seal)


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".elsewhere"))
    file.symlink_to(file.with_suffix(".elsewhere"))


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes and links")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.write_bytes(b""), "damaged"),
        (lambda file: os.truncate(file, 300), "damaged"),
        (lambda file: file.write_bytes(b"\xff\x00"), "damaged"),
        (lambda file: file.write_text("[" * 100_000), "damaged"),
        (lambda file: file.write_text("[]"), "damaged"),
        (edited(lambda values: values.update(gigahertz=5.0)), "damaged"),
        (edited(lambda values: values["rates"][1].update(best=1.0)), "damaged"),
        (sealed(lambda values: values.pop("rates")), "damaged"),
        (sealed(lambda values: values.update(more=1)), "damaged"),
        (sealed(lambda values: values.update(processor="Other")), r"another machine \(Other\)"),
        (sealed(lambda values: values.update(flags="fpu")), "another machine"),
        (sealed(lambda values: values["rates"][1].update(best=0.0)), "not above 0"),
        (sealed(lambda values: values["rates"][1].update(best=float("nan"))), "not above 0"),
        (sealed(lambda values: values.update(vector_bytes=64)), "vectors of 64 bytes"),
        (sealed(lambda values: values.update(rates=values["rates"][:3])), "lacks level 2, level 3, memory"),
        (sealed(lambda values: values.update(rates=values["rates"][1:])), "lacks multiply-adds"),
        pytest.param(lambda file: file.chmod(0o622), "others may write", marks=posix),
        pytest.param(linked, "is a link", marks=posix),
        pytest.param(a_folder, "cannot be read|not a", marks=posix),
    ],
)
def test_one_that_is_not_this_processors_is_ignored_and_said(damage, words: str) -> None:
    file = kept()
    damage(file)
    said: list[str] = []
    assert target_for("native", TOOLCHAIN, said.append).machine == MACHINE
    (note,) = said
    assert re.search(words, note) and str(file) in note


def test_each_machine_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home may be shared: what one has measured is nothing to another, and stays."""
    file = kept()
    describe(CPUINFO.replace("9000", "9001"), tmp_path, monkeypatch)
    assert known_of(MACHINE).measurement is None and known_of(MACHINE).ignored == ""
    assert try_to_keep() != file and forget()[1] is False
    describe(CPUINFO, tmp_path, monkeypatch)
    assert known_of(MACHINE).measurement == measurement(MACHINE)


@pytest.mark.parametrize("text", ["", "\n", "no colon\nCPU part : 0xd0c\nFeatures : asimd\n"])
def test_a_processor_of_which_the_system_says_little(text, tmp_path, monkeypatch) -> None:
    describe(text, tmp_path, monkeypatch)
    own = measured.this_processor()
    assert own == (measured.Identity("0xd0c", "asimd") if text.strip() else own) and own.processor
    monkeypatch.setattr(measured, "DESCRIPTION", tmp_path / "none")
    assert measured.this_processor().flags == ""


@posix
def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, capsys) -> None:
    """It is found out before anything is measured, and said as elsewhere."""
    monkeypatch.setattr("compiler.tools.measure.pace.measure_pace", None)
    monkeypatch.setattr("compiler.toolchain.build.find_toolchain", lambda: TOOLCHAIN)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file"))
    assert main(["doctor", "--measure"]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "file") in said and "Traceback" not in said
    (tmp_path / "open" / "measured").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "open"))
    assert main(["doctor", "--measure"]) == 1
    assert "others may write" in capsys.readouterr().err


@posix
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_its_file_is_one_that_is_taken(umask: int) -> None:
    before = os.umask(umask)
    try:
        kept()
    finally:
        os.umask(before)
    assert known_of(MACHINE).measurement


def test_no_c_compiler(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert main(["doctor", "--measure"]) == 1
    assert "no C compiler was found" in capsys.readouterr().err


def test_doctor_says_what_native_compiles_by(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    imaginary = compile_module.described_target(TOOLCHAIN)
    monkeypatch.setattr("compiler.toolchain.doctor.find_toolchain", lambda: TOOLCHAIN)
    monkeypatch.setattr("compiler.toolchain.doctor.described_target", lambda toolchain: imaginary)

    def said() -> str:
        assert main(["doctor"]) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("bandwidths"))
        return line

    assert "64, 32, 20, 4 bytes a cycle" in said() and "--measure" in said()
    file = kept()
    line = said()
    assert "100, 51, 26, 9 bytes a cycle" in line and str(file) in line and "--forget" in line
    file.write_text("{}")
    line = said()
    assert "64, 32, 20, 4" in line and "ignored" in line and "damaged" in line and str(file) in line
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding for finding in report["findings"]}
    assert report["ready"] and not found["bandwidths"]["ok"] and not found["bandwidths"]["needed"]
    for removed in (True, False):
        assert main(["doctor", "--forget", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"file": str(file), "removed": removed}
    assert main(["doctor", "--forget"]) == 0
    assert "nothing was measured" in capsys.readouterr().out
