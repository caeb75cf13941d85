"""Commands that a signal stops, at any moment: no traceback, nothing running, nothing left, and a code."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workshop import ROOT, SMALL

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="asks /proc about processes")
COMMANDS = (["-m", "compiler"], ["-m", "compiler.cli", "compile"], ["-m", "compiler.cli", "train"])
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMPILER = """#!/bin/sh
case "$*" in
*-shared*) sleep 600 & echo $! > {folder}/child; touch "$TMPDIR/cc1.s"; wait;;
*) exec gcc "$@" -O0;;
esac
"""
"""A C compiler that never ends, that has started another program, and that has a temporary file."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / "cc").write_text(COMPILER.format(folder=tmp_path))
    (tmp_path / "cc").chmod(0o755)
    (tmp_path / "temporary").mkdir()
    return tmp_path


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CHAINRULE_CACHE": str(folder / "cache"),
        "CC": str(folder / "cc"),
        "TMPDIR": str(folder / "temporary"),
    }
    # A shell starts what runs in the background with SIGINT ignored, and children inherit that.
    return subprocess.Popen(
        [sys.executable, *command, "small.py", "--out", "out"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in NUMBERS],
    )


def loaded(process: subprocess.Popen) -> bool:
    """Whether Python has come as far as our first line: nothing that happens before is ours."""
    caught = Path(f"/proc/{process.pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def finish(folder: Path, process: subprocess.Popen, number: int) -> None:
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors and "ignored" not in errors
    left = [path for path in (folder / "cache").rglob("*") if path != folder / "cache" / "modules"]
    assert left == [] and list((folder / "temporary").iterdir()) == []
    assert not (folder / "out").exists()
    assert started_for(folder) == []


def started_for(folder: Path) -> list[str]:
    """The processes that run, compilers among them: what they were given says which folder is theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if str(folder).encode() + b"/" in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert condition()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command))
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_while_it_is_loading(folder: Path, number: int, command: list[str]) -> None:
    process = start(folder, command)
    wait_for(lambda: loaded(process))
    finish(folder, process, number)


def test_while_the_c_compiler_runs(folder: Path) -> None:
    process = start(folder, COMMANDS[0])
    wait_for(lambda: (folder / "child").exists() and (folder / "child").read_text())
    finish(folder, process, signal.SIGTERM)


@pytest.mark.parametrize("cases", [2, pytest.param(100, marks=pytest.mark.long)])
def test_at_any_moment(folder: Path, cases: int) -> None:
    """In the first second, where most of the loading is, or later, while it derives and translates."""
    draw = random.Random(cases)
    for _ in range(cases):
        process = start(folder, draw.choice(COMMANDS))
        wait_for(lambda process=process: loaded(process))
        time.sleep(draw.uniform(0, draw.choice((0.3, 1, 6))))
        finish(folder, process, draw.choice(NUMBERS))
