"""Trainings of tests: without a word, and compared bit by bit."""

from runtime.trainer import fit


def bits(network):
    """All that a training changes."""
    arrays = {**network.parameters, **network.optimizer_state}
    return {name: array.tobytes() for name, array in arrays.items()}


def quietly(network, *arguments, **options):
    """`fit` in batches of 16."""
    return fit(network, *arguments, **{"batch_size": 16, "verbose": 0, **options})
