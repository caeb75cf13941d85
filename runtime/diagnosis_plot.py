"""What was measured inside a network, drawn: over its depth, and over the steps of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runtime.history import check_plotting

SHOWN_LINES = 12
"""Of layers or parameters over time: more cannot be told apart."""
HEALTHY = (1e-5, 1e-1)
"""An update beside its weight."""


class Measured(Protocol):
    """One step, as `runtime.diagnosis.Record` has it."""

    step: int
    activation: Mapping[str, float]
    gradient: Mapping[str, float]
    zeros: Mapping[str, float]
    dead: Mapping[str, float]
    extremes: Mapping[str, float]
    ratio: Mapping[str, float]


def draw(records: Sequence[Measured]) -> Any:
    """A figure of four panels. Needs matplotlib. Raises TrainingError where that is missing."""
    figure = check_plotting()(figsize=(11, 7.5), layout="constrained")
    (sizes, shares), (over_time, ratios) = figure.subplots(2, 2)
    if records:
        _sizes_over_depth(sizes, records[0], records[-1])
        _shares_over_depth(shares, records[-1])
        _over_time(over_time, records, "gradient", "root mean square of gradients")
        _over_time(ratios, records, "ratio", "update / weight")
        ratios.axhspan(*HEALTHY, color="tab:green", alpha=0.08)
    return figure


def _sizes_over_depth(axes: Any, first: Measured, last: Measured) -> None:
    layers = list(last.activation)
    for record, style in ((first, "--"), (last, "-")):
        for name, colour in (("activation", "tab:blue"), ("gradient", "tab:red")):
            values = [_drawn(getattr(record, name).get(layer)) for layer in layers]
            axes.plot(layers, values, style, color=colour, marker=".", label=f"{name}, step {record.step}")
    axes.set(yscale="log", title="root mean squares over depth")
    axes.tick_params(axis="x", rotation=90)
    axes.legend(fontsize="small")


def _shares_over_depth(axes: Any, record: Measured) -> None:
    layers = list(record.activation)
    for name, marker in (("zeros", "o"), ("dead", "x"), ("extremes", "^")):
        found = getattr(record, name)
        axes.plot(layers, [found.get(layer, float("nan")) for layer in layers], marker, label=name)
    axes.set(ylim=(-0.05, 1.05), title=f"shares over depth, step {record.step}")
    axes.tick_params(axis="x", rotation=90)
    axes.legend(fontsize="small")


def _over_time(axes: Any, records: Sequence[Measured], name: str, title: str) -> None:
    steps = [record.step for record in records]
    names = list(dict.fromkeys(key for record in records for key in getattr(record, name)))
    names = names[:SHOWN_LINES]
    for key, colour in zip(names, _colours(len(names)), strict=True):
        values = [_drawn(getattr(record, name).get(key)) for record in records]
        axes.plot(steps, values, color=colour, marker=".", label=key)
    axes.set(yscale="log", title=title, xlabel="step")
    if names:
        axes.legend(fontsize="x-small")


def _colours(count: int) -> list[tuple[float, float, float]]:
    """From the first layer, dark blue, to the last, yellow."""
    places = [k / max(count - 1, 1) for k in range(count)]
    return [(0.25 + 0.7 * place, 0.05 + 0.8 * place, 0.4 - 0.25 * place) for place in places]


def _drawn(value: float | None) -> float:
    """What a logarithmic axis has a place for; a gap for all else."""
    return value if value is not None and value > 0 else float("nan")
