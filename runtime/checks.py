"""Whether the arguments of `fit` make sense, together too. Each raises TrainingError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from runtime.callbacks.base import Callback, Training, uncalled
from runtime.checkpoint import TrainingState
from runtime.errors import TrainingError
from runtime.history import History
from runtime.interface import ModelInterface

VERBOSE = (0, 1, 2, "auto")


def check_arguments(
    *,
    epochs: int,
    initial_epoch: int,
    verbose: Any,
    shuffle: Any,
    shuffle_seed: int | None = None,
    history: Any = None,
    **others: int | None,
) -> None:
    """What is no number of epochs, or of `others`, which are 1 or more, or None; what is no choice."""
    for name, value in {"epochs": epochs, "initial_epoch": initial_epoch}.items():
        check_whole(name, value, 0)
    if shuffle_seed is not None:
        check_whole("shuffle_seed", shuffle_seed, 0)
    if history is not None and not isinstance(history, History):
        expected = "what an earlier fit has returned"
        raise TrainingError("history makes no sense", expected=expected, found=repr(history))
    for name, value in others.items():
        if value is not None:
            check_whole(name, value, 1)
    for name, value, choices in (("verbose", verbose, VERBOSE), ("shuffle", shuffle, (True, False))):
        if value not in choices:
            expected = "one of " + ", ".join(map(repr, choices))
            raise TrainingError(f"{name} makes no sense", expected=expected, found=repr(value))


def check_whole(name: str, value: Any, least: int) -> None:
    """Raises TrainingError for what is no whole number, or one that is too small."""
    whole = hasattr(type(value), "__index__") and not isinstance(value, bool)
    if not whole or value < least:
        expected = f"{least} or more" if whole else f"a whole number, {least} or more"
        raise TrainingError(f"{name} makes no sense", expected=expected, found=repr(value))


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Anything but a list of callbacks, each with the hooks that there are."""
    if not isinstance(callbacks, list | tuple) or not all(isinstance(one, Callback) for one in callbacks):
        raise TrainingError(
            "callbacks makes no sense",
            expected="a list of callbacks, such as [EarlyStopping()]",
            found=f"a {type(callbacks).__name__}" + _kinds(callbacks),
        )
    hooks = [name for name in dir(Callback) if name.startswith("on_")]
    for callback in callbacks:
        if unknown := uncalled(callback):
            near = get_close_matches(unknown[0], hooks, n=1)
            raise TrainingError(
                f"the callback {type(callback).__name__} has methods that nobody calls",
                expected=", ".join(hooks),
                found=", ".join(unknown),
                advice=f"{near[0]} for {unknown[0]}" if near else "a method of your own without on_",
            )


def _kinds(several: Any) -> str:
    """Of what a list holds what is no callback, without addresses of objects."""
    several = several if isinstance(several, list | tuple) else ()
    others = sorted({type(one).__name__ for one in several if not isinstance(one, Callback)})
    return f" with a {', a '.join(others)}" if others else ""


def check_iterable(
    x: Any, y: Any, batch_size: int | None, validation_split: float, sample_weight: Any
) -> None:
    """What cannot be said of batches that come from elsewhere, and what gives no batches."""
    if y is not None:
        raise TrainingError(
            "y makes no sense here",
            expected="arrays for x, or pairs (x, y) for x alone",
            found=f"a {type(x).__name__} for x",
            advice="np.asarray(x) and np.asarray(y)" if _becomes_array(x) else None,
        )
    if not callable(x) and not isinstance(x, Iterable):
        raise TrainingError(
            "x makes no sense",
            expected="an array and y, or what can be iterated and gives pairs (x, y)",
            found=type(x).__name__,
            advice="lambda epoch: (x[k] for k in range(len(x)))" if hasattr(x, "__getitem__") else None,
        )
    if batch_size is not None:
        raise TrainingError("batch_size makes no sense here", expected="none: each pair of x is a batch")
    if sample_weight is not None:
        raise TrainingError("sample_weight makes no sense here", expected="(x, y, sample_weight) in x")
    if validation_split:
        raise TrainingError("validation_split makes no sense here", expected="validation_data=(x, y)")


def _becomes_array(x: Any) -> bool:
    """A list of numbers, a tensor, a table of pandas."""
    return isinstance(x, list | tuple) or hasattr(x, "__array__")


def check_resumed(
    network: Any,
    resume: TrainingState | None,
    batch_size: int | None,
    accumulate: int | None,
    ema: float | None,
    augment: str | None,
) -> None:
    """A run that goes on must do so with what it was: else its bits are not those of one long run."""
    if resume is None:
        return
    if not isinstance(resume, TrainingState):
        raise TrainingError(
            "resume makes no sense",
            expected="what a checkpoint says: load_checkpoint(network, path).state",
            found=repr(resume),
        )
    if (network.step, network.seed) != (resume.step, resume.seed):
        raise TrainingError(
            "the network is not the one that the checkpoint was loaded into",
            expected=f"step {resume.step}, seed {resume.seed}",
            found=f"step {network.step}, seed {network.seed}",
            advice="state = load_checkpoint(network, path).state, and then fit(network, …, resume=state)",
        )
    for what, name, given, then in (
        ("batches of another size", "batch_size", batch_size, resume.batch_size),
        ("updates by another number of batches", "accumulate", accumulate, resume.accumulate),
        ("averages with another decay", "ema", ema, resume.ema),
        ("another augmentation", "augment", augment, resume.augment),
    ):
        if given not in (None, then):
            raise TrainingError(
                f"{what} would not give the bits of one long run",
                expected=f"{name}={then}, as the checkpoint has it, or none",
                found=str(given),
                advice=f"dataclasses.replace(state, {name}=…) to go on all the same",
            )


def check_accumulated(interface: ModelInterface, accumulate: int, *, of_ranks: bool = False) -> None:
    """Gradients of parts, of a batch or `of_ranks`, add up by what counts of each loss; of several, lengths
    cannot say it apart."""
    some = any(one.real is not None for one in interface.labels)
    if (accumulate > 1 or of_ranks) and some and interface.counting.of_examples:
        raise TrainingError(
            "several losses over sequences with lengths cannot be accumulated: each has its own mean",
            expected="ranks='ordered'" if of_ranks else "accumulate=1",
            found="ranks='each'" if of_ranks else f"accumulate={accumulate}",
            advice="no lengths" if of_ranks else "larger batches, or no lengths",
        )


def quantities(interface: ModelInterface, validates: bool) -> tuple[str, ...]:
    """What the history of a training holds of each epoch."""
    losses = ["loss", *(f"{name}_loss" for name in interface.losses)]
    if not validates:
        return *losses, "learning_rate"
    accuracy = [] if interface.classes is None else ["accuracy", "accuracy_error"]
    held_out = dict.fromkeys(f"val_{name}" for name in (*losses, *accuracy, *interface.numbers))
    return *losses, "learning_rate", *held_out


def check_history(training: Training) -> None:
    """A history that goes on must measure the same quantities, or its lists would no longer line up."""
    expected = set(training.quantities)
    found = set(training.history.history)
    if found and found != expected:
        raise TrainingError(
            "the history of the earlier epochs measures other quantities than this run will",
            expected=", ".join(sorted(expected)),
            found=", ".join(sorted(found)),
            advice="pass validation_data as before, or leave the history out",
        )
