"""Runs that go on from a checkpoint: with the bits of one long run, or not at all."""

from dataclasses import replace

import fake_network
import pytest
from quiet import bits, quietly

from runtime.callbacks import Callback, ModelCheckpoint, ReduceLROnPlateau
from runtime.checkpoint import load_checkpoint
from runtime.errors import TrainingError
from runtime.trainer import fit

X, Y = fake_network.small_images(100)
HELD_OUT = fake_network.small_images(30, seed=1)


class Stopped(Exception):
    pass


class StopAfter(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.training.network.step == self.step:
            raise Stopped


@pytest.mark.parametrize("step", range(1, 14))
def test_a_run_goes_on_in_the_middle_of_an_epoch_with_the_same_bits(tmp_path, step):
    """Stopped after any update, with a callback that has something to remember."""

    def callbacks(path, *more):
        return [
            ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=9.0),
            ModelCheckpoint(path, save_freq=1),
            *more,
        ]

    options = {"epochs": 3, "validation_data": HELD_OUT}
    straight = fake_network.Network(seed=7)
    whole = quietly(straight, X, Y, callbacks=callbacks(tmp_path / "straight"), **options)
    assert len(set(whole.history["learning_rate"])) == 2, "the callback has done something"
    first = fake_network.Network(seed=7)
    with pytest.raises(Stopped):
        quietly(first, X, Y, callbacks=callbacks(tmp_path / "resumed", StopAfter(step)), **options)
    second = fake_network.Network(seed=0)
    state = load_checkpoint(second, tmp_path / "resumed").state
    assert (state.step, state.samples) == (step, min(16 * (step % 7 or 7), 100))
    resumed = callbacks(tmp_path / "resumed")
    continued = fit(second, X, Y, verbose=0, resume=state, callbacks=resumed, **options)
    assert bits(second) == bits(straight)
    assert continued == whole
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "straight").read_bytes()


def test_a_state_that_is_not_the_callbacks(tmp_path):
    quietly(fake_network.Network(), X, Y, callbacks=[ModelCheckpoint(tmp_path / "file")])
    network = fake_network.Network()
    state = load_checkpoint(network, tmp_path / "file").state
    wrong = replace(state, callbacks={"ReduceLROnPlateau": {"reductions": ["x"]}})
    with pytest.raises(TrainingError, match="no state that the callback ReduceLROnPlateau takes"):
        quietly(network, X, Y, epochs=2, resume=wrong, callbacks=[ReduceLROnPlateau("loss")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": "file"}, "load_checkpoint"),
        ({"batch_size": 8}, "batches of another size"),
        ({"callbacks": ModelCheckpoint}, "list of callbacks"),
        ({"callbacks": [ModelCheckpoint]}, "list of callbacks"),
        ({"validation_data": X}, "validation_data makes no sense"),
    ],
)
def test_going_on_with_something_else(tmp_path, options, message):
    quietly(fake_network.Network(), X, Y, callbacks=[ModelCheckpoint(tmp_path / "file")])
    network = fake_network.Network()
    state = load_checkpoint(network, tmp_path / "file").state
    with pytest.raises(TrainingError, match=message):
        fit(network, X, Y, **{"epochs": 2, "verbose": 0, "resume": state, **options})
    with pytest.raises(TrainingError, match="not the one that the checkpoint was loaded into"):
        quietly(fake_network.Network(), X, Y, epochs=2, resume=state)
