"""What a step does inside a network: the numbers of one step, by layer and by parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime.given import Arrays, examples_of, values_of


@dataclass(frozen=True)
class Record:
    """One step: root mean squares and shares by layer or parameter, and norms of parameters."""

    step: int
    loss: float
    activation: Mapping[str, float]
    gradient: Mapping[str, float]
    """Of the loss by a layer's values."""
    zeros: Mapping[str, float]
    dead: Mapping[str, float]
    extremes: Mapping[str, float]
    parameter_gradient: Mapping[str, float]
    """The norm."""
    weight: Mapping[str, float]
    update: dict[str, float] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        """Whether every number is one."""
        kinds = (self.activation, self.gradient, self.parameter_gradient, self.weight)
        return all(math.isfinite(value) for kind in kinds for value in kind.values())

    @property
    def ratio(self) -> dict[str, float]:
        """The size of the update beside that of the weight, where that is not 0 as a bias is at first."""
        sizes = self.weight
        return {name: value / sizes[name] for name, value in self.update.items() if sizes[name] != 0}


def measured(network: Any, x: Arrays, y: Arrays, weights: np.ndarray | None = None) -> Record:
    """What the module says of the inside of a network on these examples."""
    weighed = {} if weights is None else {"sample_weight": weights}
    loss, measures = network.diagnose(x, y, **weighed)
    norms = {name: norm(array) for name, array in network.parameters.items()}
    return _record(int(network.step), values_of(loss)["loss"], measures, norms, examples_of(x))


def norm(array: np.ndarray) -> float:
    # Not by BLAS, whose threads would wait for each other beside a training.
    return math.sqrt(np.square(array, dtype=np.float64).sum())


def _record(
    step: int, loss: float, measures: Mapping[str, float], weights: Mapping[str, float], count: int
) -> Record:
    """Sums over the samples become means, and mean squares their roots."""
    kinds: dict[str, dict[str, float]] = {}
    for called, value in measures.items():
        of, _, kind = called.rpartition("/")
        kinds.setdefault("parameter" if of in weights else kind, {})[of] = value
    means = {
        kind: {
            of: math.sqrt(value / count) if value >= 0 else value for of, value in kinds.get(kind, {}).items()
        }
        for kind in ("activation", "gradient")
    }
    shares = {
        kind: {of: v / count for of, v in kinds.get(kind, {}).items()} for kind in ("zeros", "extremes")
    }
    gradients = {of: math.sqrt(v) if v >= 0 else v for of, v in kinds.get("parameter", {}).items()}
    dead = kinds.get("dead", {})
    return Record(
        step,
        loss,
        means["activation"],
        means["gradient"],
        shares["zeros"],
        dead,
        shares["extremes"],
        gradients,
        weights,
    )
