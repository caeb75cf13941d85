"""What a training run has measured, and what a person sees of it: a plot, a table in a notebook."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import TrainingError
from runtime.files import atomic_write

SHOWN_EPOCHS = 8
"""Rows of a notebook's table: the last ones."""


@dataclass
class History:
    """What was measured: `epoch` counts from 0; `history` has one list per quantity, one value per epoch."""

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def restored(cls, epochs: int, history: Mapping[str, Sequence[float]]) -> History:
        """The history of a run of which `epochs` epochs are finished, from what its checkpoint stored."""
        length = max(map(len, history.values()), default=0)
        return cls(
            list(range(epochs - length, epochs)), {name: list(values) for name, values in history.items()}
        )

    def append(self, epoch: int, measured: Mapping[str, float]) -> None:
        """Add the values of one epoch."""
        self.epoch.append(epoch)
        for name, value in measured.items():
            self.history.setdefault(name, []).append(value)

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draw every quantity over the epochs, one on held-out data beside its own; returns the figure.

        `path` writes it to a file, in the format that its ending names. Needs matplotlib. Raises
        TrainingError where that is missing.
        """
        figure_class = check_plotting()
        panels = self._panels()
        figure = figure_class(figsize=(4.2 * max(len(panels), 1), 3.2), layout="constrained")
        for axes, (title, names) in zip(figure.subplots(1, max(len(panels), 1), squeeze=False)[0], panels):  # noqa: B905
            for name in names:
                axes.plot([epoch + 1 for epoch in self.epoch], self.history[name], marker=".", label=name)
            axes.set(title=title, xlabel="epoch")
            axes.legend()
        if path is not None:
            write_figure(figure, path)
        return figure

    def _panels(self) -> list[tuple[str, list[str]]]:
        """Quantities that are drawn together: `loss` and `val_loss`. Errors of others are not drawn."""
        panels: dict[str, list[str]] = {}
        for name in self.history:
            if not name.endswith("_error"):
                panels.setdefault(name.removeprefix("val_"), []).append(name)
        return list(panels.items())

    def _repr_html_(self) -> str:
        """For notebooks: a table of the last epochs, and the plot where matplotlib is installed."""
        names = list(self.history)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("epoch", *names))
        rows = [
            f"<tr><td>{epoch + 1}</td>"
            + "".join(f"<td>{values[row]:.6g}</td>" for values in self.history.values())
            + "</tr>"
            for row, epoch in list(enumerate(self.epoch))[-SHOWN_EPOCHS:]
        ]
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        try:
            drawn = io.BytesIO()
            self.plot().savefig(drawn, format="png")
        except TrainingError:
            return table
        picture = base64.b64encode(drawn.getvalue()).decode()
        return f'{table}<img alt="history" src="data:image/png;base64,{picture}">'


def check_plotting() -> type:
    """Matplotlib's Figure, which needs no display and no global state. Raises TrainingError."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError(
            "plots are drawn by matplotlib, which is not installed",
            advice="pip install 'chainrule[plot]'; the numbers are in history.history",
        ) from error
    return Figure


def write_figure(figure: Any, path: str | os.PathLike) -> None:
    """Write a figure in the format that the ending of `path` names. Raises TrainingError, OSError."""
    drawn = io.BytesIO()
    ending = os.path.splitext(os.fspath(path))[1].removeprefix(".") or "png"
    try:
        figure.savefig(drawn, format=ending)
    except ValueError as error:
        raise TrainingError(f"{os.fspath(path)} cannot be drawn", found=str(error)) from error
    with atomic_write(path) as handle:
        handle.write(drawn.getvalue())
