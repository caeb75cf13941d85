"""The training loop: exact resume, every sample once, and clear words when something is wrong."""

import math

import fake_network
import numpy as np
import pytest
from quiet import bits, quietly

from runtime.batches import Batch
from runtime.callbacks import Callback, History, ModelCheckpoint
from runtime.checkpoint import load_checkpoint
from runtime.errors import DataError, TrainingError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface

X, Y = fake_network.small_images(100)
HELD_OUT = fake_network.small_images(30, seed=1)


class Recorder(fake_network.Network):
    """Remembers the batches it was given."""

    def __init__(self, **options):
        super().__init__(**options)
        self.batches = []

    def train_step(self, x, y, rows=None):
        self.batches.append((x[rows], y[rows]))
        return super().train_step(x, y, rows)


def test_it_learns():
    network = fake_network.Network()
    history = quietly(network, X, Y, epochs=8, validation_data=HELD_OUT)
    assert history.epoch == list(range(8))
    assert set(history.history) == {"loss", "learning_rate", "val_loss", "val_accuracy", "val_accuracy_error"}
    assert all(len(values) == 8 for values in history.history.values())
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert history.history["val_accuracy"][-1] > 0.9


def test_two_epochs_are_one_epoch_resumed_for_one(tmp_path):
    straight = fake_network.Network(seed=7)
    whole = quietly(
        straight, X, Y, epochs=2, validation_data=HELD_OUT, callbacks=[ModelCheckpoint(tmp_path / "straight")]
    )

    first = fake_network.Network(seed=7)
    quietly(
        first, X, Y, epochs=1, validation_data=HELD_OUT, callbacks=[ModelCheckpoint(tmp_path / "resumed")]
    )
    second = fake_network.Network(seed=0)
    state = load_checkpoint(second, tmp_path / "resumed").state
    continued = quietly(
        second,
        X,
        Y,
        epochs=2,
        initial_epoch=state.epoch,
        batch_size=state.batch_size,
        history=History.restored(state.epoch, state.history),
        validation_data=HELD_OUT,
        callbacks=[ModelCheckpoint(tmp_path / "resumed")],
    )
    assert bits(second) == bits(straight)
    assert second.step == straight.step == 14
    assert continued == whole
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "straight").read_bytes()


def test_held_out_by_a_fraction():
    network = Recorder()
    history = quietly(network, X, Y, validation_split=0.3)
    assert sum(len(y) for _, y in network.batches) == 70
    trained = {image.tobytes() for x, _ in network.batches for image in x}
    assert trained == {image.tobytes() for image in X[:70]}
    expected = evaluate(network, X[70:], Y[70:])
    assert history.history["val_loss"] == [expected.loss]


def test_as_the_samples_lie_and_only_some_batches():
    network = Recorder()
    quietly(network, X, Y, shuffle=False, steps_per_epoch=3)
    assert np.array_equal(np.concatenate([y for _, y in network.batches]), Y[:48])
    network = Recorder()
    with pytest.warns(UserWarning, match="ran out"):
        quietly(network, X, Y, shuffle=False, steps_per_epoch=99)
    assert np.array_equal(np.concatenate([y for _, y in network.batches]), Y)


def test_each_epoch_shows_every_sample_once_in_another_order():
    network = Recorder(seed=3)
    quietly(network, X, Y, epochs=2)
    assert [len(y) for _, y in network.batches] == 2 * [16, 16, 16, 16, 16, 16, 4]
    epochs = [np.concatenate([x for x, _ in network.batches[i : i + 7]]) for i in (0, 7)]
    labels = np.concatenate([y for _, y in network.batches[:7]])
    assert {image.tobytes() for image in epochs[0]} == {image.tobytes() for image in X}
    assert not np.array_equal(epochs[0], epochs[1])
    belongs = {image.tobytes(): label for image, label in zip(X, Y, strict=True)}
    assert all(belongs[image.tobytes()] == label for image, label in zip(epochs[0], labels, strict=True))


def test_the_order_can_have_a_seed_of_its_own():
    networks = [Recorder(seed=3) for _ in range(3)]
    for network, seed in zip(networks, (3, 4, None), strict=True):
        quietly(network, X, Y, shuffle_seed=seed)
    first, other, default = (np.concatenate([y for _, y in network.batches]).tolist() for network in networks)
    assert first == default != other


def test_the_reported_loss_is_the_mean_over_samples():
    class Constant(fake_network.Network):
        def train_step(self, x, y, rows=None):
            self.step += 1
            return float(len(rows))

    history = quietly(Constant(), X, Y)
    assert history.history["loss"] == [(6 * 16 * 16 + 4 * 4) / 100]


def test_any_layout_and_memory_map(tmp_path):
    expected = fake_network.Network()
    quietly(expected, X, Y)
    np.save(tmp_path / "x.npy", X)
    for x in (np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), np.repeat(X, 2, axis=0)[::2]):
        network = fake_network.Network()
        quietly(network, x, Y)
        assert bits(network) == bits(expected)


def test_real_targets():
    module = fake_network.make_module("fake_real", LABEL_KIND="real", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,))
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    y = x[:, :2] * np.float32(2)
    network = module.Network()
    history = quietly(network, x, y, epochs=20, validation_data=(x, y))
    assert set(history.history) == {"loss", "learning_rate", "val_loss"}
    assert history.history["val_loss"][-1] < 0.2 * history.history["val_loss"][0]
    result = evaluate(network, x, y)
    assert result.accuracy is None and result.accuracy_error is None


def test_evaluation_does_not_depend_on_the_batch_size():
    network = fake_network.Network()
    quietly(network, X, Y)
    whole = evaluate(network, *HELD_OUT)
    parts = evaluate(network, *HELD_OUT, batch_size=7)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (parts.accuracy, parts.samples) == (whole.accuracy, 30)
    p = whole.accuracy
    assert whole.accuracy_error == pytest.approx(math.sqrt(p * (1 - p) / 30))


@pytest.mark.parametrize("bad_step", [10, 7])
def test_divergence_is_named_and_undone(bad_step):
    """Step 10 is within the second epoch; step 7 ends the first with a finite loss but spoiled weights."""

    class Diverging(fake_network.Network):
        def train_step(self, x, y, rows=None):
            loss = super().train_step(x, y, rows)
            if self.step == bad_step:
                self.parameters["dense.bias"][0] = np.inf
                return math.nan if bad_step == 10 else loss
            return loss

    kept = []

    class Keep(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            kept.append((bits(self.training.network), self.training.network.step))

    network = Diverging()
    with pytest.raises(TrainingError) as caught:
        quietly(network, X, Y, epochs=3, callbacks=[Keep()])
    epoch, batch = (2, 3) if bad_step == 10 else (1, 7)
    assert f"epoch {epoch}, batch {batch} of it (update {bad_step})" in str(caught.value)
    assert "smaller learning rate (now 0.1)" in str(caught.value)
    assert (bits(network), network.step) == kept[epoch - 1]
    assert len(kept) == epoch


def test_nan_in_the_inputs_is_told_apart():
    x = X.astype(np.float32) / 255
    x[3, 0, 0, 0] = np.nan
    with pytest.raises(TrainingError, match="remove NaN and infinity from the training inputs"):
        quietly(fake_network.Network(), x, Y)
    with pytest.raises(TrainingError, match="after epoch 1, the loss on held-out data is nan"):
        quietly(fake_network.Network(), X, Y, validation_data=(x, Y))


@pytest.mark.parametrize(
    "x, y, message",
    [
        (X[:0], Y[:0], "data are empty"),
        (X, Y[:-1], "100 inputs and 99 labels"),
        (X[..., :9, 0], Y, r"shape \(100, 28, 9\)"),
        (X, Y.repeat(2).reshape(100, 2), r"shape \(100, 2\)"),
        (X, np.array(["a", "b"] * 50), r"not class numbers(.|\n)*np.unique\(y, return_inverse=True\)"),
        (X, Y + np.uint8(1), r"0 to 9\n.*10 \(10 of .*; the first at sample"),
        (X, Y.astype(np.int64) - 1, r"-1 \(10 of"),
        (X, Y.astype(np.float32), r"not class numbers\n.*\n.*\n +try: +y.astype\(int\)$"),
        (X, np.where(Y == 3, np.nan, Y), r"not class numbers(.|\n)*leave out the 10 whose label is NaN"),
        (X, Y + 0.5, r"not class numbers(.|\n)*argmax"),
        (X, np.eye(10)[Y], r"do not fit(.|\n)*argmax"),
    ],
)
def test_data_that_do_not_fit(x, y, message):
    network = fake_network.Network()
    before = bits(network)
    with pytest.raises(DataError, match=message):
        quietly(network, x, y)
    with pytest.raises(DataError, match=message.replace("training", "validation")):
        quietly(network, X, Y, validation_data=(x, y))
    assert bits(network) == before


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"epochs": -1},
        {"initial_epoch": -1},
        {"steps_per_epoch": 0},
        {"validation_split": 1.0},
        {"validation_split": -0.1},
        {"validation_split": 0.999},
    ],
)
def test_arguments_that_make_no_sense(options):
    with pytest.raises(TrainingError, match="makes no sense"):
        quietly(fake_network.Network(), X, Y, **options)


def test_a_history_must_go_on_with_the_same_quantities():
    history = quietly(fake_network.Network(), X, Y, validation_data=HELD_OUT)
    with pytest.raises(TrainingError, match="measures other quantities"):
        quietly(fake_network.Network(), X, Y, epochs=2, initial_epoch=1, history=history)


def test_ctrl_c_passes_through_between_updates():
    class Interrupt(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    network = fake_network.Network()
    with pytest.raises(KeyboardInterrupt):
        quietly(network, X, Y, callbacks=[Interrupt()])
    assert network.step == 3


def test_verbose(capsys):
    quietly(fake_network.Network(), X, Y, epochs=2, validation_data=HELD_OUT, verbose=2)
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2  loss ") and " % ± " in lines[1]
    assert lines[1].endswith("images/s")
    quietly(fake_network.Network(), X, Y, verbose=1)
    assert capsys.readouterr().err == "", "standard error is not a terminal here"


@pytest.mark.parametrize(
    "wanted, given, fits",
    [
        ((28, 28, 1), (28, 28, 1), True),
        ((28, 28, 1), (28, 28), True),
        ((28, 28), (28, 28, 1), True),
        ((784,), (28, 28, 1), True),
        ((784,), (28, 28), True),
        ((28, 28, 1), (784,), False),
        ((32, 32, 3), (28, 28, 1), False),
        ((14, 56), (28, 28, 1), False),
        ((10,), (28, 28, 1), False),
    ],
)
def test_fitting_images_to_a_model(wanted, given, fits):
    interface = ModelInterface.of_module(fake_network.make_module("fake_shape", INPUT_SHAPE=wanted))
    images = np.zeros((2, *given), np.uint8)
    if fits:
        fitted = interface.fit_inputs(images, "images")
        assert fitted.shape == (2, *wanted) and np.shares_memory(fitted, images)
    else:
        with pytest.raises(DataError, match="do not fit the model 'fake'"):
            interface.fit_inputs(images, "images")


@pytest.mark.parametrize("broken", ["training inputs", "labels", "sample_weight"])
def test_a_batch_knows_which_of_its_arrays_hold_nan(broken):
    names = ("training inputs", "labels", "sample_weight")
    x, y, weights = (np.array([1.0, np.nan if name == broken else 2.0, 3.0]) for name in names)
    advice = [f"remove NaN and infinity from the {broken}: this batch holds some"]
    assert Batch(x, y, np.array([0, 1]), weights).not_finite(np.dtype(np.float32)) == advice
    assert Batch(x, y, np.array([0, 2]), weights).not_finite(np.dtype(np.float32)) == []
    assert Batch(x, y, None, weights).not_finite(np.dtype(np.float32)) == advice


def test_numbers_that_overflow_in_the_model_are_named():
    x = X.astype(np.float64)
    x[3, 0, 0, 0] = -1e300
    with pytest.raises(TrainingError) as error, np.errstate(all="ignore"):
        quietly(fake_network.Network(), x, Y)
    words = "scale the training inputs: this batch holds 1e+300, which is infinite as float32"
    assert error.value.advice == words
    assert Batch(x, Y).not_finite(np.dtype(np.float64)) == []


def test_lists_instead_of_arrays_are_told_what_to_be():
    with pytest.raises(TrainingError, match="y makes no sense here") as error:
        quietly(fake_network.Network(), X.tolist(), Y.tolist())
    assert error.value.advice == "np.asarray(x) and np.asarray(y)"
