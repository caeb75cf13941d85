"""What goes on inside a network while it trains, and in plain words what is wrong with it.

The numbers come from the module's own method `diagnose`, of modules that were compiled with the mode of that
name. The thresholds are customs of the field, no laws: an update of about a thousandth of a weight is
healthy, and gradients that shrink or grow by a factor of a thousand over the depth are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime.callbacks.base import Callback, Logs
from runtime.given import Arrays, each, examples_of, values_of

LEAST_RATIO, MOST_RATIO = 1e-5, 1e-1
"""Of an update to its weight: outside of these learning stands still, or jumps."""
TREND = 1e3
"""How much gradients may differ between the first and the last layer, for each unit of their weights."""
SHARE = 0.5
"""Of units that are dead, and of values at an end of an activation: more of them is worth a word."""

BORN = (
    "look for NaN in the inputs, and at what goes into this layer; a smaller learning rate; global_clipnorm "
    "of the optimizer; a loss from logits instead of the logarithm of probabilities"
)
VANISHING = (
    "ReLU instead of sigmoid or tanh; BatchNormalization or LayerNormalization; residual connections; "
    "HeNormal for layers before a ReLU"
)
EXPLODING = "global_clipnorm of the optimizer; a smaller learning rate; smaller first weights"
DEAD = "a smaller learning rate; LeakyReLU or GELU; a bias that does not begin below 0"
SATURATED = "smaller first weights; normalization before it; inputs scaled to about 0 … 1; ReLU"
"""What usually helps."""


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
    def ratio(self) -> dict[str, float]:
        """The size of the update beside that of the weight."""
        return {name: value / max(self.weight[name], 1e-30) for name, value in self.update.items()}


@dataclass(frozen=True)
class Finding:
    """What is wrong, where, and what usually helps."""

    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    try: {self.remedy}"


@dataclass
class Diagnosis:
    """The records of a training, in order."""

    records: list[Record] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """All that is found, what is worst first; empty for a training that looks healthy."""
        born = self._born()
        if born is not None:
            return [born]
        return [*self._trend(), *self._units(), *self._updates()] if self.records else []

    def _born(self) -> Finding | None:
        """Where the first number was born that is none."""
        for record in self.records:
            forward = [(layer, value, "forward") for layer, value in record.activation.items()]
            backward = [(layer, value, "backward") for layer, value in reversed(record.gradient.items())]
            for layer, value, way in (*forward, *backward):
                if not math.isfinite(value):
                    what = "the first NaN or infinity was born here"
                    return Finding(f"{what} in step {record.step}, on the way {way}", layer, BORN)
        return None

    def _trend(self) -> Iterator[Finding]:
        last = self.records[-1]
        strengths = {
            name: value / max(last.weight[name], 1e-30)
            for name, value in last.parameter_gradient.items()
            if last.weight[name] > 0
        }
        if len(strengths) < 2:
            return
        names = list(strengths)
        first, final = strengths[names[0]], strengths[names[-1]]
        sizes = f"{first:.1e} of the weight here, {final:.1e} in {names[-1]}"
        if first * TREND < final:
            yield Finding(f"gradients vanish: {sizes}", names[0], VANISHING)
        elif first > TREND * final:
            yield Finding(f"gradients explode: {sizes}", names[0], EXPLODING)

    def _units(self) -> Iterator[Finding]:
        last = self.records[-1]
        before = 0.0
        for layer, share in last.dead.items():
            # What follows a dead layer is dead in the same places: said once.
            if share > SHARE and share > before + 0.05:
                yield Finding(f"{share:.0%} of its units give 0 for every sample", layer, DEAD)
            before = share
        for layer, share in last.extremes.items():
            if share > SHARE:
                what = f"{share:.0%} of its values are at an end of what they can be"
                yield Finding(f"{what}, where the derivative is almost 0", layer, SATURATED)

    def _updates(self) -> Iterator[Finding]:
        ratios: dict[str, list[float]] = {}
        for record in self.records:
            for name, ratio in record.ratio.items():
                if record.weight[name] > 0:
                    ratios.setdefault(name, []).append(ratio)
        for name, values in ratios.items():
            middle = float(np.median(values))
            if middle < LEAST_RATIO:
                yield Finding(
                    f"updates are {middle:.1e} of the weight: it hardly learns",
                    name,
                    "a larger learning rate",
                )
            elif middle > MOST_RATIO:
                yield Finding(
                    f"updates are {middle:.1e} of the weight: it jumps", name, "a smaller learning rate"
                )

    def __str__(self) -> str:
        """A table of layers, one of parameters, and the findings."""
        if not self.records:
            return "nothing was measured"
        first, last = self.records[0], self.records[-1]
        lines = [f"steps {first.step} to {last.step}, loss {first.loss:.4g} to {last.loss:.4g}", ""]
        lines += _table(
            ("layer", "values", "gradient", "zero", "dead", "at an end"),
            [
                (
                    layer,
                    f"{last.activation[layer]:.3g}",
                    f"{last.gradient[layer]:.3g}" if layer in last.gradient else "",
                    f"{last.zeros[layer]:.0%}",
                    f"{last.dead[layer]:.0%}",
                    f"{last.extremes[layer]:.0%}" if layer in last.extremes else "",
                )
                for layer in last.activation
            ],
        )
        lines += [
            "",
            *_table(
                ("parameter", "weight", "gradient", "update / weight"),
                [
                    (
                        name,
                        f"{last.weight[name]:.3g}",
                        f"{value:.3g}",
                        f"{last.ratio.get(name, math.nan):.1e}",
                    )
                    for name, value in last.parameter_gradient.items()
                ],
            ),
        ]
        found = self.findings
        lines += ["", "findings:" if found else "nothing looks wrong", *(f"  {one}" for one in found)]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Records and findings; a number that is none becomes its name."""
        return {
            "records": [
                {key: _plain(value) for key, value in vars(record).items()} for record in self.records
            ],
            "findings": [vars(one) for one in self.findings],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in (head, *rows)
    ]


class Diagnose(Callback):
    """Measure what goes on inside, before every so many updates, on the first samples of x and y.

    The module has to be compiled with the mode "diagnose"; `diagnosis` holds what was measured. Raises
    RuntimeError, from the network, where the mode is missing.
    """

    def __init__(self, x: Arrays, y: Arrays, every: int = 20, samples: int = 64):
        if every < 1 or samples < 1:
            raise ValueError(f"every and samples must be 1 or more, not {every} and {samples}")
        self.x, self.y = (each(lambda array: array[:samples], given) for given in (x, y))
        self.every = every
        self.diagnosis = Diagnosis()
        self._before: dict[str, np.ndarray] | None = None

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        network = self.training.network
        if network.step % self.every:
            return
        self._before = {name: array.copy() for name, array in network.parameters.items()}
        loss, measures = network.diagnose(self.x, self.y)
        weights = {name: _norm(array) for name, array in self._before.items()}
        count = examples_of(self.x)
        self.diagnosis.records.append(
            _record(int(network.step), values_of(loss)["loss"], measures, weights, count)
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._before is None:
            return
        update = self.diagnosis.records[-1].update
        for name, array in self.training.network.parameters.items():
            update[name] = _norm(array - self._before[name])
        self._before = None


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


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
