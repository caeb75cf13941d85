"""A learning rate to begin with: the losses of updates whose rate grows from tiny to too large.

Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
"""

from __future__ import annotations

import copy
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.batches import ArrayBatches
from runtime.errors import TrainingError
from runtime.given import Arrays, examples_of
from runtime.history import check_plotting, write_figure
from runtime.interface import ModelInterface
from runtime.tensors import taken
from runtime.updates import update

SMOOTHING = 0.9
"""Of the losses: the share of what came before in each of their moving averages."""
DIVERGED = 4.0
"""How many times the lowest loss ends the search."""
MARGIN = 10.0
"""How many times smaller the suggestion is than the rate of the lowest loss."""


@dataclass(frozen=True)
class RateSearch:
    """Rising rates, and the smoothed losses of their updates; in the end they `diverged`, or not."""

    rates: list[float]
    losses: list[float]
    diverged: bool

    @property
    def lowest(self) -> float:
        """The rate at which the loss was lowest."""
        return self.rates[int(np.argmin(self.losses))]

    @property
    def suggestion(self) -> float:
        """A tenth of that: where the loss is lowest it is about to rise."""
        return self.lowest / MARGIN

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draw the losses over the rates; returns the figure. Raises TrainingError without matplotlib."""
        figure = check_plotting()(figsize=(5.0, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses)
        axes.axvline(self.suggestion, linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        axes.legend()
        if path is not None:
            write_figure(figure, path)
        return figure


def find_learning_rate(
    network: Any,
    x: Arrays,
    y: Arrays,
    *,
    batch_size: int = 128,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    interface: ModelInterface | None = None,
) -> RateSearch:
    """Train a copy of the network, with a rate that grows after each update; `network` stays as it is.

    It ends after `steps` updates, or when the smoothed loss is four times its lowest or no longer finite.
    Raises DataError where the arrays do not fit the model, TrainingError where the rates make no sense or the
    loss is never finite.
    """
    if not 0 < lowest < highest < math.inf or steps < 2:
        raise TrainingError(
            "these rates make no sense",
            expected="0 < lowest < highest, and 2 steps or more",
            found=f"from {lowest:g} to {highest:g} in {steps} steps",
        )
    interface = interface or ModelInterface.of_network(network)
    x, y = taken(interface, x, y, "training")
    interface.check_pair(x, y, "training")
    tried = copy.deepcopy(network)
    rates: list[float] = []
    losses: list[float] = []
    average, diverged = 0.0, False
    for number, batch in zip(range(steps), _endless(x, y, batch_size, int(network.seed)), strict=False):
        rate = lowest * (highest / lowest) ** (number / (steps - 1))
        tried.learning_rate = rate
        loss = update(tried, batch, interface)["loss"]
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (number + 1))
        diverged = not math.isfinite(smoothed) or smoothed > DIVERGED * min([smoothed, *losses])
        if diverged:
            break
        rates.append(rate)
        losses.append(smoothed)
    if not rates:
        raise TrainingError(
            "the loss is not finite at the lowest rate",
            advice="look for NaN in the data, or try a lower rate",
        )
    return RateSearch(rates, losses, diverged)


def _endless(x: np.ndarray, y: np.ndarray, size: int, seed: int) -> Any:
    batches = ArrayBatches(x, y, examples_of(x), size, seed)
    epoch = 0
    while True:
        yield from batches.batches(epoch, 0)
        epoch += 1
