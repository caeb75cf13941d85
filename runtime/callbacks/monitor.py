"""Which epoch was best, by a quantity in the history."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.errors import TrainingError
from runtime.history import History


def epochs_since_best(history: History, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> int:
    """How many epochs ago the quantity `monitor` was best; 0 when the last epoch is the best.

    `mode` is "min", "max" or "auto": accuracies are better when larger, losses when smaller, and of all else
    it has to be said. An epoch is better only when it improves by more than `min_delta`. Raises TrainingError
    when `monitor` is not measured.
    """
    values = monitored(history, monitor)
    return len(values) - 1 - best_position(values, direction(monitor, mode), min_delta)


def monitored(history: History, monitor: str) -> list[float]:
    """The values of a quantity. Raises TrainingError when it is not measured."""
    if monitor not in history.history:
        raise TrainingError(
            f"a callback monitors {monitor!r}, which is not measured",
            expected="one of " + ", ".join(history.history),
            advice="pass validation_data to fit to have val_ quantities measured",
        )
    return history.history[monitor]


def direction(monitor: str, mode: str) -> float:
    """1 where smaller is better, else -1. Raises ValueError for a mode that is none, or says too little."""
    if mode not in ("min", "max", "auto"):
        raise ValueError(f"mode must be 'min', 'max' or 'auto', not {mode!r}")
    if mode == "auto" and not monitor.endswith(("accuracy", "loss")):
        raise ValueError(f"whether a large {monitor!r} is good has to be said: mode='min' or mode='max'")
    return -1.0 if mode == "max" or (mode == "auto" and monitor.endswith("accuracy")) else 1.0


def best_position(values: Sequence[float], sign: float, min_delta: float = 0.0) -> int:
    """Where the best value stands: the first that no later one improves on by more than `min_delta`."""
    best, position = float("inf"), 0
    for place, value in enumerate(values):
        if sign * value < best - min_delta:
            best, position = sign * value, place
    return position
