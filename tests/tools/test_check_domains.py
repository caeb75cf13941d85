"""`chainrule check` of models that have values at some inputs alone: it looks for such inputs, and says so.

The network is the interpreter's, so nothing is built.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule import (
    SGD,
    CrossEntropy,
    Dense,
    Formula,
    GlorotUniform,
    Input,
    Layer,
    MeanSquaredError,
    Ones,
    Sequential,
    Softmax,
)
from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.frontend.lower import LoweredModel, lower
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.prune import needed_for
from compiler.tools.check.report import Report
from compiler.tools.check.rungs import check


class Interpreted:
    """What a module's network does that check asks for, by the interpreter."""

    def __init__(self, model: LoweredModel):
        self.training = needed_for(model.training, "loss")
        self.seed = self.step = 0
        rng = np.random.default_rng(0)
        given = (t for t in self.training.inputs if t.kind == "parameter")
        self.parameters = {t.name: rng.standard_normal(t.shape) for t in given}
        self.state: dict[str, np.ndarray] = {}
        self.wrt = (*self.parameters, *model.differentiable)
        (self.label,) = (row for row in model.signature.of("label") if row.default is None)

    def _run(self, program: Program, x, y, tangents: dict, sample_weight) -> dict[str, np.ndarray]:
        if self.label.ignored is not None:
            assert not (y == self.label.limit - 1).any()
            y = np.where(y == self.label.ignored, self.label.limit - 1, y)
        weights = np.ones(len(x)) if sample_weight is None else sample_weight
        given = {"input": x, "label": y, "sample_weight": weights, **self.parameters}
        read = {t.name: t for t in program.inputs}
        zeros = {t.name: np.zeros(np.shape(given[t.of])) for t in read.values() if t.kind == "tangent"}
        along = {t.name: tangents[t.of] for t in read.values() if t.kind == "tangent" and t.of in tangents}
        return run(program, {n: v for n, v in {**given, **zeros, **along}.items() if n in read})

    def value_and_grad(self, x, y, inputs=False, sample_weight=None):
        program, _ = vjp(self.training, "loss", self.wrt)
        values = self._run(program, x, y, {}, sample_weight)
        names = program.outputs[-len(self.wrt) :]
        return float(values["loss"]), {w: values[n] for w, n in zip(self.wrt, names, strict=True)}

    def hvp(self, x, y, tangents, sample_weight=None):
        pullback, _ = vjp(self.training, "loss", self.wrt)
        program, _ = jvp(pullback, self.wrt, pullback.outputs[-len(self.wrt) :])
        values = self._run(program, x, y, tangents, sample_weight)
        names = program.outputs[-len(self.wrt) :]
        return {w: values[n] for w, n in zip(self.wrt, names, strict=True)}

    def jvp(self, x, y, tangents, sample_weight=None):
        program, _ = jvp(self.training, self.wrt, ("loss",))
        values = self._run(program, x, y, tangents, sample_weight)
        return float(values["loss"]), float(values[program.outputs[-1]])


def checked(formula: str, **parameters: Any) -> Report:
    return checked_layer(Formula(formula, parameters=parameters or {"w": Ones()}))


def checked_layer(layer: Layer) -> Report:
    model = Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD(0.1), name="model")
    model.check()
    lowered = lower(model)
    return check(lowered, Interpreted(lowered), None, batch=3)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("log(x[b, i])", "inputs from 0.1 to 2"),
        ("sqrt(x[b, i])", "inputs from 0.1 to 2"),
        ("x[b, i]**1.5", "inputs from 0.1 to 2"),
        ("asin(x[b, i])", "inputs from 0.1 to 0.9"),
        ("log(1 - x[b, i]**2)", "inputs from 0.1 to 0.9"),
        ("log(log(x[b, i]))", "inputs from 1.1 to 3"),
        ("sqrt(x[b, i]**2 - 1)", "inputs from 1.1 to 3"),
        ("log(-x[b, i])", "inputs from -0.9 to -0.1"),
    ],
)
def test_inputs_are_drawn_from_where_there_are_values(body: str, words: str) -> None:
    report = checked(f"y[b, i] = w[i] + {body}")
    assert report.passed, str(report)
    assert "at normally distributed inputs values of formula_1 are not finite" in str(report)
    assert f"checked at {words}" in str(report)


def test_parameters_are_made_positive_where_that_is_what_it_takes() -> None:
    report = checked("y[b, i] = sqrt(w[i])*x[b, i]", w=GlorotUniform())
    assert report.passed, str(report)
    assert "parameters made positive" in str(report)


def test_nowhere_finite_is_said() -> None:
    report = checked("y[b, i] = w[i] + sqrt(-1 - x[b, i]**2)")
    assert not report.passed
    assert "FAILED: values of formula_1 are not finite at any random inputs" in str(report)


def test_inputs_alone_climb_every_rung() -> None:
    """A cumulative sum has no parameter: the examples are what Taylor moves."""
    report = checked_layer(Formula("y[b, i] = (y[b, i - 1] if i >= 1 else 0) + x[b, i]**3"))
    assert report.passed, str(report)
    assert set(report.errors) == {"input"}
    assert all(abs(slope - 2) < 0.1 for slope in report.slopes.values())


def test_nothing_to_derive_by_is_said() -> None:
    layers = [Input(3, vocabulary=5), Formula("y[b, i, k:5] = 1 if x[b, i] == k else 0")]
    model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1), name="model")
    model.check()
    lowered = lower(model)
    report = check(lowered, Interpreted(lowered), None, batch=3)
    assert not report.passed
    assert "FAILED: there are neither parameters nor inputs of real numbers" in str(report)


def test_usual_inputs_need_no_word() -> None:
    report = checked("y[b, i] = w[i]*tanh(x[b, i])")
    assert report.passed, str(report)
    assert "distributed" not in str(report)


def test_derivatives_decide_too() -> None:
    """√0 has a value, and no slope."""
    report = checked("y[b, i] = w[i] + sqrt(max(x[b, i], 0))")
    assert report.passed, str(report)
    assert "derivatives are not finite" in str(report) or "distributed" not in str(report)


@pytest.mark.parametrize("ignored", [None, -100])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_and_what_counts_for_nothing_are_given_to_all_alike(
    ignored: int | None, weighted: bool
) -> None:
    """The network is given weights by their own argument, and the label that counts for nothing as users
    write it."""
    loss = CrossEntropy(ignore_index=ignored)
    layers = [Input(5, 4), Dense(3), Softmax()]
    model = Sequential(layers, loss=loss, optimizer=SGD(0.1), name="model", sample_weight=weighted)
    model.check()
    lowered = lower(model)
    report = check(lowered, Interpreted(lowered), None, batch=3)
    assert report.passed, str(report)
