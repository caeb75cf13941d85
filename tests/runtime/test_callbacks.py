"""Callbacks, the progress bar, and what the runtime may import."""

import io
import subprocess
import sys

import fake_network
import pytest

from runtime.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    Training,
    epochs_since_best,
)
from runtime.checkpoint import read_checkpoint
from runtime.errors import TrainingError
from runtime.interface import ModelInterface
from runtime.progress import ProgressBar
from runtime.trainer import fit

X, Y = fake_network.small_images(40)


def training_with(**history):
    epochs = len(next(iter(history.values())))
    network = fake_network.Network()
    interface = ModelInterface.of_network(network)
    return Training(network, interface, 10, 16, History.restored(epochs, history), epoch=epochs - 1)


def test_every_hook_is_called_in_order():
    calls = []

    class Recording(Callback):
        def on_train_begin(self, training):
            calls.append("train begin")

        def on_epoch_begin(self, training):
            calls.append(f"epoch {training.epoch} begin")

        def on_train_batch_end(self, training, batch, loss):
            calls.append(f"batch {batch}")

        def on_epoch_end(self, training, logs):
            assert {"loss", "learning_rate", "seconds", "samples_per_second"} == logs.keys()
            calls.append(f"epoch {training.epoch} end")
            training.stop_training = training.epoch == 1

        def on_train_end(self, training):
            calls.append("train end")

    fit(fake_network.Network(), X, Y, batch_size=30, epochs=5, verbose=0, callbacks=[Recording()])
    epochs = [[f"epoch {e} begin", "batch 0", "batch 1", f"epoch {e} end"] for e in (0, 1)]
    assert calls == ["train begin", *epochs[0], *epochs[1], "train end"]


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


def test_monitoring_what_is_not_measured():
    with pytest.raises(TrainingError, match="pass validation_data"):
        epochs_since_best(History.restored(1, {"loss": [1.0]}), "val_loss")


def test_early_stopping_counts_across_a_resume():
    for values, stops in (([1.0, 2.0], False), ([1.0, 2.0, 2.0], True), ([1.0, 2.0, 0.5], False)):
        training = training_with(val_loss=values)
        EarlyStopping(patience=2).on_epoch_end(training, {})
        assert training.stop_training == stops


def test_the_best_checkpoint_survives_a_worse_epoch_after_a_resume(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    checkpoint.on_epoch_end(training_with(val_loss=[2.0, 1.0]), {})
    assert read_checkpoint(tmp_path / "best").state.epoch == 2
    checkpoint.on_epoch_end(training_with(val_loss=[2.0, 1.0, 1.5]), {})
    assert read_checkpoint(tmp_path / "best").state.epoch == 2
    checkpoint.on_epoch_end(training_with(val_loss=[2.0, 1.0, 1.5, 0.5]), {})
    assert read_checkpoint(tmp_path / "best").state.epoch == 4


def test_learning_rate_scheduler():
    scheduler = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else 0.08)
    history = fit(fake_network.Network(), X, Y, epochs=3, verbose=0, callbacks=[scheduler])
    assert history.history["learning_rate"] == [0.08, 0.04, 0.02]


def test_csv_logger(tmp_path):
    CSVLogger(tmp_path / "log.csv").on_epoch_end(training_with(loss=[2.5, 1.25], val_loss=[3.0, 0.1]), {})
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "epoch,loss,val_loss",
        "0,2.5,3.0",
        "1,1.25,0.1",
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream, now = Terminal(), [0.0]
    bar = ProgressBar("epoch 1/2", 200, stream, clock=lambda: now[0])
    for done in range(1, 201):
        now[0] += 0.01
        bar.update(done, f"loss {done}")
    bar.close()
    drawn = stream.getvalue().split("\r\x1b[K")
    assert 20 <= len(drawn) <= 25, "at most ten redraws a second"
    assert "100 %" in drawn[-2] and "loss 200" in drawn[-2] and "=" * 30 in drawn[-2]
    assert drawn[-1] == "", "the bar is wiped at the end"


@pytest.mark.parametrize("stream, term", [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_progress_bar_elsewhere_is_silent(monkeypatch, stream, term):
    monkeypatch.setenv("TERM", term)
    bar = ProgressBar("epoch 1/2", 2, stream)
    bar.update(2)
    bar.close()
    assert stream.getvalue() == ""


def test_the_runtime_imports_numpy_and_the_standard_library_alone():
    program = """
import sys
import numpy
before = set(sys.modules)
import runtime.cli
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(new - {"numpy", "runtime"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
