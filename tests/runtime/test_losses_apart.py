"""Several losses that ignore labels: each is a mean over its own, whatever the batches and parts are."""

from dataclasses import replace

import fake_network
import numpy as np
import pytest

from runtime.apart import computations, counts_apart, ignoring
from runtime.batches import Batch
from runtime.callbacks import Callback, ModelCheckpoint
from runtime.checkpoint import load_checkpoint
from runtime.checks import check_accumulated
from runtime.errors import TrainingError, WeightsError
from runtime.evaluation import evaluate
from runtime.given import Given
from runtime.interface import ModelInterface
from runtime.safetensors import load_file, save_file
from runtime.trainer import fit
from runtime.updates import update

RANDOM = np.random.default_rng(0)
X, DIGITS = fake_network.small_images(90)
DIGITS = DIGITS.astype(int)
OTHERS = (DIGITS + 1) % 10
KEYS = {"digit": -1, "other": -7, "every": None}
WEIGHTS = {"digit": 1.0, "other": 0.5, "every": 0.25}
LABELS = tuple(Given(key, (), "index", 10, ignored) for key, ignored in KEYS.items())
COUNTED = {key: (key, WEIGHTS[key]) for key, ignored in KEYS.items() if ignored is not None}
INTERFACE = replace(
    ModelInterface.of_module(fake_network), labels=LABELS, losses=tuple(KEYS), counted=COUNTED
)
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


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 30, 90])
def test_a_history_does_not_depend_on_the_size_of_batches(size, accumulate):
    """Of a network that stands still: each loss is the mean over its own labels, and the loss their sum."""
    network = Network(seed=1)
    network.learning_rate = 0.0
    expected = network.evaluate(X, Y)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_network, "DROPOUT", 0.0)
        history = fit(
            network, X, Y, batch_size=size, accumulate=accumulate, verbose=0, interface=INTERFACE
        ).history
    assert history["loss"] == [pytest.approx(expected["loss"], rel=1e-5)]
    for key in KEYS:
        assert history[f"{key}_loss"] == [pytest.approx(expected[key], rel=1e-5)]


class Stopped(Exception):
    pass


class StopAt(Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == 4:
            raise Stopped


def stopped(path):
    """Half an epoch, and what it has saved."""
    callbacks = [ModelCheckpoint(path, save_freq=1), StopAt()]
    with pytest.raises(Stopped):
        fit(Network(seed=7), X, Y, batch_size=10, verbose=0, interface=INTERFACE, callbacks=callbacks)


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    """With what it has counted of each loss: a history to the bit."""
    options = {"verbose": 0, "interface": INTERFACE}
    whole = fit(Network(seed=7), X, Y, batch_size=10, **options)
    stopped(tmp_path / "file")
    network = Network()
    state = load_checkpoint(network, tmp_path / "file").state
    assert state.samples == 40 and set(state.counts) == {"digit", "other"}
    assert state.counts["digit"] != state.counts["other"]
    assert fit(network, X, Y, resume=state, **options) == whole


def test_an_older_checkpoint_counts_as_it_did(tmp_path):
    """What it has visited counts by samples, what comes by labels; the same where all count."""
    y = {**Y, "digit": DIGITS, "other": OTHERS}
    options = {"verbose": 0, "interface": INTERFACE, "batch_size": 10}
    whole = fit(Network(seed=7), X, y, **options)
    callbacks = [ModelCheckpoint(tmp_path / "file", save_freq=1), StopAt()]
    with pytest.raises(Stopped):
        fit(Network(seed=7), X, y, callbacks=callbacks, **options)
    network = Network()
    state = load_checkpoint(network, tmp_path / "file").state
    total = state.loss + sum(WEIGHTS[key] * state.losses[key] for key in COUNTED)
    older = replace(state, counts={}, loss=total)
    found = fit(network, X, y, resume=older, verbose=0, interface=INTERFACE)
    assert found.history == {name: pytest.approx(values) for name, values in whole.history.items()}


@pytest.mark.parametrize("counts", ['{"digit": -1}', '{"digit": 1.5}', '{"digit": true}', "[1]"])
def test_counts_that_cannot_be_are_refused(tmp_path, counts):
    stopped(tmp_path / "file")
    file = load_file(tmp_path / "file")
    metadata = {**file.metadata, "counts": counts}
    save_file(tmp_path / "other", file.tensors, metadata)
    with pytest.raises(WeightsError, match="no valid training state"):
        load_checkpoint(Network(), tmp_path / "other")


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
    with pytest.raises(TrainingError, match="expected: ranks='ordered'"):
        check_accumulated(interface, 1, of_ranks=True)
