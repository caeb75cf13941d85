"""Labels that count for nothing: means are over the others, whatever the batches are."""

from dataclasses import replace

import fake_network
import numpy as np
import pytest
from quiet import bits

from runtime.batches import Batch
from runtime.callbacks import Callback, ModelCheckpoint
from runtime.checkpoint import load_checkpoint, read_checkpoint
from runtime.evaluation import evaluate
from runtime.given import Given
from runtime.interface import ModelInterface
from runtime.trainer import fit
from runtime.updates import update

IGNORED = -1
LABELS = (Given("label", (), "index", 10, IGNORED),)
INTERFACE = replace(ModelInterface.of_module(fake_network), labels=LABELS)
X, Y = fake_network.small_images(100)
Y = Y.astype(int)
Y[np.random.default_rng(0).random(100) < np.linspace(0, 1.5, 100)] = IGNORED  # the last batches count least
NOTHING = np.full_like(Y, IGNORED)


class Network(fake_network.Network):
    """Its loss is the mean over labels that are not ignored, 0 where there are none."""

    home = fake_network.__name__

    def _loss(self, outputs, y):
        return super()._loss(outputs[y != IGNORED], y[y != IGNORED]) if (y != IGNORED).any() else 0.0

    def _gradients(self, flat, y):
        kept = y != IGNORED
        loss, found = super()._gradients(flat[kept], y[kept]) if kept.any() else super()._gradients(flat, y)
        return (loss, found) if kept.any() else (0.0, {name: 0 * array for name, array in found.items()})


def trained(network, y=Y, **options):
    return fit(network, X, y, interface=INTERFACE, verbose=0, **options)


@pytest.mark.parametrize("size", [1, 7, 16, 100])
def test_an_evaluation_does_not_depend_on_the_size_of_batches(size):
    network = Network(seed=1)
    expected = network.evaluate(X, Y)[0]
    assert evaluate(network, X, Y, size, INTERFACE).loss == pytest.approx(expected, rel=1e-5)
    assert evaluate(network, X, NOTHING, size, INTERFACE).loss == 0


@pytest.mark.parametrize("size", [1, 7, 16, 50])
@pytest.mark.parametrize("rows", [None, np.arange(99, 9, -1)])
def test_an_update_by_parts_is_that_of_the_batch(size, rows):
    whole, parts = Network(seed=3), Network(seed=3)
    for _ in range(2):
        one = update(whole, Batch(X, Y, rows), INTERFACE)
        assert one == pytest.approx(update(parts, Batch(X, Y, rows, part_size=size), INTERFACE), rel=1e-5)
    for name, array in whole.parameters.items():
        np.testing.assert_allclose(array, parts.parameters[name], rtol=1e-4, atol=1e-7)
    assert update(parts, Batch(X, NOTHING, rows, part_size=size), INTERFACE) == {"loss": 0.0}


def test_the_loss_of_an_epoch_is_the_mean_over_what_counts():
    network = Network(seed=1)
    network.learning_rate = 0.0
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((logs["loss"], int((Y[10 * batch : 10 * batch + 10] != IGNORED).sum())))

    options = {"batch_size": 10, "shuffle": False, "validation_data": (X, Y), "validation_batch_size": 10}
    history = trained(network, callbacks=[Watch()], **options).history
    losses, counts = zip(*seen, strict=True)
    assert history["loss"] == [pytest.approx(np.dot(losses, counts) / sum(counts))]
    assert history["val_loss"] == [pytest.approx(network.evaluate(X, Y)[0], rel=1e-5)]
    assert trained(network, NOTHING, batch_size=10).history["loss"] == [0.0]


def test_fit_by_several_batches_is_fit_by_large_ones():
    whole, parts = Network(seed=2), Network(seed=2)
    one = trained(whole, batch_size=40, epochs=2)
    other = trained(parts, batch_size=10, accumulate=4, epochs=2)
    assert one.history["loss"] == pytest.approx(other.history["loss"], rel=1e-5)
    for name, array in whole.parameters.items():
        np.testing.assert_allclose(array, parts.parameters[name], rtol=1e-4, atol=1e-7)


class Stopped(Exception):
    pass


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.step == 4:
                raise Stopped

    straight, first, second = Network(seed=7), Network(seed=7), Network()
    whole = trained(straight, batch_size=10)
    with pytest.raises(Stopped):
        callbacks = [ModelCheckpoint(tmp_path / "file", save_freq=1), Stop()]
        trained(first, batch_size=10, callbacks=callbacks)
    state = load_checkpoint(second, tmp_path / "file").state
    assert state.samples == 40 > state.counted == read_checkpoint(tmp_path / "file").state.counted > 0
    assert trained(second, resume=state) == whole
    assert bits(second) == bits(straight)
