"""The table of compile times: what is measured is the command's own, and a missed aim is marked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.compile_times import CASES, Case, Taken, aim_of, row, timed


def test_a_command_is_timed_with_what_it_used() -> None:
    text = "import os; assert os.environ['GIVEN'] == 'yes'; block = b'x' * 60_000_000; sum(range(3_000_000))"
    taken = timed((sys.executable, "-c", text), {"GIVEN": "yes"})
    # At least: a process begins with the memory of the one that begins it.
    assert taken.memory > 60e6
    assert taken.processor > 0
    with pytest.raises(subprocess.CalledProcessError):
        timed((sys.executable, "-c", "raise SystemExit(3)"), {})


def test_a_missed_aim_is_marked() -> None:
    taken = {"small": Taken(10.0, 12.0, 100_000_000), "deep": Taken(14.0, 20.0, 700_000_000)}
    deep = Case("deep", times=1.3, other="small")
    assert aim_of(deep, taken) == pytest.approx(13.0)
    assert aim_of(deep, {"deep": taken["deep"]}) is None
    assert row("deep", deep, taken).count("*") == 2
    assert "*" not in row("small", Case("small", seconds=10), taken)


def test_every_aim_by_another_model_stands_behind_it() -> None:
    models = [case.model for case in CASES]
    assert all(models.index(case.other) < models.index(case.model) for case in CASES if case.other)
