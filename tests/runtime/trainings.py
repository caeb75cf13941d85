"""Trainings that are at the end of an epoch, for tests of callbacks."""

import fake_network

from runtime.callbacks import History, Training
from runtime.interface import ModelInterface


def training_with(**history):
    """A training whose history is what is given by name, a list of a value for each epoch."""
    epochs = len(next(iter(history.values())))
    network = fake_network.Network()
    interface = ModelInterface.of_network(network)
    return Training(network, interface, 10, 16, History.restored(epochs, history), epoch=epochs - 1)


def end_epoch(callback, training):
    callback.set_model(training)
    callback.on_epoch_end(training.epoch, {})
