"""What a network does with arrays that do not fit: a clear error, or the right result; never a crash."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.modules.test_network import data, same_bits
from tests.workshop import import_module

WRONG_INPUTS = {
    "no channel axis": (lambda x: x[..., 0], ValueError, ["(batch, 12, 12, 1)", "(4, 12, 12)", "reshape"]),
    "no batch axis": (lambda x: x[0], ValueError, ["(batch, 12, 12, 1)", "(12, 12, 1)", "x[None]"]),
    "flat": (lambda x: x.reshape(4, -1), ValueError, ["(batch, 12, 12, 1)", "(4, 144)", "reshape"]),
    "channels first": (lambda x: x.transpose(0, 3, 1, 2), ValueError, ["(4, 1, 12, 12)"]),
    "another size": (lambda x: x[:, :11], ValueError, ["(batch, 12, 12, 1)", "(4, 11, 12, 1)"]),
    "too many axes": (lambda x: x[None], ValueError, ["(1, 4, 12, 12, 1)"]),
    "a number": (lambda x: 1.5, ValueError, ["(batch, 12, 12, 1)", "()"]),
    "nothing": (lambda x: None, TypeError, ["float32", "object"]),
    "empty list": (lambda x: [], ValueError, ["(batch, 12, 12, 1)", "(0,)"]),
    "64-bit integers": (lambda x: x.astype(np.int64), TypeError, ["float32", "uint8", "int64", "astype"]),
    "signed bytes": (lambda x: x.astype(np.int8), TypeError, ["uint8", "int8"]),
    "booleans": (lambda x: x > 0, TypeError, ["float32", "bool"]),
    "complex": (lambda x: x.astype(complex), TypeError, ["float32", "complex128"]),
    "objects": (lambda x: x.astype(object), TypeError, ["float32", "object"]),
    "text": (lambda x: np.array(["a", "b"]), TypeError, ["float32"]),
}

WRONG_LABELS = {
    "too large": (lambda y: np.array([0, 1, 3, 2]), ValueError, ["from 0 to 2", "found 3", "position 2"]),
    "negative": (lambda y: np.array([0, -1, 1, 2]), ValueError, ["from 0 to 2", "found -1", "position 1"]),
    "beyond 32 bits": (lambda y: np.array([0, 1, 1, 2**32]), ValueError, ["from 0 to 2", str(2**32)]),
    "beyond 63 bits": (lambda y: np.array([0, 1, 1, 2**64 - 1], np.uint64), ValueError, [str(2**64 - 1)]),
    "floats": (lambda y: y.astype(float), TypeError, ["integer", "float64"]),
    "booleans": (lambda y: y > 0, TypeError, ["integer", "bool"]),
    "one-hot": (lambda y: np.eye(3, dtype=int)[y], ValueError, ["(4,)", "(4, 3)", "argmax"]),
    "a column": (lambda y: y[:, None], ValueError, ["(4,)", "(4, 1)"]),
    "too few": (lambda y: y[:3], ValueError, ["(4,)", "(3,)"]),
    "too many": (lambda y: np.append(y, 0), ValueError, ["(4,)", "(5,)"]),
    "one for all": (lambda y: 1, ValueError, ["(4,)", "()"]),
    "empty": (lambda y: y[:0], ValueError, ["(4,)", "(0,)"]),
    "nothing": (lambda y: None, ValueError, ["(4,)", "()"]),
}


@pytest.fixture
def net(built):
    return built("tiny").Network(seed=0)


@pytest.fixture
def batch(built) -> tuple[np.ndarray, np.ndarray]:
    x, y = data(built("tiny"), 4)
    return (x / 255).astype(np.float32), y


@pytest.mark.parametrize("what", WRONG_INPUTS)
def test_wrong_inputs(what: str, net, batch) -> None:
    change, kind, words = WRONG_INPUTS[what]
    x, y = batch
    wrong = change(x)
    for call in (
        lambda: net.train_step(wrong, y),
        lambda: net.value_and_grad(wrong, y),
        lambda: net.value_and_grad(wrong, y, inputs=True),
        lambda: net.predict(wrong),
        lambda: net.evaluate(wrong, y),
    ):
        _refuses(call, kind, ["x: ", *words])
    _is_untouched(net, batch)


@pytest.mark.parametrize("name", ["pixels", "letters", "targets"])
def test_no_example_at_all(name: str, border) -> None:
    """`predict` takes any number of examples, and 0 is one; a mean over none there is not."""
    module = import_module(border(name).module)
    net = module.Network(seed=0)
    kind = np.float32 if module.INPUT_KIND == "real" else np.int64
    x = np.zeros((0, *module.INPUT_SHAPE), kind)
    y = np.zeros((0, *module.LABEL_SHAPE), np.int64 if module.LABEL_KIND == "index" else np.float32)
    for threads in (1, 2):
        net.threads = threads
        found = net.predict(x)
        assert (found.shape, found.dtype) == ((0, *module.OUTPUT_SHAPE), np.float32)
    for method in (net.train_step, net.value_and_grad, net.evaluate):
        _refuses(lambda method=method: method(x, y), ValueError, ["x: the batch is empty"])
    _refuses(lambda: net.predict(np.zeros((0, 99), kind)), ValueError, ["x: expected shape"])
    whole = net.predict(np.zeros((3, *module.INPUT_SHAPE), kind))
    assert np.isfinite(whole).all() and net.step == 0


@pytest.mark.parametrize("what", WRONG_LABELS)
def test_wrong_labels(what: str, net, batch) -> None:
    change, kind, words = WRONG_LABELS[what]
    x, y = batch
    wrong = change(y)
    for method in (net.train_step, net.value_and_grad, net.evaluate):
        _refuses(lambda method=method: method(x, wrong), kind, ["y: ", *words])
    _is_untouched(net, batch)


def _refuses(call, kind: type[Exception], words: list[str]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    for word in words:
        assert word in str(caught.value)


def _is_untouched(net, batch) -> None:
    fresh = type(net)(seed=0)
    assert same_bits(net.parameters, fresh.parameters)
    assert net.train_step(*batch) == fresh.train_step(*batch)


def test_layouts_that_are_handled(net, batch) -> None:
    """Lists, Fortran order, strides, other floats, foreign byte order, read-only arrays, any integers."""
    x, y = batch
    expected, gradients = net.value_and_grad(x, y)
    wide = np.repeat(x, 2, axis=2)
    frozen = x.copy()
    frozen.flags.writeable = False
    same = {
        "list": x.tolist(),
        "Fortran order": np.asfortranarray(x),
        "strided": wide[:, :, ::2],
        "reversed twice": x[::-1].copy()[::-1],
        "float64": x.astype(np.float64),
        "big-endian": x.astype(">f4"),
        "read-only": frozen,
        "a subclass": np.ma.masked_array(x),
    }
    for name, given in same.items():
        loss, ours = net.value_and_grad(given, y)
        assert loss == expected, name
        assert same_bits(ours, gradients), name
    for kind in (np.int8, np.uint8, np.int16, np.uint64, ">i4"):
        assert net.value_and_grad(x, y.astype(kind))[0] == expected, kind
    assert net.value_and_grad(x, y.tolist())[0] == expected
    assert net.value_and_grad(x, np.repeat(y, 2)[::2])[0] == expected
    half = x.astype(np.float16)
    assert net.predict(half).tobytes() == net.predict(half.astype(np.float32)).tobytes()


def test_nothing_that_is_given_is_changed(net, batch) -> None:
    x, y = batch
    kept = x.copy(), y.copy()
    net.value_and_grad(x, y, inputs=True)
    net.train_step(x, y)
    assert np.array_equal(x, kept[0])
    assert np.array_equal(y, kept[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers_do_not_crash(value: float, net, batch) -> None:
    x, y = batch
    x[2, 7] = value
    assert np.isfinite(net.predict(x)[[0, 1, 3]]).all(), "the neighbours are not touched"
    assert isinstance(net.evaluate(x, y)[0], float)
    assert isinstance(net.value_and_grad(x, y, inputs=True)[0], float)
    assert isinstance(net.train_step(x, y), float)


def test_nan_reaches_the_loss(built) -> None:
    net = built("small").Network(seed=0)
    x = np.ones((4, 3), np.float32)
    x[2, 1] = np.nan
    assert np.isnan(net.predict(x)).tolist() == [[False] * 2, [False] * 2, [True] * 2, [False] * 2]
    assert np.isnan(net.value_and_grad(x, np.ones((4, 2)))[0])


@pytest.mark.parametrize("name", ["mlp", "tiny"])
def test_nan_is_not_hidden_by_relu_and_max(name: str, built) -> None:
    """A network that has diverged must not report a finite loss."""
    module = built(name)
    net = module.Network(seed=0)
    x, y = data(module, 4)
    next(iter(net.parameters.values()))[...] = np.nan
    assert np.isnan(net.predict(x)).all()
    assert np.isnan(net.evaluate(x, y)[0])


def test_huge_float64_values(net, batch) -> None:
    """Beyond float32's range they become infinite, as NumPy's conversion has it, and nothing crashes."""
    x, y = batch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        net.value_and_grad(np.full(x.shape, 1e300), y)


def test_wrong_threads_are_named(built, net) -> None:
    with pytest.raises(ValueError, match=r"threads: expected a positive integer, found 0"):
        built("tiny").Network(threads=0)
    with pytest.raises(ValueError, match=r"threads: expected a positive integer, found -3"):
        net.threads = -3


@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 2**40, -(2**70)])
def test_any_seed(seed: int, built) -> None:
    module = built("tiny")
    net, same = module.Network(seed=seed), module.Network(seed=seed % 2**32)
    assert same_bits(net.parameters, same.parameters)
    x, y = data(module, 3)
    assert net.train_step(x, y) == same.train_step(x, y)


def test_real_targets(built) -> None:
    """The checks of a regression's targets."""
    net = built("small").Network(seed=0)
    x, y = np.ones((4, 3), np.float32), np.ones((4, 2))
    expected, _ = net.value_and_grad(x, y)
    assert net.value_and_grad(x, y.astype(int))[0] == expected
    assert net.value_and_grad(x, np.asfortranarray(y))[0] == expected
    _refuses(lambda: net.train_step(x, y[:, 0]), ValueError, ["y: expected shape (4, 2)", "found (4,)"])
    _refuses(lambda: net.train_step(x, y > 0), TypeError, ["y: expected float32", "bool"])
    _refuses(lambda: net.train_step(x, y.astype(complex)), TypeError, ["y: ", "complex"])


def test_replacing_a_parameter_is_not_silent(net, batch) -> None:
    before = net.predict(batch[0])
    try:
        net.parameters["dense_1.bias"] = np.array([5, 0, 0], np.float32)
    except TypeError:
        return
    assert not np.array_equal(net.predict(batch[0]), before)
