"""Callbacks, the progress bar, and what the runtime may import."""

import io
import json
import re
import subprocess
import sys
import threading

import fake_network
import pytest
from trainings import end_epoch, training_with

from runtime.callbacks import (
    Callback,
    CSVLogger,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from runtime.checkpoint import read_checkpoint
from runtime.errors import TrainingError
from runtime.progress import ProgressBar, epoch_line
from runtime.trainer import fit

X, Y = fake_network.small_images(40)


def test_every_hook_is_called_in_order():
    calls = []

    class Recording(Callback):
        def on_train_begin(self, logs=None):
            assert self.params == {"epochs": 5, "steps": 2, "verbose": 0}
            calls.append("train begin")

        def on_epoch_begin(self, epoch, logs=None):
            calls.append(f"epoch {epoch} begin")

        def on_train_batch_begin(self, batch, logs=None):
            calls.append(f"batch {batch} begin")

        def on_train_batch_end(self, batch, logs=None):
            assert logs.keys() == {"loss"}
            calls.append(f"batch {batch}")

        def on_test_begin(self, logs=None):
            calls.append("test begin")

        def on_test_end(self, logs=None):
            calls.append("test end")

        def on_epoch_end(self, epoch, logs=None):
            assert {"loss", "learning_rate", "seconds", "samples_per_second"} < logs.keys()
            assert self.model.predict(X[:1]).shape == (1, 10), "the network, under Keras' name"
            calls.append(f"epoch {epoch} end")
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            calls.append("train end")

    options = {"batch_size": 30, "epochs": 5, "verbose": 0, "validation_data": (X, Y)}
    fit(fake_network.Network(), X, Y, callbacks=[Recording()], **options)
    batches = ["batch 0 begin", "batch 0", "batch 1 begin", "batch 1", "test begin", "test end"]
    epochs = [[f"epoch {e} begin", *batches, f"epoch {e} end"] for e in (0, 1)]
    assert calls == ["train begin", *epochs[0], *epochs[1], "train end"]


@pytest.mark.parametrize("base", [Callback, LambdaCallback, lambda: ModelCheckpoint("never", save_freq=99)])
def test_hooks_of_batches_have_another_name_and_may_be_set_in_the_object(base):
    calls = []
    if isinstance(base, type):
        base = type("Own", (base,), {"on_batch_begin": lambda self, batch, logs=None: calls.append(batch)})
    callback = base()
    callback.on_batch_end = lambda batch, logs: calls.append((batch, *logs))
    fit(fake_network.Network(), X, Y, batch_size=20, verbose=0, callbacks=[callback])
    begun = [0, 1] if isinstance(base, type) else []
    assert calls == ([0, (0, "loss"), 1, (1, "loss")] if begun else [(0, "loss"), (1, "loss")])


def test_a_method_with_the_name_of_no_hook_is_an_error_that_names_it():
    class Misspelt(Callback):
        def on_bach_end(self, batch, logs=None):
            pass

    with pytest.raises(TrainingError, match="on_bach_end") as error:
        fit(fake_network.Network(), X, Y, verbose=0, callbacks=[Misspelt()])
    assert error.value.advice == "on_batch_end for on_bach_end"


def test_the_line_of_an_epoch_has_all_that_was_measured():
    logs = {
        "loss": 1.0,
        "learning_rate": 0.1,
        "val_loss": 2.0,
        "val_accuracy": 0.5,
        "val_accuracy_error": 0.01,
    }
    logs |= {"val_f1": 0.25, "val_digit_loss": 0.75, "seconds": 1.0, "samples_per_second": 9.0}
    line = epoch_line(0, 1, logs)
    expected = "held-out loss 2.0000  accuracy 50.00 % ± 1.00  f1 0.2500  digit_loss 0.7500  1.0 s"
    assert expected in line and line.count("accuracy") == 1
    del logs["val_accuracy_error"]
    assert "  accuracy 0.5000  f1 0.2500  " in epoch_line(0, 1, logs), "a metric of that name"


def test_what_is_no_field_of_a_training_is_set_in_the_network():
    """As in Keras, `self.model` is the network; a rate that is set there must not be lost."""

    class Change(Callback):
        def on_train_begin(self, logs=None):
            self.model.learning_rate = 0.0
            self.model.stop_training = True

    network = fake_network.Network()
    history = fit(network, X, Y, epochs=3, verbose=0, callbacks=[Change()])
    assert network.learning_rate == 0.0 and history.epoch == [0]
    assert not hasattr(network, "stop_training")


def test_the_best_checkpoint_survives_a_worse_epoch_after_a_resume(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    end_epoch(checkpoint, training_with(val_loss=[2.0, 1.0]))
    assert read_checkpoint(tmp_path / "best").state.epoch == 2
    end_epoch(checkpoint, training_with(val_loss=[2.0, 1.0, 1.5]))
    assert read_checkpoint(tmp_path / "best").state.epoch == 2
    end_epoch(checkpoint, training_with(val_loss=[2.0, 1.0, 1.5, 0.5]))
    assert read_checkpoint(tmp_path / "best").state.epoch == 4


def test_learning_rate_scheduler():
    scheduler = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else 0.08)
    history = fit(fake_network.Network(), X, Y, epochs=3, verbose=0, callbacks=[scheduler])
    assert history.history["learning_rate"] == [0.08, 0.04, 0.02]


def test_a_schedule_of_the_epoch_alone():
    history = fit(
        fake_network.Network(),
        *(X, Y),
        epochs=2,
        verbose=0,
        callbacks=[LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))],
    )
    assert history.history["learning_rate"] == [0.1, 0.05]


def plateau(values, resumed_after=None, **options):
    """The learning rate after each epoch of a history of these losses."""
    callback, rates = ReduceLROnPlateau("loss", factor=0.5, min_delta=0.0, **options), []
    network = fake_network.Network()
    for number in range(1, len(values) + 1):
        if number == resumed_after:
            remembered, callback = (
                callback.state(),
                ReduceLROnPlateau("loss", factor=0.5, min_delta=0.0, **options),
            )
            if remembered:
                callback.restore(json.loads(json.dumps(remembered)))
        training = training_with(loss=values[:number])
        training.network = network
        end_epoch(callback, training)
        rates.append(network.learning_rate)
    return rates


def test_reduce_on_plateau():
    assert plateau([3.0, 2.0, 2.0, 2.0, 2.0, 2.0], patience=2) == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]
    assert plateau([1.0] * 7, patience=1, cooldown=2) == [0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025]
    assert plateau([1.0] * 4, patience=1, min_lr=0.04) == [0.1, 0.05, 0.04, 0.04]
    assert plateau([3.0, 2.0, 1.0], patience=1) == [0.1] * 3


@pytest.mark.parametrize("resumed_after", range(1, 8))
def test_reduce_on_plateau_counts_across_a_resume(resumed_after):
    values, options = [1.0] * 7, {"patience": 1, "cooldown": 2}
    assert plateau(values, resumed_after, **options) == plateau(values, **options)


def test_terminate_on_nan(capsys):
    class Diverging(fake_network.Network):
        def train_step(self, x, y, rows=None):
            loss = super().train_step(x, y, rows)
            return loss if self.step < 5 else float("nan")

    network = Diverging()
    history = fit(network, X, Y, batch_size=16, epochs=5, verbose=2, callbacks=[TerminateOnNaN()])
    assert history.epoch == [0] and network.step == 3, "as it was before the epoch"
    assert "the loss is nan" in capsys.readouterr().out


def test_lambda_callback():
    calls = []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: calls.append((epoch, sorted(logs))),
        on_train_batch_end=lambda batch, logs: calls.append(batch),
    )
    fit(fake_network.Network(), X, Y, batch_size=20, verbose=0, callbacks=[callback])
    assert calls == [0, 1, (0, ["learning_rate", "loss", "samples_per_second", "seconds"])]


def test_checkpoints_with_names_of_their_own_and_the_last_of_them(tmp_path):
    saver = ModelCheckpoint(tmp_path / "at-{epoch}-{step}.safetensors", save_freq=3, keep_last=2)
    fit(fake_network.Network(), X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[saver])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["at-0-3.safetensors", "at-1-6.safetensors"], "epochs are not saved besides"
    assert read_checkpoint(tmp_path / "at-1-6.safetensors").state.samples == 20


def test_a_checkpoint_name_without_a_value(tmp_path):
    saver = ModelCheckpoint(tmp_path / "{val_loss:.2f}")
    with pytest.raises(TrainingError, match="cannot be filled in"):
        fit(fake_network.Network(), X, Y, verbose=0, callbacks=[saver])


def test_checkpoints_by_the_clock(tmp_path):
    now = [0.0]

    class Clock(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            now[0] += 25.0

    saver = ModelCheckpoint(tmp_path / "at-{step}", every_minutes=1.0, clock=lambda: now[0])
    fit(fake_network.Network(), X, Y, batch_size=5, verbose=0, callbacks=[Clock(), saver])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at-3", "at-6", "at-8"]


@pytest.mark.parametrize("options", [{"save_freq": 0}, {"save_freq": "batch"}, {"keep_last": 0}])
def test_checkpoint_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match="must be"):
        ModelCheckpoint("x", **options)


def test_history_in_a_notebook_and_as_a_plot(tmp_path):
    history = History.restored(2, {"loss": [2.0, 1.0], "val_loss": [3.0, 2.5], "val_loss<b>": [1.0, 1.0]})
    assert "<td>2.5</td>" in history._repr_html_() and "<b>" not in history._repr_html_()
    history.plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes()[:4] == b"\x89PNG"
    assert "data:image/png" in history._repr_html_()


def test_a_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    history = History.restored(1, {"loss": [2.0]})
    with pytest.raises(TrainingError, match="pip install"):
        history.plot()
    assert "<table>" in history._repr_html_()


def test_tensorboard(tmp_path):
    fit(fake_network.Network(), X, Y, verbose=0, epochs=2,
        callbacks=[TensorBoard(tmp_path, update_freq="batch", write_histograms=True)])  # fmt: skip
    (events,) = tmp_path.iterdir()
    assert b"epoch/loss" in events.read_bytes() and b"batch/loss" in events.read_bytes()


def test_tensorboard_without_its_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainingError, match="not installed"):
        fit(fake_network.Network(), X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])


def test_csv_logger(tmp_path):
    end_epoch(CSVLogger(tmp_path / "log.csv"), training_with(loss=[2.5, 1.25], val_loss=[3.0, 0.1]))
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
    monkeypatch.setenv("COLUMNS", "110")
    stream, now = Terminal(), [0.0]
    bar = ProgressBar("epoch 1/2", 200, stream, clock=lambda: now[0], unit="images")
    for done in range(1, 201):
        now[0] += 0.01
        bar.update(done, f"loss {done}")
    bar.close()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert 20 <= plain.count("epoch 1/2") <= 25, "at most ten redraws a second"
    last = plain[plain.rindex("epoch 1/2") :]
    assert "100 %" in last and "loss 200" in last and " images/s" in last and "left" in last
    assert stream.getvalue().endswith("\x1b[2K"), "the bar is wiped at the end"
    assert {thread.name for thread in threading.enumerate()} == {"MainThread"}, "nobody draws in secret"


@pytest.mark.parametrize("stream, term", [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_progress_bar_elsewhere_is_silent(monkeypatch, stream, term):
    monkeypatch.setenv("TERM", term)
    bar = ProgressBar("epoch 1/2", 2, stream)
    bar.update(2)
    bar.close()
    assert stream.getvalue() == ""


def test_what_the_runtime_imports_at_once():
    program = """
import sys
import numpy
before = set(sys.modules)
import runtime.cli
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(new - {"numpy", "runtime", "platformdirs"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
