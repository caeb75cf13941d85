"""The area under the ROC curve: its sums over batches, and its formula, against all pairs of examples."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input, Sigmoid
from compiler.language.losses import BinaryCrossEntropy
from compiler.language.metrics import AUC
from compiler.language.optimizers import SGD


def model(metric: AUC) -> Model:
    layers = [Input(1), Dense(1), Sigmoid()]
    return Sequential(layers, loss=BinaryCrossEntropy(), optimizer=SGD(0.1), metrics=[metric])


def found(predictions: np.ndarray, labels: np.ndarray, bins: int, batches: int) -> float:
    """Of predictions in so many batches: the network says 1/(1 + exp(-x))."""
    lowered = lower(model(AUC(bins)))
    points = np.log(predictions) - np.log1p(-predictions)
    weights = {"dense_1.kernel": np.ones((1, 1)), "dense_1.bias": np.zeros(1)}
    sums = [name for name, role in lowered.roles.items() if role.use == "sum"]
    total = dict.fromkeys(sums, 0.0)
    for x, y in zip(np.array_split(points, batches), np.array_split(labels, batches), strict=True):
        given = {"input": x[:, None], "label": y[:, None], **weights}
        values = run(lowered.inference, given)
        total = {name: total[name] + values[name] for name in sums}
    known = {t.name for t in lowered.metrics.inputs}
    given = {name: value for name, value in total.items() if name in known}
    return float(run(lowered.metrics, given)[lowered.metrics.outputs[0]])


@pytest.mark.parametrize("batches", [1, 4])
def test_it_is_the_share_of_pairs_in_the_right_order(batches: int) -> None:
    rng = np.random.default_rng(0)
    bins = 50
    labels = (rng.random(61) < 0.4).astype(float)
    # In the middles of bins, so that bins tell all of them apart that differ.
    places = rng.integers(bins, size=61) // 2 + 12 * labels.astype(int)
    predictions = (places + 0.5) / bins
    one, other = predictions[labels == 1][:, None], predictions[labels == 0]
    expected = ((one > other) + (one == other) / 2).mean()
    assert 0.5 < expected < 1
    assert found(predictions, labels, bins, batches) == pytest.approx(expected, rel=1e-12)


def test_ends() -> None:
    predictions = np.array([1e-9, 0.3, 1 - 1e-9])
    assert found(predictions, np.array([0.0, 0.0, 1.0]), 4, 1) == 1
    assert found(predictions, np.array([1.0, 1.0, 0.0]), 4, 1) == 0


def test_it_is_not_defined() -> None:
    """Without a pair, for labels that are no truth values, and for predictions that are no numbers."""
    predictions, labels = np.array([0.2, 0.3, 0.9]), np.array([0.0, 0.0, 1.0])
    with np.errstate(all="ignore"):
        for wrong in (0 * labels, 0 * labels + 1, labels / 2, labels * 2, -labels, labels * np.nan):
            assert np.isnan(found(predictions, wrong, 4, 1))
        for some in (predictions * np.nan, np.where(labels == 1, np.nan, predictions)):
            assert np.isnan(found(some, labels, 4, 1))
    assert found(predictions, labels, 4, 1) == 1


@pytest.mark.parametrize("bins", [1, 2.5, True])
def test_wrong_bins(bins: object) -> None:
    with pytest.raises(ModelError, match="wrong bins"):
        model(AUC(bins)).check()
