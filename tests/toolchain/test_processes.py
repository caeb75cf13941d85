"""Programs that do not obey are ended too, also when the user asks twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workshop import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
STUBBORN = "trap '' TERM; echo $$ > {folder}/stubborn; while :; do sleep 0.05; done"
"""A program that only SIGKILL ends."""
CALLER = """
from compiler.toolchain.processes import run_together
run_together([["sh", "-c", {program!r}], ["sh", "-c", "sleep 600"]])
"""


def is_there(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_who_asks_twice_leaves_nothing_running(tmp_path: Path) -> None:
    """As in a notebook, where no command of ours handles signals: the second comes while they are ended."""
    program = CALLER.format(program=STUBBORN.format(folder=tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    place = tmp_path / "stubborn"
    wait_for(lambda: place.exists() and place.read_text().strip())
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    wait_for(lambda: not is_there(int(place.read_text())))
