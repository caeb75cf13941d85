"""What a network says of many samples, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime.checks import check_whole
from runtime.defaults import EVALUATION_BATCH_SIZE
from runtime.errors import DataError
from runtime.example_states import check_whole_batches
from runtime.given import Arrays, arrays_of, batch_of, examples_of, is_arrays
from runtime.interface import ModelInterface
from runtime.tensors import taken


def predict(
    network: Any, x: Arrays, batch_size: int = EVALUATION_BATCH_SIZE, interface: ModelInterface | None = None
) -> Arrays:
    """The outputs of all samples x (N, *INPUT_SHAPE): an array (N, *OUTPUT_SHAPE), or several as the network
    gives them.

    `network.predict` computes one batch, of arrays. Here x may be what `fit` takes for arrays: tensors and
    tables too, several in a tuple or a dictionary, images that are read on demand. Raises DataError for what
    is none of these, TrainingError for a `batch_size` that is no number of samples, and what
    `network.predict` raises where they do not fit.
    """
    interface = interface or ModelInterface.of_network(network)
    check_whole("batch_size", batch_size, 1)
    x, _ = taken(interface, x, None, "prediction")
    if not is_arrays(x) or not all(np.ndim(array) for array in arrays_of(x)):
        raise DataError(
            "x makes no sense",
            expected="an array (N, …), or several in a tuple or a dictionary",
            found=f"a {type(x).__name__}",
            advice="np.asarray(x)" if isinstance(x, list | tuple) else None,
        )
    count = examples_of(x)
    check_whole_batches(network, count, batch_size)
    begins = range(0, max(count, 1), batch_size)
    found = [network.predict(batch_of(x, slice(begin, begin + batch_size))) for begin in begins]
    if not isinstance(found[0], np.ndarray):
        keys = found[0] if isinstance(found[0], dict) else range(len(found[0]))
        whole = {key: np.concatenate([one[key] for one in found]) for key in keys}
        return whole if isinstance(found[0], dict) else tuple(whole.values())
    return np.concatenate(found)
