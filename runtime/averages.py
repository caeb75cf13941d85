"""Exponential moving averages of what is trained, which often predict better than the last values.

After update t of the averaging every average moves towards its parameter: a += (1 - d)·(p - a), with d =
min(decay, (1 + t) / (10 + t)). So the values of the beginning, which are random, are soon forgotten in a
short run too. Source: `tf.train.ExponentialMovingAverage` with `num_updates`; Polyak and Juditsky,
"Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 30(4), 1992.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np

from runtime.errors import TrainingError


class Averages:
    """The averages of all parameters of a network, by their names.

    They begin as the parameters are. States are not averaged: they are averages already.
    """

    def __init__(self, network: Any, decay: float, updates: int = 0):
        if not isinstance(decay, Real) or not 0.0 <= decay < 1.0:
            raise TrainingError("ema makes no sense", expected="a decay from 0 to below 1", found=str(decay))
        self.network = network
        self.decay = decay
        self.updates = updates
        """How many updates have been averaged."""
        self.arrays = {name: array.copy() for name, array in network.parameters.items()}

    def follow(self) -> None:
        """Take in the parameters after an update."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in self.network.parameters.items():
            self.arrays[name] += (1 - decay) * (parameter - self.arrays[name])

    def restore(self, arrays: Mapping[str, np.ndarray], updates: int) -> None:
        """Go on from averages that were saved."""
        self.updates = updates
        for name, array in arrays.items():
            self.arrays[name][...] = array

    def put_in(self) -> None:
        """The parameters become the averages."""
        for name, array in self.arrays.items():
            self.network.parameters[name][...] = array

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averages for parameters."""
        trained = {name: array.copy() for name, array in self.network.parameters.items()}
        self.put_in()
        try:
            yield
        finally:
            for name, array in trained.items():
                self.network.parameters[name][...] = array
