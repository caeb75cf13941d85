"""Hooks of callbacks that are called in the middle of an epoch, or of an evaluation."""

import fake_network

from runtime.callbacks import Callback
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
