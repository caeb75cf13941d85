"""What goes on inside a network while it trains, and in plain words what is wrong with it.

The numbers come from the module's own method `diagnose`, of modules that were compiled with the mode of that
name. The thresholds are customs of the field, no laws: an update of about a thousandth of a weight is
healthy, and gradients that shrink or grow by a factor of a thousand over the depth are not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime.batches import Batch
from runtime.callbacks.base import Callback, Logs
from runtime.diagnosis_plot import draw
from runtime.given import Arrays, each
from runtime.history import write_figure
from runtime.inside import Record, measured, norm
from runtime.updates import update

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
                        f"{last.ratio[name]:.1e}" if name in last.ratio else "",
                    )
                    for name, value in last.parameter_gradient.items()
                ],
            ),
        ]
        found = self.findings
        lines += ["", "findings:" if found else "nothing looks wrong", *(f"  {one}" for one in found)]
        return "\n".join(lines)

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draw what was measured, over depth and over time; returns the figure.

        `path` writes it to a file, in the format that its ending names. Needs matplotlib. Raises
        TrainingError where that is missing.
        """
        figure = draw(self.records)
        if path is not None:
            write_figure(figure, path)
        return figure

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

    A sample costs here what three or four cost in training: 32 before every 50 updates are 2 % of batches of
    128, and 7 % of batches of 32.

    Where the training diverges, the updates since the last measurement are done again, each measured on its
    own batch, until the layer and the step are found at which the first number was born that is none; until
    then the batches of up to `every` updates are kept.

    The module has to be compiled with the mode "diagnose"; `diagnosis` holds what was measured. Raises
    RuntimeError, from the network, where the mode is missing.
    """

    def __init__(self, x: Arrays, y: Arrays, every: int = 50, samples: int = 32):
        if every < 1 or samples < 1:
            raise ValueError(f"every and samples must be 1 or more, not {every} and {samples}")
        self.x, self.y = (each(lambda array: array[:samples], given) for given in (x, y))
        self.every = every
        self.diagnosis = Diagnosis()
        self._before: dict[str, np.ndarray] | None = None
        self._kept: _Moment | None = None
        self._since: list[Batch] = []

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_begin(batch, logs)
        network = self.training.network
        if network.step % self.every == 0:
            self._before = {name: array.copy() for name, array in network.parameters.items()}
            record = measured(network, self.x, self.y)
            self.diagnosis.records.append(record)
            if record.finite or self._kept is None:
                self._kept, self._since = _Moment.of(network), []
        self._since.append(self.training.current)

    def on_not_finite(self, logs: Logs | None = None) -> None:
        kept, network = self._kept, self.training.network
        if kept is None or kept.network is not network or self.training.group is not None:
            return
        kept.restore()
        while self.diagnosis.records and not self.diagnosis.records[-1].finite:
            self.diagnosis.records.pop()  # too late: what was born had spread
        for batch in self._since:
            record = measured(network, batch.inputs, batch.targets, batch.weights_of_rows)
            if not record.finite:
                break
            update(network, batch, self.training.interface)
        else:
            record = measured(network, batch.inputs, batch.targets, batch.weights_of_rows)
        self.diagnosis.records.append(record)
        self._before = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self._before is None:
            return
        update = self.diagnosis.records[-1].update
        for name, array in self.training.network.parameters.items():
            update[name] = norm(array - self._before[name])
        self._before = None


@dataclass(frozen=True)
class _Moment:
    """A network and copies of all that an update changes, as they were."""

    network: Any
    arrays: tuple[dict[str, np.ndarray], ...]
    step: int

    @classmethod
    def of(cls, network: Any) -> _Moment:
        copies = ({name: array.copy() for name, array in held.items()} for held in cls._changed(network))
        return cls(network, tuple(copies), int(network.step))

    def restore(self) -> None:
        for held, copies in zip(self._changed(self.network), self.arrays, strict=True):
            for name, array in copies.items():
                held[name][...] = array
        self.network.step = self.step

    @staticmethod
    def _changed(network: Any) -> tuple[Mapping[str, np.ndarray], ...]:
        return network.parameters, network.state, network.optimizer_state
