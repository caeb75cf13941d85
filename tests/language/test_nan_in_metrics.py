"""A NaN in any place of a prediction is in every metric that reads it, however batches are divided.

Comparisons with a NaN do not hold: a network of NaN had an accuracy of 1, as no class was before the label's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest

from compiler.frontend.joining import program_of
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Tensor
from compiler.language import metrics
from compiler.language.formula import Operand, compile_formula
from compiler.language.formula.scope import BATCH_SIZE
from compiler.language.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from compiler.language.losses.base import Loss, loss_operands
from compiler.language.metrics import (
    AUC,
    F1,
    MAE,
    MSE,
    R2,
    Accuracy,
    ConfusionMatrix,
    Metric,
    Perplexity,
    Precision,
    Recall,
    TopK,
)

CLASSES = 4
OF_CLASSES = (Accuracy(), TopK(k=1), TopK(k=3), Precision(), Recall(), F1(), ConfusionMatrix())
OF_TRUTH = (Accuracy(), Precision(), Recall(), F1(), AUC(bins=8))
OF_NUMBERS = (MSE(), MAE(), R2())
LOGITS = Perplexity(from_logits=True)


@dataclass(frozen=True)
class Measured:
    """A metric of predictions (examples, …) and their labels."""

    metric: Metric
    loss: Loss
    prediction: np.ndarray
    label: np.ndarray

    def value(self, prediction: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Of two batches, whose sums are added up."""
        shape = self.prediction.shape[1:]
        labelled = self.loss.forward(shape)
        forward = self.metric.forward(shape, labelled)
        operands = loss_operands(labelled, [Operand("prediction", (None, *shape))])
        sums = {name: Operand(name, extents) for name, extents in forward.shapes.items()}
        results = {"value": Operand("value", forward.shape)}
        made = compile_formula(forward.sums, operands=operands, results=sums, constants=forward.constants)
        last = compile_formula(forward.value, operands=sums, results=results, constants=forward.constants)
        given = [Tensor(o.name, o.shape, "input", o.dtype, o.limit) for o in operands.values()]
        states = [Tensor(name, extents, "state") for name, extents in forward.shapes.items()]
        each = program_of([*given, Tensor(BATCH_SIZE, (), "batch_size")], [made], tuple(sums), count())
        whole = program_of(states, [last], ("value",), count())
        parts = [
            run(each, {"prediction": one, "label": other})
            for one, other in zip(np.array_split(prediction, 2), np.array_split(label, 2), strict=True)
        ]
        return run(whole, {name: parts[0][name] + parts[1][name] for name in sums})["value"]


def all_measured() -> Iterator[Measured]:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(CLASSES), size=5)
    labels = np.array([0, 3, 1, 0, 2])
    for metric in (*OF_CLASSES, Perplexity()):
        yield Measured(metric, CrossEntropy(), probabilities, labels)
    yield Measured(LOGITS, CrossEntropy(from_logits=True), random.normal(size=(5, CLASSES)), labels)
    truth = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 0]], dtype=float)
    for metric in OF_TRUTH:
        yield Measured(metric, BinaryCrossEntropy(), random.random((5, 2)), truth)
    for metric in OF_NUMBERS:
        yield Measured(metric, MeanSquaredError(), random.random((5, 2)), truth)
    yield Measured(R2(), MeanSquaredError(), random.random((5, 2)), np.ones((5, 2)))


MEASURED = {
    f"{case.metric}-{type(case.loss).__name__}-{number}": case for number, case in enumerate(all_measured())
}


def test_all_metrics_are_here() -> None:
    assert {type(case.metric).__name__ for case in MEASURED.values()} == {*metrics.__all__} - {
        "Metric",
        "MetricForward",
    }


@pytest.mark.parametrize("name", MEASURED)
def test_it_comes_out(name: str) -> None:
    case = MEASURED[name]
    with np.errstate(all="ignore"):
        assert not np.isnan(case.value(case.prediction, case.label)).any()
        for place in np.ndindex(case.prediction.shape):
            spoiled = case.prediction.copy()
            spoiled[place] = np.nan
            # The probability of another class than the label's is read by nobody.
            if case.metric == Perplexity() and place[1] != case.label[place[0]]:
                continue
            assert np.isnan(case.value(spoiled, case.label)).any(), place
            # Of the labels of what is not found, precision reads none.
            if case.label.dtype.kind == "f" and not isinstance(case.metric, Precision):
                labels = np.where(np.isnan(spoiled), np.nan, case.label)
                assert np.isnan(case.value(case.prediction, labels)).any(), place
