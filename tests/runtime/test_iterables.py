"""Training on batches that come from elsewhere, and on images that are changed in each epoch."""

import threading
import time

import fake_network
import numpy as np
import pytest
from quiet import bits

from runtime.augmentation import Augmentation
from runtime.callbacks import Callback, ModelCheckpoint
from runtime.checkpoint import load_checkpoint
from runtime.errors import DataError, TrainingError
from runtime.prefetch import prefetched
from runtime.shuffle import permutation
from runtime.trainer import fit

X, Y = fake_network.small_images(100)
HELD_OUT = fake_network.small_images(30, seed=1)
EVERYTHING = Augmentation(shift=0.1, rotate=15, zoom=0.1, flip=True, noise=0.05, cutout=0.3)


class Loader:
    """As a DataLoader: batches of 16, shuffled anew for each epoch that it is told of."""

    def __init__(self, kind=list):
        self.epoch, self.kind = 0, kind

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        order = permutation(100, 5, self.epoch)
        for begin in range(0, 100, 16):
            rows = order[begin : begin + 16]
            yield self.kind([X[rows], Y[rows].astype(np.int64)])


class Tensor:
    """What NumPy can read, and is no array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def quiet_fit(network, x, y=None, **options):
    return fit(network, x, y, verbose=0, validation_data=HELD_OUT, **options)


def of_epoch(epoch):
    loader = Loader()
    loader.set_epoch(epoch)
    return ([Tensor(part) for part in pair] for pair in loader)


@pytest.mark.parametrize("source", [Loader(), Loader(tuple), of_epoch], ids=["lists", "tuples", "function"])
def test_batches_from_elsewhere_are_as_good(source):
    plain, network = fake_network.Network(), fake_network.Network()
    one = quiet_fit(plain, X, Y, batch_size=16, shuffle_seed=5, epochs=2)
    other = quiet_fit(network, source, epochs=2)
    assert bits(plain) == bits(network) and one.history == other.history


def test_several_make_an_update():
    plain, network = fake_network.Network(), fake_network.Network()
    quiet_fit(plain, X, Y, batch_size=16, accumulate=2, shuffle_seed=5)
    quiet_fit(network, Loader(), accumulate=2)
    assert bits(plain) == bits(network) and network.step == 4


class Stopped(Exception):
    pass


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == self.step:
            raise Stopped


@pytest.mark.parametrize("step", [1, 6, 7, 10])
@pytest.mark.parametrize("x", [X, Loader()], ids=["arrays", "batches"])
def test_a_run_goes_on_with_the_same_images(tmp_path, x, step):
    """With augmentation, in the middle of an epoch, and what was done is in the checkpoint."""
    y, sizes = (Y, {"batch_size": 16}) if x is X else (None, {})
    straight, first, second = (fake_network.Network(seed=seed) for seed in (7, 7, 0))
    whole = quiet_fit(straight, x, y, epochs=2, augment=EVERYTHING, **sizes)
    with pytest.raises(Stopped):
        saver = ModelCheckpoint(tmp_path / "file", save_freq=1)
        quiet_fit(first, x, y, epochs=2, augment=EVERYTHING, callbacks=[saver, Stop(step)], **sizes)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
    state = load_checkpoint(second, tmp_path / "file").state
    assert Augmentation.parsed(state.augment) == EVERYTHING
    continued = quiet_fit(second, x, y, epochs=2, resume=state)
    assert bits(second) == bits(straight) and continued == whole
    with pytest.raises(TrainingError, match="another augmentation"):
        load_checkpoint(second, tmp_path / "file")
        quiet_fit(second, x, y, epochs=2, resume=state, augment="flip")


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (X, {}, DataError, "labels are not those that the model takes"),
        (3, {}, TrainingError, "x makes no sense"),
        (Loader(), {"batch_size": 3}, TrainingError, "each pair of x is a batch"),
        ([], {}, DataError, "no batches in epoch 1"),
        (iter(Loader()), {"epochs": 2}, DataError, "no batches in epoch 2"),
        ([(X,)], {}, DataError, "is no pair"),
        ([(X, Y), (X, Y + 7)], {}, DataError, "batch 2 labels do not fit"),
        ([(X[:, :5], Y)], {}, DataError, "inputs of batch 1 do not fit"),
    ],
)
def test_what_is_no_batch(x, options, error, message):
    with pytest.raises(error, match=message):
        quiet_fit(fake_network.Network(), x, **options)


def test_an_epoch_of_so_many_updates():
    network = fake_network.Network()
    quiet_fit(network, Loader(), steps_per_epoch=3, epochs=2)
    assert network.step == 6


def test_prefetching_keeps_order_and_errors():
    assert list(prefetched(iter(range(50)))) == list(range(50))
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number
        raise Stopped

    ahead = prefetched(items())
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.05)
    assert len(made) <= 6, "not more than a few are made ahead"
    ahead.close()
    with pytest.raises(Stopped):
        list(prefetched(items()))


def images(dtype=np.uint8):
    values = np.random.Philox(key=3).random_raw(6 * 12 * 10 * 2).reshape(6, 12, 10, 2)
    return (values % 256).astype(dtype)


@pytest.mark.parametrize(
    "change",
    [EVERYTHING, *(Augmentation(**{name: value}) for name, value in vars(EVERYTHING).items() if value)],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_image_is_changed_alike_in_whatever_batch(change, dtype):
    whole = change.apply(images(dtype), 1, 2, 10)
    assert whole.shape == (6, 12, 10, 2) and whole.dtype == dtype
    parts = [change.apply(images(dtype)[:2], 1, 2, 10), change.apply(images(dtype)[2:], 1, 2, 12)]
    assert np.array_equal(np.concatenate(parts), whole)
    for some in ([4, 1, 3], [0], []):
        at = np.array(some, int)
        assert np.array_equal(change.apply(images(dtype)[at], 1, 2, 10, at), whole[at]), "a process's own"
    assert not np.array_equal(whole, images(dtype))
    assert not np.array_equal(whole, change.apply(images(dtype), 1, 3, 10)), "another epoch"
    assert not np.array_equal(whole, change.apply(images(dtype), 2, 2, 10)), "another seed"
    assert Augmentation.parsed(str(change)) == change


def test_changes_are_what_they_are_called():
    spot = np.zeros((500, 21, 21, 1), np.float32)
    spot[:, 10, 10] = 1
    shifted = Augmentation(shift=0.2).apply(spot, 0, 0, 0)
    down, right = (shifted[..., 0].sum(axis=axis) @ np.arange(21) - 10 for axis in (2, 1))
    for move in (down, right):
        assert np.abs(move).max() <= 4.2 and np.abs(move).max() > 3.8 and abs(move.mean()) < 0.5
    assert np.allclose(Augmentation(rotate=30).apply(spot, 0, 0, 0)[:, 10, 10], 1), "around the centre"
    edge = np.zeros((500, 21, 21, 1), np.float32)
    edge[:, 10, 18] = 1
    turned = Augmentation(rotate=30).apply(edge, 0, 0, 0)[..., 0]
    y, x = (turned.sum(axis=axis) @ np.arange(21) / turned.sum(axis=(1, 2)) - 10 for axis in (2, 1))
    angles = np.rad2deg(np.arctan2(y, x))
    assert np.abs(angles).max() == pytest.approx(30, abs=3) and np.allclose(np.hypot(y, x), 8, atol=0.6)
    zoomed = Augmentation(zoom=0.25).apply(edge, 0, 0, 0)[..., 0]
    x = zoomed.sum(axis=1) @ np.arange(21) / zoomed.sum(axis=(1, 2)) - 10
    assert x.min() == pytest.approx(6, abs=0.5) and x.max() == pytest.approx(10, abs=0.5)
    flipped = Augmentation(flip=True).apply(edge, 0, 0, 0)
    assert 200 < (flipped[:, 10, 2, 0] == 1).sum() < 300
    noisy = Augmentation(noise=0.1).apply(spot, 0, 0, 0) - spot
    assert noisy.std() == pytest.approx(0.1, rel=0.02) and abs(noisy.mean()) < 0.002
    cut = Augmentation(cutout=0.5, fill=9.0).apply(spot, 0, 0, 0)
    inside = (cut == 9).sum(axis=(1, 2, 3))
    assert inside.max() == 11**2 or inside.max() == 10 * 11 or inside.max() == 100


@pytest.mark.parametrize("text", ["shift=2", "rotate=x", "blur", "noise=nan", "zoom=-1"])
def test_what_is_no_augmentation(text):
    with pytest.raises(TrainingError, match="augmentation"):
        Augmentation.parsed(text)
    table = fake_network.make_module("fake_table", INPUT_SHAPE=(5,)).Network()
    with pytest.raises(DataError, match="takes no images"):
        fit(table, np.zeros((9, 5), np.float32), np.zeros(9, int), verbose=0, augment="flip")
