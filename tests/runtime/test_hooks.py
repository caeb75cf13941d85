"""Hooks of callbacks that are called in the middle of an epoch, or of an evaluation."""

import types

import fake_network
import pytest

from runtime.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from runtime.trainer import fit


def test_batches_of_held_out_data_have_hooks():
    """With Keras' names; what a training never does may be there too."""
    seen = []

    class Watch(Callback):
        def on_test_batch_begin(self, batch, logs=None):
            seen.append(batch)

        def on_test_batch_end(self, batch, logs=None):
            seen.append(sorted(logs))

        def on_predict_begin(self, logs=None):
            seen.append("predicted")

        def on_predict_batch_end(self, batch, logs=None):
            seen.append("predicted")

    x, y = fake_network.small_images(20)
    options = {"validation_data": (x, y), "validation_batch_size": 8, "verbose": 0}
    fit(fake_network.Network(), x, y, callbacks=[Watch()], **options)
    assert seen == [0, ["loss"], 1, ["loss"], 2, ["loss"]]


def test_who_stops_after_a_batch_waits_for_no_other():
    class Budget(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    x, y = fake_network.small_images(80)
    network = fake_network.Network()
    history = fit(network, x, y, batch_size=8, epochs=3, callbacks=[Budget()], verbose=0)
    assert network.step == 2 and history.epoch == [0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EarlyStopping(patience="1"), "patience must be a whole number"),
        (lambda: EarlyStopping(start_from_epoch=1.5), "start_from_epoch must be"),
        (lambda: ReduceLROnPlateau(cooldown=-1), "cooldown must be"),
        (lambda: LearningRateScheduler(0.1), "schedule must be a function"),
    ],
)
def test_arguments_of_callbacks(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_callbacks_say_what_they_do(tmp_path, capsys):
    """Once: of several processes the first says it."""
    x, y = fake_network.small_images(20)
    path = tmp_path / "weights"

    def callbacks():
        return [
            EarlyStopping("loss", min_delta=100, patience=1, verbose=1),
            ReduceLROnPlateau("loss", min_delta=100, patience=1, verbose=1, factor=0.5),
            LearningRateScheduler(lambda epoch, rate: rate, verbose=1),
            ModelCheckpoint(path, verbose=1, save_freq="epoch"),
        ]

    fit(fake_network.Network(), x, y, epochs=5, verbose=0, callbacks=callbacks())
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "epoch 1: learning rate 0.1",
        f"epoch 1: saved {path}",
        "epoch 2: learning rate 0.1",
        "epoch 2: no better loss since epoch 1, the training ends",
        "epoch 2: learning rate reduced to 0.05",
        f"epoch 2: saved {path}",
    ]
    for callback in callbacks():
        callback.set_model(types.SimpleNamespace(group=types.SimpleNamespace(first=False), epoch=0))
        callback.say("nothing")
    assert capsys.readouterr().out == ""
