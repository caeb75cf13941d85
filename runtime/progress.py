"""What a person sees of a running training: a bar that redraws itself, and one line for each epoch."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

BAR_WIDTH = 30
REDRAW_SECONDS = 0.1


class ProgressBar:
    """A bar on `stream`, by default standard error; silent unless the stream is a terminal.

    `clock` returns seconds; a test may replace it.
    """

    def __init__(
        self,
        title: str,
        total: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.title = title
        self.total = total
        self.stream = sys.stderr if stream is None else stream
        self.clock = clock
        self.started = clock()
        self.drawn = float("-inf")
        self.visible = self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` of `total` are finished; redraws at most ten times a second."""
        now = self.clock()
        if not self.visible or (now - self.drawn < REDRAW_SECONDS and done < self.total):
            return
        self.drawn = now
        filled = BAR_WIDTH * done // self.total
        remaining = (now - self.started) * (self.total - done) / max(done, 1)
        bar = "=" * filled + " " * (BAR_WIDTH - filled)
        line = f"{self.title} [{bar}] {100 * done // self.total:3d} %  {note}  {remaining:.0f} s left"
        self._write(line[: shutil.get_terminal_size().columns - 1])

    def close(self) -> None:
        """Wipe the bar off the line, so that the next output begins on a clean one."""
        if self.visible:
            self._write("")

    def _write(self, line: str) -> None:
        self.stream.write(f"\r\x1b[K{line}")  # \x1b[K clears what a longer line left behind
        self.stream.flush()


def epoch_line(epoch: int, epochs: int, logs: Mapping[str, float], unit: str = "samples") -> str:
    """One line about a finished epoch (counted from 0) out of `epochs`, from the logs that callbacks get."""
    parts = [f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}", f"loss {logs['loss']:.4f}"]
    if "val_loss" in logs:
        parts.append(f"held-out loss {logs['val_loss']:.4f}")
    if "val_accuracy" in logs:
        parts.append(f"accuracy {percent(logs['val_accuracy'], logs['val_accuracy_error'])}")
    parts.append(f"{logs['seconds']:.1f} s")
    parts.append(f"{logs['samples_per_second']:,.0f} {unit}/s")
    return "  ".join(parts)


def percent(accuracy: float, error: float) -> str:
    """An accuracy with its standard error, both fractions, in percent."""
    return f"{100 * accuracy:.2f} % ± {100 * error:.2f}"
