"""States of examples, of networks in which a batch goes on where the one before ended (`stateful=True`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from runtime.errors import DataError, TrainingError


def keeps_states(network: Any) -> bool:
    """Whether it keeps a state of each example from one batch to the next."""
    return hasattr(network, "reset_states")


def example_states(network: Any) -> dict[str, np.ndarray]:
    """Copies of what it keeps of the examples, by name: nothing where it has not seen any."""
    return {name: array.copy() for name, array in getattr(network, "example_state", {}).items()}


def put_example_states(network: Any, states: Mapping[str, np.ndarray]) -> None:
    """Go on from there. Raises ValueError where these are none of its states."""
    if keeps_states(network):
        network.example_state = states


@contextmanager
def begun_anew(network: Any) -> Iterator[None]:
    """What is computed begins with no states, and those that there are go on behind it."""
    kept = example_states(network)
    put_example_states(network, {})
    try:
        yield
    finally:
        put_example_states(network, kept)


def check_whole_batches(network: Any, count: int, batch_size: int) -> None:
    """Of a network that keeps states all batches have one size. Raises DataError."""
    if keeps_states(network) and count > batch_size and count % batch_size:
        raise DataError(
            "the model is stateful: each batch goes on where the one before it ended, example by example",
            expected=f"a number of samples that batches of {batch_size:,} divide",
            found=f"{count:,} samples",
            advice="another batch size, or fewer samples",
        )


def warn_of_shuffling(network: Any, count: int, batch_size: int, *, shuffle: bool) -> None:
    """Say it where a network that keeps states is given samples in another order in every epoch."""
    if shuffle and keeps_states(network) and count > batch_size:
        warnings.warn(
            "the model is stateful, and the samples are shuffled: each of a batch goes on from the state of "
            "any sample of the batch before; shuffle=False leaves them in their order",
            stacklevel=3,  # where `fit` was called
        )


def check_one_by_one(network: Any, accumulate: int, *, together: bool) -> None:
    """Of a network that keeps states one process computes a whole batch at once. Raises TrainingError."""
    if keeps_states(network) and (accumulate > 1 or together):
        raise TrainingError(
            "the model is stateful: each batch goes on where the one before it ended, example by example",
            expected="accumulate=1, and one process",
            found=f"accumulate={accumulate}" if accumulate > 1 else "several processes",
        )
