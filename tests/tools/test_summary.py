"""`chainrule summary`: what it counts, against what can be counted by hand and what a module has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler import ModelError
from compiler.cli import main
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.tools.summary import render, summarize, summary_of
from tests.workshop import ROOT, TINY


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    return path


def test_what_is_counted(tiny: Path) -> None:
    layers = {layer.kind: layer for layer in summarize(tiny).layers}
    # Ten by ten places, three filters of nine taps: a product and an addition each, the first to the bias.
    first = next(layer for layer in summarize(tiny).layers if layer.kind == "conv2d")
    assert (first.shape, first.parameters) == ((10, 10, 3), 30)
    assert first.operations == 100 * 3 * 2 * 9
    assert layers["dense"].operations == 2 * 4 * 3
    assert layers["flatten"].operations == 0, "to flatten computes nothing"
    assert layers["dropout"].operations == 0, "it acts in training alone"


def test_parameters_and_state_are_those_of_the_module() -> None:
    model = lower(load_model(ROOT / "models" / "resnet8.py"))
    summary = summary_of(model, "float64")
    assert (summary.parameters, summary.state) == (model.parameter_count, model.state_count)
    assert summary.training_bytes == 8 * (4 * summary.parameters + summary.state)
    assert "77,946 + 480" in render(summary) and "states." in render(summary)


def test_the_command(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["summary", str(tiny)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny, float32"
    assert len({len(line) for line in lines[2:4]}) == 1, "the rule is as long as the head"
    assert main(["summary", str(tiny), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == sum(layer["parameters"] for layer in facts["layers"])


def test_of_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ModelError):
        summarize(tmp_path / "empty.py")
