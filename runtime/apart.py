"""Several losses of which some ignore labels: each is a mean over labels of its own, so batches add up apart.

A network computes the sum of all losses, and gradients of that sum. A loss all of whose labels are ignored is
0, and so is its gradient. So what one of them gives is the difference between a computation with its labels
alone and one with the labels of none; each difference has a factor of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from runtime.given import Arrays, by_key
from runtime.interface import ModelInterface

EQUAL = 1e-12


def ignoring(interface: ModelInterface) -> dict[str, int]:
    """What labels ignore whose losses have means of their own; empty where one number says it for all."""
    if len(interface.losses) <= 1 or any(one.real is not None for one in interface.labels):
        return {}
    return {one.key: one.ignored for one in interface.labels if one.ignored is not None}


def counts_apart(y: Arrays, interface: ModelInterface) -> dict[str, int]:
    """How many of each of these labels count."""
    given = by_key(y, interface.labels, "labels") if (ignored := ignoring(interface)) else {}
    return {key: int(np.count_nonzero(given[key] != value)) for key, value in ignored.items()}


def computations(
    y: Arrays, interface: ModelInterface, share: float, whole: Mapping[str, int]
) -> list[tuple[float, Arrays]]:
    """Labels to compute with, each with a factor: the products add up to what these samples are of a whole.

    `share` of the samples of the whole are these, and `whole` is what `counts_apart` says of it.
    """
    found = counts_apart(y, interface)
    shares = {key: count / whole[key] if whole[key] else share for key, count in found.items()}
    if all(math.isclose(own, share, rel_tol=EQUAL) for own in shares.values()):
        return [(share, y)]
    given = by_key(y, interface.labels, "labels")
    ignored = ignoring(interface)
    none = {**given, **{key: np.full(given[key].shape, value) for key, value in ignored.items()}}
    alone = [(own, {**none, key: given[key]}) for key, own in shares.items() if found[key]]
    return [(share - math.fsum(own for own, _ in alone), none), *alone]
