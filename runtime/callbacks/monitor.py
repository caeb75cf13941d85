"""Which epoch was best, by a quantity in the history."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from runtime.callbacks.base import Training
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
        raise _not_measured(monitor, tuple(history.history))
    return history.history[monitor]


def check_monitored(training: Training, monitor: str, mode: str) -> None:
    """Before the first epoch: raises TrainingError for what is not measured, and what `direction` does."""
    if training.quantities and monitor not in training.quantities:
        raise _not_measured(monitor, training.quantities)
    direction(monitor, mode)


def _not_measured(monitor: str, quantities: Sequence[str]) -> TrainingError:
    return TrainingError(
        f"a callback monitors {monitor!r}, which is not measured",
        expected="one of " + ", ".join(quantities),
        advice=_measuring(quantities, monitor),
    )


def _measuring(quantities: Sequence[str], monitor: str) -> str:
    """What would have a quantity measured, or is called so and is."""
    validates = any(name.startswith("val_") for name in quantities)
    if monitor.startswith("val_") and not validates:
        return "pass validation_data to fit to have val_ quantities measured"
    near = get_close_matches(monitor, quantities, n=1, cutoff=0.5)
    return f"monitor={near[0]!r}" if near else ""


def direction(monitor: str, mode: str) -> float:
    """1 where smaller is better, else -1. Raises ValueError for a mode that is none, or says too little."""
    if checked_mode(mode) == "auto" and not monitor.endswith(("accuracy", "loss")):
        raise ValueError(f"whether a large {monitor!r} is good has to be said: mode='min' or mode='max'")
    return -1.0 if mode == "max" or (mode == "auto" and monitor.endswith("accuracy")) else 1.0


def checked_mode(mode: str) -> str:
    """It, if it is one. Raises ValueError."""
    if mode not in ("min", "max", "auto"):
        raise ValueError(f"mode must be 'min', 'max' or 'auto', not {mode!r}")
    return mode


def checked_epochs(name: str, epochs: int) -> int:
    """It, if it is a number of epochs. Raises ValueError."""
    if not hasattr(type(epochs), "__index__") or isinstance(epochs, bool) or epochs < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more, not {epochs!r}")
    return epochs


def best_position(values: Sequence[float], sign: float, min_delta: float = 0.0) -> int:
    """Where the best value stands: the first that no later one improves on by more than `min_delta`."""
    best, position = float("inf"), 0
    for place, value in enumerate(values):
        if sign * value < best - min_delta:
            best, position = sign * value, place
    return position
