"""What a callback is, and the running training that it sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.averages import Averages
from runtime.batches import Batch
from runtime.distributed.exchange import Share
from runtime.distributed.group import Group
from runtime.history import History
from runtime.interface import ModelInterface
from runtime.loss_means import countings, put_together, taken_apart

Logs = Mapping[str, float]


@dataclass
class Training:
    """A running `fit`, for callbacks, which know it as `self.training` and, as in Keras, as `self.model`.

    `epoch` counts from 0; `samples` is how many samples of it have been visited, and `means` the means of
    their losses so far; `stop_training` ends the run after this epoch. `accumulate` batches of `batch_size`
    make an update; `averages` are those of the parameters, where there are any. What else is asked of it is
    asked of the network, and set there: `self.model.predict(x)`, `self.model.learning_rate = 0.01`.
    """

    network: Any
    interface: ModelInterface
    epochs: int
    batch_size: int
    history: History
    epoch: int
    callbacks: Sequence[Callback] = ()
    samples: int = 0
    loss: float = 0.0
    """The sum of their losses, without those that have labels of their own some of which do not count."""
    losses: dict[str, float] = field(default_factory=dict)
    """The sum of each loss that has a name."""
    stop_training: bool = False
    accumulate: int = 1
    averages: Averages | None = None
    batch: int = 0
    """Updates of this epoch so far."""
    augment: str | None = None
    counted: int = 0
    """Of how many numbers `loss` is the sum: `samples`, or their labels that are not ignored."""
    counts: dict[str, int] = field(default_factory=dict)
    """The same of each of `losses` that has a number of its own."""
    group: Group | None = None
    """The processes that train together, where there are several."""
    share: Share | None = None
    """How they add up gradients, where each computes a part of every batch as a batch of its own."""
    current: Batch | None = None
    """What the update at hand is computed from."""
    quantities: tuple[str, ...] = ()
    """What the history will hold of each epoch, where that is known."""

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "network"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What is no field of a training is the network's: `self.model.learning_rate = 0.01`."""
        if name in type(self).__dataclass_fields__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.network, name, value)

    @property
    def means(self) -> dict[str, float]:
        """The mean losses of this epoch so far, "loss" and those with names, each over what it counts."""
        sums = {"loss": self.loss, **self.losses}
        counts = {name: max(self.counts.get(name, self.counted), 1) for name in sums}
        return put_together({name: total / counts[name] for name, total in sums.items()}, self.interface)

    def count(self, values: Mapping[str, float], batch: Batch) -> None:
        """Add the mean losses of a batch, "loss" and those with names, to what was visited."""
        counts = {name: batch.counted(counting) for name, counting in countings(self.interface).items()}
        parts = taken_apart(values, self.interface)
        count = counts.pop("loss")
        self.loss += parts.pop("loss") * count
        for name, value in parts.items():
            self.losses[name] = self.losses.get(name, 0.0) + value * counts.get(name, count)
        for name, own in counts.items():
            self.counts[name] = self.counts.get(name, 0) + own
        self.samples += len(batch)
        self.counted += count

    @property
    def callback_states(self) -> dict[str, dict[str, Any]]:
        """What the callbacks have to remember, by the names that a checkpoint stores it under."""
        named = zip(state_names(self.callbacks), self.callbacks, strict=True)
        return {name: state for name, callback in named if (state := callback.state())}


class Callback:
    """Base of all callbacks: override what you need. The names and arguments are those of Keras.

    `logs` of an epoch holds the quantities in the history and also "seconds" (of training, without the
    evaluation) and "samples_per_second", which are kept out of the history so that equal runs have equal
    histories. `logs` of a batch holds "loss", the mean over this batch.
    """

    training: Training
    params: Mapping[str, Any]
    stops_where_not_finite = False
    """Whether a loss that is no number ends the training without an error."""
    first_rank_only = False
    """Whether of processes that train together the first alone has it: what writes, not what decides."""
    verbose = 0
    """Whether it says what it does."""

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Told before anything else: "epochs", "steps" (batches an epoch), "verbose"."""
        self.params = params

    def set_model(self, model: Training) -> None:
        """Told before the training begins what is trained."""
        self.training = model

    @property
    def model(self) -> Training:
        """The running training, under the name that Keras has for what is trained."""
        return self.training

    def say(self, sentence: str) -> None:
        """A line of the epoch at hand, where it is `verbose`; of several processes the first says it."""
        group = self.training.group
        if self.verbose and (group is None or group.first):
            print(f"epoch {self.training.epoch + 1}: {sentence}", flush=True)

    def state(self) -> dict[str, Any]:
        """What this callback has to remember when a run is resumed: JSON's numbers, texts and lists."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned. Raises KeyError, TypeError or ValueError where it does not fit."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before each epoch; again where a run goes on in the middle of one."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before each update; `batch` counts from 0 in the epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After each update."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_begin`, which calls it."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_end`, which calls it."""

    def on_not_finite(self, logs: Logs | None = None) -> None:
        """Where a loss or a weight is no number, before the network is put back to where the epoch began."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before the held-out data are evaluated."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before each batch of held-out data, counted from 0; of several processes each has some of them."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Afterwards, with the losses of this batch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Afterwards, with what was measured."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After each epoch, once its values are in the history."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, unless an exception ended the training."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Never in a training, which predicts nothing; a callback of Keras may have it."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """As `on_predict_begin`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """As `on_predict_begin`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """As `on_predict_begin`."""


def overriding(callbacks: Iterable[Callback], hook: str, *aliases: str) -> tuple[Any, ...]:
    """The hooks of that name that do anything: what is called after every batch costs nothing otherwise.

    One that is only written under another name, of `aliases`, is called by the plain hook."""
    return tuple(
        getattr(one, hook) for one in callbacks if any(_overrides(one, name) for name in (hook, *aliases))
    )


def _overrides(callback: Callback, hook: str) -> bool:
    """Whether its class, or somebody who set it in the object, has written a hook."""
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def uncalled(callback: Callback) -> list[str]:
    """What it can do under the name of a hook that there is not, so that nobody calls it."""
    names = (name for name in dir(callback) if name.startswith("on_") and not hasattr(Callback, name))
    return [name for name in names if callable(getattr(callback, name))]


def state_names(callbacks: Iterable[Callback]) -> list[str]:
    """A name for each callback: its class, and a number from the second of a class on."""
    counts: dict[str, int] = {}
    names = []
    for callback in callbacks:
        kind = type(callback).__name__
        counts[kind] = counts.get(kind, 0) + 1
        names.append(kind if counts[kind] == 1 else f"{kind} {counts[kind]}")
    return names
