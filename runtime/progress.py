"""What a person sees of a running training: a bar that redraws itself, and one line for each epoch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

BAR_WIDTH = 30
REDRAW_SECONDS = 0.1


class ProgressBar:
    """A bar on `stream`, by default standard error; silent unless the stream is a terminal. By rich.

    It says how far the epoch is, what `update` is told, samples a second and the time left. It is drawn by
    whoever updates it, at most ten times a second: no thread of its own takes a core from the training.
    `clock` returns seconds; a test may replace it.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "samples",
    ):
        self.total = total
        self.clock = clock
        self.drawn = float("-inf")
        stream = sys.stderr if stream is None else stream
        self._bar = None
        if stream.isatty() and os.environ.get("TERM") != "dumb":
            self._bar = _drawn_by_rich(title, total, stream, clock, unit)
            self._bar.start()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` of `total` are finished; redraws at most ten times a second."""
        now = self.clock()
        if self._bar is None or (now - self.drawn < REDRAW_SECONDS and done != self.total):
            return
        self.drawn = now
        self._bar.update(self._bar.task_ids[0], completed=done, note=note, refresh=True)

    def close(self) -> None:
        """Wipe the bar off the line, so that the next output begins on a clean one."""
        if self._bar is not None:
            self._bar.stop()


def _drawn_by_rich(
    title: str, total: int | None, stream: TextIO, clock: Callable[[], float], unit: str
) -> Any:
    """Rich is imported here: where no bar is shown, nothing waits for it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(BAR_WIDTH),
        TextColumn("{task.percentage:3.0f} %  {task.fields[note]}"),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=Console(file=stream, force_terminal=True),
        auto_refresh=False,
        transient=True,
        get_time=clock,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task(title, total=total, note="")
    return bar


def epoch_line(epoch: int, epochs: int, logs: Mapping[str, float], unit: str = "samples") -> str:
    """One line about a finished epoch (counted from 0) out of `epochs`, from the logs that callbacks get."""
    parts = [f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}", f"loss {logs['loss']:.4f}"]
    if "val_loss" in logs:
        parts.append(f"held-out loss {logs['val_loss']:.4f}")
    if "val_accuracy_error" in logs:
        parts.append(f"accuracy {percent(logs['val_accuracy'], logs['val_accuracy_error'])}")
    said = (
        ("val_loss", "val_accuracy", "val_accuracy_error") if "val_accuracy_error" in logs else ("val_loss",)
    )
    others = (name for name in logs if name.startswith("val_") and name not in said)
    parts += [f"{name.removeprefix('val_')} {logs[name]:.4f}" for name in others]
    parts.append(f"{logs['seconds']:.1f} s")
    parts.append(f"{logs['samples_per_second']:,.0f} {unit}/s")
    return "  ".join(parts)


def percent(accuracy: float, error: float) -> str:
    """An accuracy with its standard error, both fractions, in percent."""
    return f"{100 * accuracy:.2f} % ± {100 * error:.2f}"
