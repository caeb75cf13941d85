"""C compilers, disks and folders that fail: the user's errors, with what to do, and nothing half-done."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from compiler.cli import compile_main, main
from compiler.errors import ModelError
from compiler.toolchain import compile_file as compile_module
from compiler.toolchain.build import Toolchain, compile_shared, find_toolchain, predefined_macros
from compiler.toolchain.compile_file import Options, compile_file
from tests.workshop import SMALL

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
SOURCE = "int answer(void) { return 42; }\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return path


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('gcc "', ["CC cannot be read", "No closing quotation", "unset CC"]),
        ("gcc 'a", ["CC cannot be read"]),
        ("   ", ["CC cannot be read", "names no program"]),
        ("''", ["no C compiler was found"]),
        ("false", ["no C compiler was found that works", "false --version fails"]),
        ("/nonexistent/cc -O2", ["no C compiler was found", "none of /nonexistent/cc"]),
        ("sh -c 'exit 3'", ["no C compiler was found that works"]),
        ("gcc --no-such-option", ["the C compiler refuses", "--no-such-option"]),
    ],
)
def test_a_variable_that_names_no_compiler(command, words, model, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CC", command)
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    assert compile_main([str(model), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    found = capsys.readouterr().err
    for word in [*words, "try:"]:
        assert word in found
    assert "internal error" not in found and "Traceback" not in found
    assert not (tmp_path / "out").exists() and not (tmp_path / "cache").exists()
    assert main(["doctor"]) == 1
    assert "MISSING" in capsys.readouterr().out


def test_a_program_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may be executed, and is no program."""
    monkeypatch.setenv("CC", script(tmp_path / "cc", "\x7fELF no program"))
    with pytest.raises(ModelError, match="no C compiler was found that works"):
        find_toolchain()


@pytest.mark.parametrize(
    ("does", "advice"),
    [
        ("echo 'small.c:1: error: odd' >&2; exit 1", "another compiler in CC"),
        ("echo '/tmp/cc.s: No space left on device' >&2; exit 1", "free some space"),
        ("echo 'cannot open: Read-only file system' >&2; exit 1", "CHAINRULE_CACHE"),
        ("echo 'cc1: out of memory' >&2; exit 1", "memory"),
        ("kill -KILL $$", "memory"),
        ("printf '\\377\\376' >&2; exit 1", "try:"),
        ("exit 1", "exit code 1"),
    ],
)
def test_a_compiler_that_fails(does: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / "small.c").write_text(SOURCE)
    toolchain = Toolchain((script(tmp_path / "cc", f"#!/bin/sh\n{does}\n"),), "odd")
    with pytest.raises(ModelError) as caught:
        compile_shared(tmp_path / "small.c", tmp_path / "small.so", toolchain, ())
    assert "the C compiler failed" in str(caught.value) and advice in str(caught.value)
    assert "internal error" not in str(caught.value)
    if "kill" not in does:
        with pytest.raises(ModelError, match="refuses"):
            predefined_macros(toolchain, ("-march=native",))


@pytest.mark.parametrize("variable", ["/nonexistent", "/dev/null", "/proc"])
def test_the_temporary_folder_of_the_system_is_not_needed(variable, tmp_path, monkeypatch) -> None:
    """A compiler's temporary files go where its output goes."""
    (tmp_path / "small.c").write_text(SOURCE)
    for name in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(name, variable)
    compile_shared(tmp_path / "small.c", tmp_path / "small.so", find_toolchain(), ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.c", "small.so"]


def test_no_temporary_folder_at_all(model, tmp_path, monkeypatch, capsys) -> None:
    def missing() -> list[str]:
        return [str(tmp_path / "missing")]

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", missing)
    assert main(["check", str(model)]) == 1
    assert "set TMPDIR to a folder that you may write to" in capsys.readouterr().err


def refuse_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_module, "_build", lambda *given: pytest.fail("the work was begun"))


@pytest.mark.parametrize("full", ["out", "cache"])
def test_the_folders_are_tried_before_the_work(full, model, tmp_path, monkeypatch, capsys) -> None:
    """What the system refuses at the first byte is said at once, and what was there stays."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    refuse_to_work(monkeypatch)
    out = tmp_path / "out"
    out.mkdir()
    (out / "small.pyx").write_text("old")
    original = os.posix_fallocate

    def allocate(descriptor: int, begin: int, size: int) -> None:
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        if place.startswith(str(tmp_path / full)):
            raise OSError(28, os.strerror(28))
        original(descriptor, begin, size)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("asks /proc for the names of open files")
    monkeypatch.setattr(os, "posix_fallocate", allocate)
    assert compile_main([str(model), "--out", str(out), "--quiet"]) == 1
    found = capsys.readouterr().err
    assert "No space left" in found and "free some space" in found
    assert {path.name: path.read_text() for path in out.iterdir()} == {"small.pyx": "old"}
    assert list((tmp_path / "cache" / "modules").iterdir()) == []


def test_a_limit_of_the_system_on_the_size_of_files(model, tmp_path, monkeypatch, capsys) -> None:
    import resource

    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    refuse_to_work(monkeypatch)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert compile_main([str(model), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "the disk is full" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["small.pyx", "out"])
def test_something_else_where_the_module_should_go(name, model, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    refuse_to_work(monkeypatch)
    out = tmp_path / "out"
    if name == "out":
        out.write_text("a file")
    else:
        os.makedirs(out)
        os.mkfifo(out / name)
    assert compile_main([str(model), "--out", str(out), "--quiet"]) == 1
    assert str(out) in capsys.readouterr().err


def test_both_files_or_none_when_installing_fails(model, workshop, tmp_path, monkeypatch) -> None:
    """The second name cannot be changed: the first gets its old contents back."""
    out = tmp_path / "out"
    old = compile_file(model, Options(out))
    kept = old.source.read_bytes(), old.module.read_bytes()
    (out / "small.pyx").write_bytes(b"another")
    old.module.write_bytes(b"another")
    old.stub.write_bytes(b"another")
    original, calls = os.replace, []

    def fails(first, second):
        calls.append(second)
        if len(calls) == 2:
            raise OSError(30, os.strerror(30))
        original(first, second)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError):
        compile_file(model, Options(out))
    assert {path.read_bytes() for path in out.iterdir()} == {b"another"} and len(list(out.iterdir())) == 3
    monkeypatch.undo()
    monkeypatch.setenv("CHAINRULE_CACHE", str(workshop / "chainrule-cache"))
    assert compile_file(model, Options(out)).cached
    assert (old.source.read_bytes(), old.module.read_bytes()) == kept
