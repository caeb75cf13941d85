"""Several losses that ignore labels: each is a mean over its own, whatever the batches and parts are."""

from dataclasses import replace

import fake_network
import numpy as np
import pytest

from runtime.apart import computations, counts_apart, ignoring
from runtime.batches import Batch
from runtime.errors import TrainingError
from runtime.evaluation import evaluate
from runtime.given import Given
from runtime.interface import ModelInterface
from runtime.trainer import fit
from runtime.updates import update

RANDOM = np.random.default_rng(0)
X, DIGITS = fake_network.small_images(90)
DIGITS = DIGITS.astype(int)
OTHERS = (DIGITS + 1) % 10
KEYS = {"digit": -1, "other": -7, "every": None}
WEIGHTS = {"digit": 1.0, "other": 0.5, "every": 0.25}
LABELS = tuple(Given(key, (), "index", 10, ignored) for key, ignored in KEYS.items())
INTERFACE = replace(ModelInterface.of_module(fake_network), labels=LABELS, losses=tuple(KEYS))
Y = {
    "digit": np.where(RANDOM.random(90) < np.linspace(0, 1.2, 90), -1, DIGITS),
    "other": np.where(RANDOM.random(90) < np.linspace(1.2, 0, 90), -7, OTHERS),
    "every": DIGITS,
}


class Network(fake_network.Network):
    """The same outputs, and three losses of them; a running average that sees each update once."""

    home = fake_network.__name__

    def __init__(self, seed=0):
        super().__init__(seed)
        self.state = {"average": np.zeros(1)}

    def gradients(self, x, y, rows=None, before=0):
        if rows is not None:
            x, y = x[rows], {key: labels[rows] for key, labels in y.items()}
        self.state["average"] += 0.5 * (self._flat(x).mean() - self.state["average"])
        return super().gradients(x, y, None, before)

    def evaluate(self, x, y):
        return self._gradients(self._flat(x), y)[0], self.predict(x)

    def _gradients(self, flat, y):
        values, total = {"loss": 0.0}, None
        for key, labels in y.items():
            kept = np.ones(len(labels), bool) if KEYS[key] is None else labels != KEYS[key]
            loss, found = super()._gradients(flat[kept], labels[kept]) if kept.any() else (0.0, {})
            values[key] = loss
            values["loss"] += WEIGHTS[key] * loss
            scaled = {name: WEIGHTS[key] * array for name, array in found.items()}
            total = {name: array + (total or {}).get(name, 0) for name, array in scaled.items()} or total
        return values, total


@pytest.mark.parametrize("size", [1, 7, 16, 45])
@pytest.mark.parametrize("rows", [None, np.arange(89, 9, -1)])
def test_an_update_by_parts_is_that_of_the_batch(size, rows):
    whole, parts = Network(seed=3), Network(seed=3)
    for _ in range(2):
        one = update(whole, Batch(X, Y, rows), INTERFACE)
        other = update(parts, Batch(X, Y, rows, part_size=size), INTERFACE)
        assert one == pytest.approx(other, rel=1e-4)
    for name, array in whole.parameters.items():
        np.testing.assert_allclose(array, parts.parameters[name], rtol=1e-3, atol=1e-6)


def test_a_running_average_sees_each_part_once():
    parts, plain = Network(), Network()
    update(parts, Batch(X, Y, None, part_size=30), INTERFACE)
    for begin in range(0, 90, 30):
        part = slice(begin, begin + 30)
        plain.gradients(X[part], {key: labels[part] for key, labels in Y.items()})
    assert parts.state["average"] == plain.state["average"]


@pytest.mark.parametrize("size", [1, 7, 16, 90])
def test_an_evaluation_does_not_depend_on_the_size_of_batches(size):
    network = Network(seed=1)
    expected = network.evaluate(X, Y)[0]
    found = evaluate(network, X, Y, size, INTERFACE)
    assert found.loss == pytest.approx(expected["loss"], rel=1e-5)
    assert found.losses == pytest.approx({key: expected[key] for key in KEYS}, rel=1e-5)


def test_fit_by_several_batches_is_fit_by_large_ones():
    whole, parts = Network(seed=2), Network(seed=2)
    options = {"epochs": 2, "verbose": 0, "interface": INTERFACE, "validation_data": (X, Y)}
    one = fit(whole, X, Y, batch_size=30, **options)
    other = fit(parts, X, Y, batch_size=10, accumulate=3, validation_batch_size=13, **options)
    assert one.history["val_loss"] == pytest.approx(other.history["val_loss"], rel=1e-3)
    assert one.history["val_digit_loss"] == pytest.approx(other.history["val_digit_loss"], rel=1e-3)


def test_one_computation_where_one_is_enough():
    assert ignoring(INTERFACE) == {"digit": -1, "other": -7}
    assert ignoring(replace(INTERFACE, losses=())) == {}
    same = {**Y, "digit": DIGITS, "other": OTHERS}
    assert computations(
        same, INTERFACE, 0.25, counts_apart({k: np.tile(v, 4) for k, v in same.items()}, INTERFACE)
    ) == [(0.25, same)]
    factors = [
        factor for factor, _ in computations(Y, INTERFACE, 1 / 3, dict.fromkeys(("digit", "other"), 100))
    ]
    assert len(factors) == 3 and sum(factors) == pytest.approx(1 / 3)


def test_lengths_do_not_tell_several_losses_apart():
    """An input says which steps are real, of all losses: refused, and evaluated by examples."""
    labels = (replace(LABELS[0], real="lengths"), *LABELS[1:])
    interface = replace(INTERFACE, labels=labels)
    assert ignoring(interface) == {}
    with pytest.raises(TrainingError, match="cannot be accumulated"):
        fit(Network(), X, Y, interface=interface, accumulate=2, verbose=0)
