"""Which epoch was best, by what is measured, and callbacks that wait for a better one."""

from functools import partial

import fake_network
import numpy as np
import pytest
from trainings import end_epoch, training_with

from runtime.callbacks import (
    Callback,
    EarlyStopping,
    History,
    ModelCheckpoint,
    ReduceLROnPlateau,
    epochs_since_best,
)
from runtime.callbacks.monitor import direction
from runtime.errors import TrainingError
from runtime.evaluation import evaluate
from runtime.trainer import fit

X, Y = fake_network.small_images(40)


@pytest.mark.parametrize(
    "values, options, waited",
    [
        ([3.0, 2.0, 1.0], {}, 0),
        ([3.0, 1.0, 2.0, 2.5], {}, 2),
        ([1.0, 1.0, 1.0], {}, 2),
        ([1.0, 0.95, 0.9], {"min_delta": 0.2}, 2),
        ([1.0, 2.0], {"mode": "max"}, 0),
    ],
)
def test_epochs_since_best(values, options, waited):
    history = History.restored(len(values), {"val_loss": values})
    assert epochs_since_best(history, "val_loss", **options) == waited


def test_accuracy_is_better_when_larger():
    assert epochs_since_best(History.restored(2, {"val_accuracy": [0.5, 0.6]}), "val_accuracy") == 0


def test_of_a_metric_it_is_said_what_is_better():
    """A large F1 is good, a large error is not; nothing but their names tells them apart."""
    assert direction("val_f1", "max") == -1
    assert direction("digit_loss", "auto") == direction("val_error", "min") == 1
    for kind in (EarlyStopping, ReduceLROnPlateau):
        with pytest.raises(ValueError, match="'learning_rate' is good has to be said"):
            fit(fake_network.Network(), X, Y, verbose=0, callbacks=[kind("learning_rate")])
        with pytest.raises(ValueError, match="mode must be"):
            kind("val_loss", mode="large")
    with pytest.raises(ValueError, match="has to be said"):
        epochs_since_best(History.restored(1, {"val_f1": [1.0]}), "val_f1")


def test_a_monitored_quantity_is_looked_for_before_the_first_epoch(tmp_path):
    best = partial(ModelCheckpoint, tmp_path / "best", save_best_only=True)
    for kind in (EarlyStopping, ReduceLROnPlateau, lambda monitor: best(monitor=monitor)):
        network = fake_network.Network()
        with pytest.raises(TrainingError, match="monitors 'val_acc', which is not measured") as error:
            fit(network, X, Y, verbose=0, validation_data=(X, Y), callbacks=[kind("val_acc")])
        assert network.step == 0 and error.value.advice == "monitor='val_accuracy'"
        assert "loss, learning_rate, val_loss, val_accuracy" in error.value.expected


def test_monitoring_what_is_not_measured():
    with pytest.raises(TrainingError, match="pass validation_data"):
        epochs_since_best(History.restored(1, {"loss": [1.0]}), "val_loss")


def test_early_stopping_counts_across_a_resume():
    for values, stops in (([1.0, 2.0], False), ([1.0, 2.0, 2.0], True), ([1.0, 2.0, 0.5], False)):
        training = training_with(val_loss=values)
        end_epoch(EarlyStopping(patience=2), training)
        assert training.stop_training == stops


def test_early_stopping_gives_the_best_weights_back():
    class Worse(fake_network.Network):
        def evaluate(self, x, y):
            return {5: 1.0, 10: 0.5, 15: 2.0}.get(self.step, 3.0), self.predict(x)

    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept[epoch] = {name: array.copy() for name, array in self.training.network.parameters.items()}

    network = Worse()
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    history = fit(network, X, Y, batch_size=8, epochs=9, verbose=0, validation_data=(X, Y),
                  callbacks=[Keep(), stopping])  # fmt: skip
    assert history.epoch == [0, 1, 2, 3]
    assert all((network.parameters[name] == array).all() for name, array in kept[1].items())


def test_early_stopping_gives_back_the_averages_that_were_evaluated():
    """With `ema` it is the averages that were best; what was being trained is another network."""
    network, seen = fake_network.Network(), []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            averages = self.training.averages.arrays
            seen.append({name: array.copy() for name, array in averages.items()})
            network.learning_rate *= 4  # so that it gets worse

    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    options = {"epochs": 12, "batch_size": 16, "validation_split": 0.2, "ema": 0.9, "verbose": 0}
    history = fit(network, X, Y, callbacks=[Watch(), stopping], **options)
    best = int(np.argmin(history.history["val_loss"]))
    assert best < len(seen) - 1
    for name, array in network.parameters.items():
        np.testing.assert_array_equal(array, seen[best][name])
    held = evaluate(network, X[-len(X) // 5 :], Y[-len(X) // 5 :]).loss
    assert held == pytest.approx(min(history.history["val_loss"]), rel=1e-6)


def test_early_stopping_from_an_epoch_on_and_against_a_baseline():
    for values, options, stops in (
        ([1.0, 2.0, 2.0], {"start_from_epoch": 2}, False),
        ([1.0, 2.0, 2.0, 2.0], {"start_from_epoch": 2}, True),
        ([2.0], {"baseline": 1.5}, True),
        ([1.0], {"baseline": 1.5}, False),
    ):
        training = training_with(val_loss=values)
        end_epoch(EarlyStopping(patience=1, **options), training)
        assert training.stop_training == stops, (values, options)
