"""Examples that are read when they are asked for: the same values, and none is read in vain."""

import os
import types

import fake_network
import numpy as np
import pytest
from PIL import Image
from quiet import bits

from runtime.augmentation import Augmentation, augmented
from runtime.batches import ArrayBatches, Batch
from runtime.data.folders import load_images
from runtime.distributed.exchange import Share
from runtime.distributed.network import SharedNetwork
from runtime.errors import DataError
from runtime.evaluation import evaluate
from runtime.finding import find_learning_rate
from runtime.interface import ModelInterface
from runtime.on_demand import OnDemand
from runtime.trainer import fit
from runtime.updates import own_positions
from runtime.weights import identity_of

X, Y = fake_network.small_images(100)
IMAGES = ModelInterface.of_module(fake_network)


def recorded(x=X):
    """Examples, and a list that fills with the numbers of those that are read."""
    seen = []

    def read(numbers):
        seen.extend(numbers.tolist())
        return x[numbers]

    return OnDemand.of(read, x.shape, x.dtype), seen


def test_it_stands_for_the_array():
    examples, seen = recorded()
    assert (len(examples), examples.shape, examples.dtype, examples.ndim) == (100, X.shape, X.dtype, 4)
    flat = examples.reshape(100, 784)
    assert seen == [] and not examples.complete
    assert np.array_equal(flat[[7, 3]], X[[7, 3]].reshape(2, 784)) and seen == [7, 3]
    part = examples[5:9]
    assert len(part) == 4 and seen == [7, 3]
    assert np.array_equal(part, X[5:9]) and seen == [7, 3, 5, 6, 8]
    assert np.array_equal(np.asarray(examples), X) and examples.complete
    assert sorted(seen) == list(range(100))


def test_each_is_read_once_and_ahead():
    """The batch that is taken and those behind it, of an epoch of which the beginning has been visited."""
    examples, seen = recorded()
    for epoch in range(2):
        found = [batch.inputs for batch in ArrayBatches(examples, Y, 100, 16, 3).batches(epoch, 32)]
        expected = [batch.inputs for batch in ArrayBatches(X, Y, 100, 16, 3).batches(epoch, 32)]
        assert all(map(np.array_equal, found, expected)) and len(found) == 5
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    "options", [{}, {"augment": "shift=0.1,flip"}, {"accumulate": 2}, {"validation_split": 0.2}]
)
def test_the_bits_of_a_training_from_memory(options):
    networks = []
    for x in (X, recorded()[0]):
        networks.append(fake_network.Network(seed=1))
        history = fit(networks[-1], x, Y, batch_size=16, epochs=2, verbose=0, **options)
    assert bits(networks[0]) == bits(networks[1]) and history.history["loss"]


def test_evaluation_reads_batch_by_batch():
    examples, seen = recorded()
    network = fake_network.Network(seed=1)
    assert evaluate(network, examples, Y, 32) == evaluate(network, X, Y, 32) and seen == list(range(100))


def test_a_rate_is_found():
    examples, seen = recorded()
    found, expected = (
        find_learning_rate(fake_network.Network(seed=1), x, Y, steps=4, batch_size=16) for x in (examples, X)
    )
    assert found.losses == expected.losses and 0 < len(seen) <= 100


class Four:
    """A network that shares out a batch of four as two processes have it."""

    def examples_of(self, share, count):
        return np.flatnonzero(np.arange(count) % 2 == share.rank)


def test_a_process_reads_the_rows_that_it_computes():
    rows = np.array([9, 4, 7, 1, 8])
    group = types.SimpleNamespace(rank=1, ranks=2, ordered=True)
    batch = Batch(X, Y, rows)

    def own(network, share, batch):
        return rows[own_positions(network, share, batch)].tolist()

    assert own(SharedNetwork(Four(), group), None, batch) == [4, 1]
    in_parts = Batch(X, Y, rows, part_size=3)
    assert own(SharedNetwork(Four(), group), None, in_parts) == [4, 8]
    share = Share(group)
    assert own(Four(), share, batch) == [7, 1, 8]
    assert own(Four(), share, Batch(X, Y, rows[:1])) == [9]
    assert own(Four(), None, batch) == rows.tolist()


def test_a_process_augments_what_it_computes():
    examples, seen = recorded()

    def own(batch):
        return np.arange(1, len(batch), 3)

    made = ArrayBatches(examples, Y, 100, 16, 3, needed=own)
    change = Augmentation(shift=0.1, noise=0.1)
    found = list(augmented(made, change, IMAGES, 5, own).batches(1, 0))
    whole = list(augmented(ArrayBatches(X, Y, 100, 16, 3), change, IMAGES, 5).batches(1, 0))
    for some, every in zip(found, whole, strict=True):
        assert np.array_equal(some.x[own(some)], every.x[own(every)]) and len(some) == len(every)
    assert len(seen) == sum(len(own(batch)) for batch in whole) < 40


@pytest.fixture
def folder(tmp_path):
    for number in range(100):
        place = tmp_path / "images" / str(Y[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[number, :, :, 0]).save(place / f"{number:03}.png")
    return tmp_path / "images"


def test_images(folder):
    before, on_demand = (load_images(folder, IMAGES, on_demand=later) for later in (False, True))
    assert isinstance(on_demand.x_train, OnDemand) and identity_of(before) == identity_of(on_demand)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        assert np.array_equal(getattr(before, name), getattr(on_demand, name))
    Image.fromarray(X[0, :, :, 0] // 2).save(folder / "3" / "more.png")
    assert identity_of(load_images(folder, IMAGES, on_demand=True)) != identity_of(before)


def test_a_damaged_image_ends_the_training(folder):
    """When its batch is made, in words; a pipe with the name of an image is not waited for."""
    data = load_images(folder, IMAGES, on_demand=True)
    for path in folder.glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be read as an image"):
        fit(fake_network.Network(), data.x_train, data.y_train, verbose=0)
    os.mkfifo(folder / "3" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png cannot be read as an image\n.*FIFO"):
        load_images(folder, IMAGES, on_demand=True)
