"""Updates by several batches, and averages of what is trained: by themselves, and over an interruption."""

from dataclasses import replace

import fake_network
import numpy as np
import pytest
from quiet import bits, quietly

from runtime.averages import Averages
from runtime.batches import Batch
from runtime.callbacks import Callback, ModelCheckpoint
from runtime.checkpoint import load_checkpoint, load_weights, read_checkpoint
from runtime.errors import TrainingError, WeightsError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit
from runtime.updates import update

X, Y = fake_network.small_images(100)
INTERFACE = ModelInterface.of_module(fake_network)
HELD_OUT = fake_network.small_images(30, seed=1)
BOTH = {"accumulate": 3, "ema": 0.9, "batch_size": 10, "epochs": 2, "validation_data": HELD_OUT}


@pytest.mark.parametrize("size", [1, 7, 16, 50])
@pytest.mark.parametrize("rows", [None, np.arange(99, 49, -1)])
def test_an_update_by_parts_is_that_of_the_batch(size, rows):
    """But for rounding: gradient, loss, dropout, count of steps; the last part is smaller."""
    x, y = (X[:50], Y[:50]) if rows is None else (X, Y)
    whole, parts = fake_network.Network(seed=3), fake_network.Network(seed=3)
    for _ in range(2):
        losses = [
            update(whole, Batch(x, y, rows), INTERFACE),
            update(parts, Batch(x, y, rows, part_size=size), INTERFACE),
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert whole.step == parts.step == 2
    for name, array in whole.parameters.items():
        np.testing.assert_allclose(array, parts.parameters[name], rtol=1e-4, atol=1e-7)


def test_fit_by_several_batches():
    """What is seen is what larger batches show: steps, hooks, and but for rounding the losses."""
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, self.training.samples, self.model.step))

    whole, parts = fake_network.Network(), fake_network.Network()
    one = quietly(whole, X, Y, batch_size=32)
    other = quietly(parts, X, Y, batch_size=8, accumulate=4, callbacks=[Watch()])
    assert seen == [(0, 32, 1), (1, 64, 2), (2, 96, 3), (3, 100, 4)]
    assert one.history["loss"] == pytest.approx(other.history["loss"], rel=1e-5)


def test_averages_by_their_formula():
    network = fake_network.Network()
    averages = Averages(network, 0.25)
    expected = {name: array.astype(float) for name, array in network.parameters.items()}
    for number in range(1, 5):
        network.train_step(X[:16], Y[:16])
        averages.follow()
        share = min(0.25, (1 + number) / (10 + number))
        for name, array in network.parameters.items():
            expected[name] = share * expected[name] + (1 - share) * array
            np.testing.assert_allclose(averages.arrays[name], expected[name], rtol=1e-5, atol=1e-7)
    trained = bits(network)
    with averages.in_place():
        assert all((network.parameters[name] == array).all() for name, array in averages.arrays.items())
    assert bits(network) == trained


def test_averages_are_evaluated_and_kept(tmp_path):
    """And the training itself is none the wiser."""
    plain, network = fake_network.Network(), fake_network.Network()
    saver = ModelCheckpoint(tmp_path / "file")
    one = quietly(plain, X, Y, validation_data=HELD_OUT)
    other = quietly(network, X, Y, validation_data=HELD_OUT, ema=0.9, callbacks=[saver])
    assert one.history["loss"] == other.history["loss"]
    assert one.history["val_loss"] != other.history["val_loss"]
    assert other.history["val_loss"] == [evaluate(network, *HELD_OUT).loss]
    again = fake_network.Network(seed=9)
    load_weights(again, tmp_path / "file")
    assert all((again.parameters[name] == array).all() for name, array in network.parameters.items())
    load_checkpoint(again, tmp_path / "file")
    assert bits(again) == bits(plain)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("step", range(1, 8))
def test_a_run_goes_on_with_both(tmp_path, step):
    """In the middle of an epoch too, with the bits of one long run; the options are those of the file."""

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.step == step:
                raise Stopped

    straight, first, second = (fake_network.Network(seed=seed) for seed in (7, 7, 0))
    whole = quietly(straight, X, Y, callbacks=[ModelCheckpoint(tmp_path / "straight", save_freq=1)], **BOTH)
    with pytest.raises(Stopped):
        quietly(first, X, Y, callbacks=[ModelCheckpoint(tmp_path / "resumed", save_freq=1), Stop()], **BOTH)
    state = load_checkpoint(second, tmp_path / "resumed").state
    assert (state.accumulate, state.ema, state.ema_updates) == (3, 0.9, step)
    saver = ModelCheckpoint(tmp_path / "resumed", save_freq=1)
    options = {"epochs": 2, "validation_data": HELD_OUT, "verbose": 0}
    continued = fit(second, X, Y, resume=state, callbacks=[saver], **options)
    assert bits(second) == bits(straight)
    assert continued == whole
    if step < 8:
        assert (tmp_path / "resumed").read_bytes() == (tmp_path / "straight").read_bytes()


@pytest.mark.parametrize(("name", "other"), [("accumulate", 2), ("ema", 0.5)])
def test_going_on_with_other_options(tmp_path, name, other):
    quietly(fake_network.Network(), X, Y, callbacks=[ModelCheckpoint(tmp_path / "file")], **BOTH)
    network = fake_network.Network()
    state = load_checkpoint(network, tmp_path / "file").state
    with pytest.raises(TrainingError, match="would not give the bits of one long run"):
        fit(network, X, Y, epochs=3, verbose=0, validation_data=HELD_OUT, resume=state, **{name: other})
    changed = replace(state, **{name: other})
    fit(network, X, Y, epochs=3, verbose=0, validation_data=HELD_OUT, resume=changed, **{name: other})


@pytest.mark.parametrize("options", [{"accumulate": 0}, {"ema": 1.0}, {"ema": -0.1}])
def test_options_that_make_no_sense(options):
    with pytest.raises(TrainingError, match="makes no sense"):
        quietly(fake_network.Network(), X, Y, **options)


def test_averages_of_another_network(tmp_path):
    quietly(fake_network.Network(), X, Y, ema=0.5, callbacks=[ModelCheckpoint(tmp_path / "file")])
    assert read_checkpoint(tmp_path / "file").state.ema == 0.5
    other = fake_network.make_module("fake_other", OUTPUT_SHAPE=(7,)).Network()
    with pytest.raises(WeightsError, match="does not fit"):
        load_checkpoint(other, tmp_path / "file")


def test_numbers_that_are_not_finite_are_undone_with_the_averages():
    class Watch(Callback):
        def on_train_begin(self, logs=None):
            self.kept = self.model.averages

    network, watch = fake_network.Network(), Watch()
    broken = X.astype(np.float32)
    broken[99] = np.nan
    with pytest.raises(TrainingError, match="remove NaN"):
        quietly(network, broken, Y, ema=0.5, callbacks=[watch])
    assert all(np.isfinite(array).all() for array in watch.kept.arrays.values())
