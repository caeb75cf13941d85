"""`fit`: the training loop. Order of samples, results and errors are the same for any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from operator import itemgetter
from typing import Any, Literal

import numpy as np

from runtime.augmentation import Augmentation, augmented
from runtime.averages import Averages
from runtime.batches import ArrayBatches, Batches, IterableBatches, warn_of_fewer
from runtime.callbacks.base import Callback, Training, state_names
from runtime.checkpoint import TrainingState
from runtime.checks import (
    check_accumulated,
    check_arguments,
    check_callbacks,
    check_history,
    check_iterable,
    check_resumed,
    quantities,
)
from runtime.defaults import EVALUATION_BATCH_SIZE, TRAIN_BATCH_SIZE
from runtime.distributed.exchange import Share
from runtime.distributed.group import failing_together
from runtime.distributed.launch import find_group
from runtime.distributed.network import SharedNetwork, begin_alike
from runtime.distributed.ranks import Ranks
from runtime.epochs import Course, Held, run_epoch
from runtime.errors import TrainingError
from runtime.example_states import check_one_by_one, check_whole_batches, warn_of_shuffling
from runtime.given import Arrays, each, examples_of, is_arrays
from runtime.history import History
from runtime.interface import ModelInterface
from runtime.loss_means import taken_apart
from runtime.tensors import taken
from runtime.updates import own_positions
from runtime.weighing import weights_of


def fit(
    network: Any,
    x: Arrays | Iterable[Any] | Callable[[int], Iterable[Any]],
    y: Arrays = None,
    batch_size: int | None = None,
    epochs: int = 1,
    *,
    verbose: int | Literal["auto"] = 1,
    callbacks: Sequence[Callback] | None = (),
    validation_split: float = 0.0,
    validation_data: Any = None,
    sample_weight: np.ndarray | None = None,
    class_weight: Mapping[int, float] | None = None,
    shuffle: bool = True,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_batch_size: int | None = EVALUATION_BATCH_SIZE,
    accumulate: int | None = None,
    ema: float | None = None,
    augment: Augmentation | str | None = None,
    shuffle_seed: int | None = None,
    history: History | None = None,
    resume: TrainingState | None = None,
    interface: ModelInterface | None = None,
    ranks: Ranks = "ordered",
) -> History:
    """Train a Network of a generated module on x (N, *INPUT_SHAPE) and y (N,) or (N, *OUTPUT_SHAPE).

    Of a model with several inputs or labels, x or y is a tuple of arrays or a dictionary by name; y is None
    where there is no label. Tensors of PyTorch and tables of pandas are as good as arrays (see
    `runtime.tensors`). The arguments are those of Keras. Epochs `initial_epoch` … `epochs` - 1 are run,
    in batches of `batch_size` (128). Samples are visited in an order given by (`shuffle_seed`, epoch), the
    seed of the network by default, or as they lie without `shuffle`; the last batch of an epoch may be
    smaller.
    `steps_per_epoch` ends an epoch after so many updates.

    With `accumulate` the gradients of so many batches make one update, by their mean, as one large batch
    would; callbacks see a batch for each update. `ema`, such as 0.999, keeps averages of all parameters (see
    `runtime.averages`): they are what is evaluated, and what the network has in the end.

    Instead of arrays, x alone may be anything that gives pairs (x, y) anew for each epoch, such as a list of
    them or a `torch.utils.data.DataLoader`, or a function of the epoch that returns such: each pair is a
    batch. `augment`, an `Augmentation` or its text, changes the images of each batch while the one before is
    trained on.

    `validation_data` (x, y), or the last `validation_split` of x and y, which is then not trained on, is
    evaluated after each epoch; it may be (x, y, sample_weight), or give such pairs as x alone does.
    `verbose` 0 prints nothing, 1 or "auto" a bar on standard error (if a terminal) and one line for each
    epoch on standard output, 2 the lines alone.

    `sample_weight` (N,) multiplies what each sample has in the loss, and `class_weight` does by its class, in
    a model that takes them, `Model(…, sample_weight=True)`. As in Keras, the loss is divided by the number of
    samples all the same.

    To go on from a checkpoint: `fit(…, resume=load_checkpoint(network, path).state)`, in the middle of an
    epoch too; the result has the bits of an uninterrupted run. It says then what `batch_size` is, where to
    begin, and what the history and the callbacks knew.

    Where `mpiexec` has started several processes, all call this with the same arguments, and train one
    network together: `ranks` "ordered" has the bits of one process, "unordered" adds up as it comes, in
    "each" what a layer computes over a batch is of each process's part of it, and "alone" trains in each
    process by itself. See docs/distributed.md.

    Returns the history: "loss" (mean over the epoch, while training), "learning_rate", and with validation
    data "val_loss" and for classifiers "val_accuracy" and "val_accuracy_error" (see `Evaluation`). Losses
    with names are in it beside their sum, "digit_loss" and "val_digit_loss".

    Raises DataError when the arrays do not fit the model. Raises TrainingError when an argument makes no
    sense, and when the loss, a parameter or the optimizer state is no longer finite; `network` is then as it
    was before that epoch.
    """
    interface = interface or ModelInterface.of_network(network)
    group = find_group(ranks)
    callbacks = () if callbacks is None else callbacks
    check_callbacks(callbacks)
    if validation_batch_size is None:
        validation_batch_size = EVALUATION_BATCH_SIZE
    augment = Augmentation.parsed(augment) if isinstance(augment, str) else augment
    asked = {"batch_size": batch_size, "accumulate": accumulate, "ema": ema}
    check_resumed(network, resume, **asked, augment=None if augment is None else str(augment))
    begin = resume or TrainingState(initial_epoch, 0, 0, 0.0, TRAIN_BATCH_SIZE)
    batch_size = begin.batch_size if batch_size is None else batch_size
    accumulate = begin.accumulate if accumulate is None else accumulate
    check_arguments(
        batch_size=batch_size,
        accumulate=accumulate,
        epochs=epochs,
        initial_epoch=initial_epoch,
        steps_per_epoch=steps_per_epoch,
        validation_batch_size=validation_batch_size,
        verbose=verbose,
        shuffle=shuffle,
        shuffle_seed=shuffle_seed,
        history=history,
    )
    check_accumulated(interface, accumulate, of_ranks=group is not None and group.apart)
    check_one_by_one(network, accumulate, together=group is not None)
    weights = None
    x, y = taken(interface, x, y, "training")
    if is_arrays(x):
        interface.check_pair(x, y, "training")
        weights = weights_of(interface, y, sample_weight, class_weight, examples_of(x))
    else:
        check_iterable(x, y, asked["batch_size"], validation_split, sample_weight)
    x, y, weights, validation = _held_out(interface, x, y, weights, validation_split, validation_data)
    if validation is not None and is_arrays(validation[0]):
        interface.check_pair(*validation[:2], "validation")
    if group is not None:
        begin_alike(network, group)
        network = network if group.apart else SharedNetwork(network, group)
        verbose = verbose if group.first else 0
        callbacks = [one for one in callbacks if group.first or not one.first_rank_only]
    if history is None:
        history = History.restored(begin.epoch, begin.history)
    training = Training(
        network,
        interface,
        epochs,
        batch_size,
        history,
        begin.epoch,
        callbacks,
        begin.samples,
        begin.loss,
        accumulate=accumulate,
        averages=_averages(network, begin, ema),
        batch=begin.samples // (batch_size * accumulate),
        augment=begin.augment if augment is None else str(augment),
        group=group,
        share=Share(group) if group is not None and group.apart else None,
        quantities=quantities(interface, validation is not None),
    )
    _go_on_counting(training, begin)
    check_history(training)
    seed = network.seed if shuffle_seed is None else shuffle_seed
    needed = partial(own_positions, network, training.share)
    batches: Batches
    if is_arrays(x):
        size, count = batch_size * accumulate, examples_of(x)
        steps = -(-count // size)
        if steps_per_epoch is not None:
            warn_of_fewer(steps, steps_per_epoch)
            steps = min(steps, steps_per_epoch)
        order = seed if shuffle else None
        check_whole_batches(network, min(count, steps * size), size)
        warn_of_shuffling(network, count, size, shuffle=shuffle)
        batches = ArrayBatches(x, y, min(count, steps * size), size, order, weights, batch_size, needed)
    else:
        steps = steps_per_epoch
        batches = IterableBatches(x, interface, class_weight, accumulate, steps)
    if training.augment:
        batches = augmented(batches, Augmentation.parsed(training.augment), interface, seed, needed)
    _tell_callbacks(training, {"epochs": epochs, "steps": steps, "verbose": verbose}, begin)
    course = Course(batches, validation, validation_batch_size)
    with failing_together(group):
        for callback in callbacks:
            callback.on_train_begin()
        for epoch in range(begin.epoch, epochs):
            training.epoch = epoch
            run_epoch(training, course, 1 if verbose == "auto" else verbose)
            if training.stop_training:
                break
        if training.averages is not None:
            training.averages.put_in()
        for callback in callbacks:
            callback.on_train_end()
    return training.history


def _go_on_counting(training: Training, begin: TrainingState) -> None:
    """The sums of a checkpoint. Older ones have each loss by what all of them count, and all in one."""
    training.losses = dict(begin.losses)
    training.counted = begin.samples if begin.counted is None else begin.counted
    training.counts = dict(begin.counts)
    if begin.samples and not begin.counts and training.interface.counted:
        training.counts = dict.fromkeys(training.interface.counted, training.counted)
        sums = {**training.losses, "loss": training.loss}
        training.loss = taken_apart(sums, training.interface)["loss"]


def _averages(network: Any, begin: TrainingState, ema: float | None) -> Averages | None:
    """New averages of all parameters, or those that a checkpoint holds; None where nobody wants any."""
    decay = begin.ema if ema is None else ema
    if decay is None:
        return None
    averages = Averages(network, decay)
    averages.restore(begin.averages, begin.ema_updates)
    return averages


def _held_out(
    interface: ModelInterface, x: Arrays, y: Arrays, weights: np.ndarray | None, split: float, given: Any
) -> tuple[Arrays, Arrays, np.ndarray | None, Held | None]:
    """x, y, weights, and what is held out of them: the last samples, as they lie, or what is `given`.

    Raises TrainingError, DataError."""
    if given is not None:
        pairs = _gives_pairs(given)
        if not pairs and (not isinstance(given, list | tuple) or len(given) not in (2, 3)):
            raise TrainingError(
                "validation_data makes no sense",
                expected="(x, y) or (x, y, sample_weight), or what can be iterated and gives such pairs",
                found=f"{type(given).__name__}",
            )
        if not pairs:
            given = (*taken(interface, *given[:2], "validation"), *given[2:])
        if not pairs and not is_arrays(given[0]):
            raise TrainingError(
                "validation_data makes no sense",
                expected="arrays",
                found=f"a {type(given[0]).__name__} for x",
                advice="(np.asarray(x), np.asarray(y))",
            )
        return x, y, weights, (given, None, None) if pairs else (*given, *(None,) * (3 - len(given)))
    if not isinstance(split, Real):
        raise TrainingError("validation_split makes no sense", expected="a number", found=repr(split))
    if split == 0.0:
        return x, y, weights, None
    count = examples_of(x)
    kept = int(count * (1.0 - split)) if 0.0 < split < 1.0 else 0
    if not 0 < kept < count:
        raise TrainingError(
            "validation_split makes no sense",
            expected="a fraction between 0 and 1 that leaves samples on both sides",
            found=f"{split} of {count:,} samples",
        )
    parts = slice(None, kept), slice(kept, None)
    first, last = (tuple(each(itemgetter(part), all_of) for all_of in (x, y, weights)) for part in parts)
    return *first, last


def _gives_pairs(given: Any) -> bool:
    """Whether this is no array, and no tuple of arrays, but gives such, each a batch."""
    if isinstance(given, list):
        return bool(given) and all(isinstance(one, tuple) for one in given)
    return (callable(given) or isinstance(given, Iterable)) and not (
        isinstance(given, tuple | Mapping | str) or hasattr(given, "__array__")
    )


def _tell_callbacks(training: Training, params: Mapping[str, Any], begin: TrainingState) -> None:
    """Who they belong to, and what they knew. Raises TrainingError where a state is not the callback's."""
    for name, callback in zip(state_names(training.callbacks), training.callbacks, strict=True):
        callback.set_params(params)
        callback.set_model(training)
        if name not in begin.callbacks:
            continue
        try:
            callback.restore(begin.callbacks[name])
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"the checkpoint holds no state that the callback {name} takes",
                found=f"{begin.callbacks[name]!r}: {type(error).__name__}: {error}",
                advice="the callbacks of the earlier run, in their order",
            ) from error
