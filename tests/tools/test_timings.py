"""`compile --timings`: every stage is there, and what is timed was done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.cli import main
from compiler.stopwatch import Spent, Stopwatch
from compiler.tools.timings import STAGES, render
from tests.workshop import SMALL


def test_stages_are_added_up() -> None:
    stopwatch = Stopwatch()
    for name in ("build", "parse", "build"):
        with stopwatch.stage(name):
            subprocess.run([sys.executable, "-S", "-c", "sum(range(10**6))"], check=True)
    assert list(stopwatch.stages) == ["build", "parse"]
    # What was run counts too.
    assert all(spent.processor > 0 and spent.seconds > 0 for spent in stopwatch.stages.values())


def test_a_stage_that_fails_has_taken_its_time() -> None:
    stopwatch = Stopwatch()
    with pytest.raises(ValueError), stopwatch.stage("parse"):
        raise ValueError
    assert stopwatch.stages["parse"].seconds > 0


def test_a_line_a_stage() -> None:
    text = render(Stopwatch({"parse": Spent(0.25, 0.125), "build": Spent(2.0, 3.0)}), ())
    assert "read the model file                                      0.25       0.12" in text
    assert "together                                                 2.25       3.12" in text
    assert "Cython" not in text


@pytest.mark.usefixtures("hurried")
def test_a_compilation_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    arguments = [str(tmp_path / "small.py"), "--out", str(tmp_path), "--target", "scalar", "--quiet"]
    assert main(["compile", *arguments, "--timings", "--json"]) == 0
    timings = json.loads(capsys.readouterr().out)["timings"]
    # A large module is translated and compiled in one stage.
    assert [*timings["stages"], "side by side"] == list(STAGES)
    assert {"vjp", "simplify", "stabilise"} <= set(timings["passes"])
    assert all(spent["seconds"] >= 0 for spent in timings["passes"].values())
    assert timings["memory"]["own"] > 10
