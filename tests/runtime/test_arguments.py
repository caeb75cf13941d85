"""Arguments of `fit` and `evaluate`: those of Keras, each of the right kind, and data from anywhere."""

import warnings

import fake_network
import numpy as np
import pytest

from runtime.callbacks import EarlyStopping
from runtime.errors import DataError, TrainingError
from runtime.evaluation import evaluate
from runtime.trainer import fit


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({name: value}, f"{name} makes no sense")
        for name in ("batch_size", "epochs", "initial_epoch", "steps_per_epoch", "accumulate")
        for value in (2.0, "2", True, -1)
    ]
    + [
        ({"epochs": None}, "epochs makes no sense"),
        ({"validation_batch_size": 0}, "validation_batch_size makes no sense"),
        ({"shuffle_seed": 1.5}, "shuffle_seed makes no sense"),
        ({"history": {}}, "(?s)history makes no sense.*an earlier fit"),
        ({"validation_split": "0.1"}, "validation_split makes no sense"),
        ({"ema": "0.9"}, "ema makes no sense"),
        ({"verbose": 3}, "verbose makes no sense"),
        ({"shuffle": "batch"}, "shuffle makes no sense"),
        ({"validation_data": ([[0.0]], [0])}, r"(?s)validation_data makes no sense.*np\.asarray"),
        ({"validation_data": np.ones(3)}, "validation_data makes no sense"),
    ],
    ids=repr,
)
def test_arguments_of_another_kind(arguments, words):
    """Said before anything is computed, not by what breaks on them."""
    x, y = fake_network.small_images(20)
    network = fake_network.Network()
    with pytest.raises(TrainingError, match=words):
        fit(network, x, y, **{"verbose": 0, **arguments})
    assert network.step == 0


def test_arguments_as_keras_has_them(capsys):
    x, y = fake_network.small_images(20)
    options = {"callbacks": None, "validation_split": 0.2, "validation_batch_size": None}
    fit(fake_network.Network(), x, y, verbose="auto", batch_size=np.int64(4), **options)
    assert "epoch 1/1" in capsys.readouterr().out
    assert fit(fake_network.Network(), x, y, 4, 2, verbose=0).epoch == [0, 1]
    with pytest.raises(DataError, match="labels do not fit the model"):
        fit(fake_network.Network(), x, y[:, None, None, None].repeat(2, 1))


@pytest.mark.parametrize("callbacks", [EarlyStopping(), [EarlyStopping(), object()]])
def test_callbacks_that_are_none_are_named_by_their_kind(callbacks):
    words = r"a list of callbacks(.|\n)*found: +a (EarlyStopping|list with a object)$"
    with pytest.raises(TrainingError, match=words):
        fit(fake_network.Network(), *fake_network.small_images(20), callbacks=callbacks, verbose=0)


def test_steps_beyond_the_data_are_warned_of():
    x, y = fake_network.small_images(20)
    with pytest.warns(UserWarning, match="ran out after 5 updates: steps_per_epoch asks for 6"):
        fit(fake_network.Network(), x, y, batch_size=4, steps_per_epoch=6, verbose=0)
    with pytest.warns(UserWarning, match="ran out after 3 updates: steps_per_epoch asks for 4"):
        fit(fake_network.Network(), pairs_of(x, y, 8), steps_per_epoch=4, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(fake_network.Network(), x, y, batch_size=4, steps_per_epoch=5, verbose=0)
        fit(fake_network.Network(), pairs_of(x, y, 8), steps_per_epoch=3, verbose=0)


def pairs_of(x, y, size):
    return [(x[k : k + size], y[k : k + size]) for k in range(0, len(x), size)]


@pytest.mark.parametrize("kind", ["list", "function", "object"])
def test_held_out_data_from_anywhere(kind):
    """Pairs of arrays, each a batch, as those that are trained on: what is measured is that of the arrays."""
    x, y = fake_network.small_images(50)
    held = pairs_of(x[30:], y[30:], 8)

    class Loader:
        def __iter__(self):
            return iter(held)

    given = {"list": held, "function": lambda epoch: iter(held), "object": Loader()}[kind]
    networks = [fake_network.Network(seed=1) for _ in range(2)]
    options = {"epochs": 2, "batch_size": 8, "verbose": 0, "validation_batch_size": 8}
    found = fit(networks[0], x[:30], y[:30], validation_data=given, **options)
    expected = fit(networks[1], x[:30], y[:30], validation_data=(x[30:], y[30:]), **options)
    assert found.history == expected.history and len(found.history["val_loss"]) == 2
    assert evaluate(networks[0], given) == evaluate(networks[1], x[30:], y[30:], 8)


def test_batches_by_number_are_advised():
    """As a Sequence of Keras has them; a label that is wrong is counted in its batch."""
    x, y = fake_network.small_images(20)

    class Sequence:
        def __len__(self):
            return 2

        def __getitem__(self, number):
            return x[10 * number :][:10], y[10 * number :][:10]

    given = Sequence()
    with pytest.raises(TrainingError, match=r"x\[k\] for k in range\(len\(x\)\)"):
        fit(fake_network.Network(), given, verbose=0)
    fit(fake_network.Network(), lambda epoch: (given[k] for k in range(len(given))), verbose=0)
    with pytest.raises(DataError, match=r"(?s)batch 1 labels do not fit.*10 of 10; the first at sample 0"):
        fit(fake_network.Network(), [(x[:10], y[:10] + 10)], verbose=0)


def test_an_iterator_that_has_ended_is_said():
    x, y = fake_network.small_images(20)
    with pytest.raises(DataError, match="an iterator ends once and for all"):
        fit(
            fake_network.Network(),
            *(x, y),
            epochs=2,
            verbose=0,
            validation_data=iter(pairs_of(x, y, 8)),
        )
