"""`chainrule check --numerics`: each layer's worst float32 error, and the input at which it happens."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from compiler import (
    Adam,
    Conv2D,
    CrossEntropy,
    Dense,
    Flatten,
    Formula,
    Input,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
)
from compiler.cli import main
from compiler.frontend.lower import lower
from compiler.language.description import Model
from compiler.tools.check.numerics import LayerNumerics, NumericsReport, Worst, numerics_report

OVERFLOWS = "y[b, i] = (x[b, i]**4 + 1)**(1/4)"
"""Its value is near |x|, but x**4 is no float32 beyond 4e9."""


def model(*layers, shape=(4,)) -> Model:
    layers = [Input(*shape), *layers, Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=Adam(), name="model")


def report(*layers, reach: float, shape=(4,)) -> NumericsReport:
    return numerics_report(lower(model(*layers, shape=shape)), reach=reach)


def test_layers_that_keep_their_digits_pass() -> None:
    found = report(Conv2D(2, 3), ReLU(), Flatten(), Sigmoid(), reach=100.0, shape=(5, 5, 1))
    assert found.passed
    names = ["conv2d_1", "relu_1", "flatten_1", "sigmoid_1", "dense_1", "softmax_1", "loss"]
    pairs = [f"{one} > {other}" for one, other in pairwise(names)]
    assert [row.layer for row in found.layers] == [*names, *pairs]
    for row in found.layers:
        assert set(row.worst) == {"value", "VJP", "HVP"}
        for worst in row.worst.values():
            # What a cross-entropy of nearly 1 is, 1e-8, cancels from logits of 8.
            loose = np.inf if ">" in row.layer else 1e-3
            assert worst is not None and worst.error < loose, (row.layer, worst)


def test_what_overflows_is_found_with_the_input_at_which_it_does() -> None:
    assert report(Formula(OVERFLOWS), reach=100.0).passed
    found = report(Formula(OVERFLOWS), reach=1e12)
    assert not found.passed
    (row,) = (row for row in found.layers if row.layer == "formula_1")
    worst = row.worst["value"]
    assert worst.error == np.inf
    assert max(map(abs, worst.inputs)) > 4e9
    assert "formula_1: value off by inf" in str(found)
    assert "FAILED" in str(found)


def test_a_form_that_loses_digits_is_said() -> None:
    """exp(x) - 1 written so that nothing finds it: all digits are gone near 0."""
    found = report(Formula("z[b, i] = exp(x[b, i]); y[b, i] = log(z[b, i] + 1e-7*x[b, i]) * 1e4"), reach=1.0)
    (row,) = (row for row in found.layers if row.layer == "formula_1")
    assert row.worst["value"].error > 1e-5
    assert "formula_1: value off by" in str(found)


def test_the_verdict_names_what_is_loose() -> None:
    """It said "passed" and no more, beside a derivative that was off by a tenth of itself."""
    good, bad = (Worst(error, "y", 1.0, 1.0, (0.0, 0.0)) for error in (1e-7, 0.1))
    layers = (
        LayerNumerics("a", {"value": good, "VJP": bad, "HVP": bad}),
        LayerNumerics("b", {"value": good}),
    )
    text = str(NumericsReport("model", 100.0, layers))
    assert text.endswith("but loose, off by more than 0.0001: a (VJP), a (HVP)")
    assert "a: VJP off by 1.0e-01" in text and "a: HVP off by 1.0e-01" in text
    assert str(NumericsReport("model", 100.0, layers[1:])).endswith(
        "passed: finite wherever the right value is"
    )


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "odd.py"
    path.write_text(
        "from compiler import *\n"
        f"model = Sequential([Input(4), Formula('''{OVERFLOWS}''')], "
        "loss=MeanSquaredError(), optimizer=SGD())\n"
    )
    assert main(["check", str(path), "--numerics"]) == 0
    assert "passed" in capsys.readouterr().out
    assert main(["check", str(path), "--numerics", "--range", "1e12"]) == 1
    assert "formula_1: value off by inf" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(path), "--numerics", "--range", "-3"])
    assert stopped.value.code == 2
