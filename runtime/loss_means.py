"""Means of losses over several batches, each over what counts of its own labels.

    loss of a batch     = weight_1 · digit + weight_2 · other + rest
    loss of an epoch    = weight_1 · mean of digit over its labels + … + mean of rest over examples

A module says which losses have labels some of which count for nothing, and the weight of each
(`ModelInterface.counted`); the rest is what remains: other losses, and penalties of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.counting import Counting
from runtime.interface import ModelInterface


def taken_apart(values: Mapping[str, float], interface: ModelInterface) -> dict[str, float]:
    """The values of a batch with the rest as "loss"."""
    return {**values, "loss": values["loss"] - _counted(values, interface)}


def put_together(means: Mapping[str, float], interface: ModelInterface) -> dict[str, float]:
    """Means of what was taken apart, with the whole loss as "loss" again."""
    return {**means, "loss": means["loss"] + _counted(means, interface)}


def countings(interface: ModelInterface) -> dict[str, Counting]:
    """What the rest is a mean over, as "loss", and what each loss is that has labels of its own."""
    labels = {one.key: one for one in interface.labels}
    own = {name: labels[key] for name, (key, _) in interface.counted.items()}
    return {"loss": interface.counting} | {
        name: Counting(one.ignored, interface.inputs, one.real, interface.labels, one.key)
        for name, one in own.items()
    }


def _counted(values: Mapping[str, float], interface: ModelInterface) -> float:
    return sum(weight * values.get(name, 0.0) for name, (_, weight) in interface.counted.items())
