"""Tensors of PyTorch and tables of pandas as x and y, wherever arrays are taken."""

import fake_network
import numpy as np
import pytest
from quiet import bits, quietly

from runtime.errors import DataError
from runtime.evaluation import evaluate
from runtime.finding import find_learning_rate
from runtime.prediction import predict
from runtime.trainer import fit

X, Y = fake_network.small_images(60)
ROWS = np.random.default_rng(0).integers(-3, 4, (60, 3))
TARGETS = ROWS @ [1, 2, 3]


class Tensor:
    """What NumPy can read, and is no array; with `columns` a table."""

    def __init__(self, values, columns=()):
        self.values, self.columns = np.asarray(values), columns

    def __array__(self, dtype=None, copy=None):
        return self.values


def regression(**constants):
    shapes = {"INPUT_SHAPE": (3,), "OUTPUT_SHAPE": (1,), "LABEL_KIND": "real", **constants}
    return fake_network.make_module("fake_table", **shapes)


def measured(network, x, y, held_out):
    history = quietly(network, x, y, validation_data=held_out, epochs=2)
    found = find_learning_rate(network, x, y, batch_size=16, steps=5).losses
    return bits(network), history.history, evaluate(network, x, y), found


@pytest.mark.parametrize("column", [False, True], ids=["rows", "a column"])
@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["arrays", "tensors"])
def test_as_good_as_arrays(kind, column):
    """An axis of extent 1 is added or dropped too, of arrays as well."""
    expected = measured(fake_network.Network(), X, Y, (X[:9], Y[:9]))
    x, y = (X[..., 0], Y[:, None]) if column else (X, Y)
    given = kind(x), kind(y), (kind(x[:9]), kind(y[:9]))
    assert measured(fake_network.Network(), *given) == expected
    network, other = fake_network.Network(), fake_network.Network()
    fit(network, [(kind(x), kind(y))], verbose=0)
    fit(other, X, Y, batch_size=60, shuffle=False, verbose=0)
    assert bits(network) == bits(other)


@pytest.mark.parametrize(
    "give", [lambda name, one: {name: one}, lambda _, one: (one,)], ids=["name", "tuple"]
)
def test_one_array_by_its_name_or_in_a_tuple(give):
    """As models of several take them."""
    expected = measured(fake_network.Network(), X, Y, (X[:9], Y[:9]))
    pair = give("input", X), give("label", Y)
    held_out = give("input", X[:9]), give("label", Y[:9])
    assert measured(fake_network.Network(), *pair, held_out) == expected
    assert np.array_equal(predict(fake_network.Network(), pair[0]), predict(fake_network.Network(), X))


def test_integers_of_tables_are_numbers():
    """As they are; those of arrays might be pixels, and have to be said."""
    module = regression()
    expected, network = module.Network(), module.Network()
    y = TARGETS.astype(np.float32)
    quietly(expected, ROWS.astype(np.float32), y[:, None])
    quietly(network, Tensor(ROWS, list("abc")), Tensor(y.astype(object)))
    assert bits(expected) == bits(network)
    with pytest.raises(DataError, match="not numbers that the model"):
        quietly(module.Network(), ROWS, y)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (Tensor([[1, 2, "three"]] * 60, list("abc")), r"not all numbers(.|\n)*found: .*in a, b, c"),
        (Tensor(np.array([[1, 2, "three"]] * 60, object), list("abc")), r"found: +'three' in c\n"),
        (Tensor(np.array([[1, 2, None]] * 60, object)), r"found: +None\n"),
    ],
)
def test_what_is_no_number_is_named(x, words):
    module = regression()
    for give in (
        lambda: quietly(module.Network(), x, TARGETS),
        lambda: evaluate(module.Network(), x, TARGETS),
    ):
        with pytest.raises(DataError, match=words):
            give()


def test_a_tensor_that_cannot_be_read():
    def refuse(*_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    given = type("Grad", (), {"__array__": refuse, "detach": None})()
    with pytest.raises(DataError, match=r"requires grad(.|\n)*tensor.detach\(\)"):
        quietly(fake_network.Network(), given, Y)


@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["arrays", "tensors"])
def test_predictions_in_batches(kind):
    network = fake_network.Network()
    expected = network.predict(X)
    for size in (7, 60, 512):
        found = predict(network, kind(X[..., 0]), size)
        assert found.shape == expected.shape and np.allclose(found, expected, atol=1e-6)
    table = regression().Network()
    assert predict(table, Tensor(ROWS), 16).shape == (60, 1)
    with pytest.raises(DataError, match=r"found: +a list(.|\n)*np.asarray\(x\)"):
        predict(network, X.tolist())


def test_several_outputs_are_joined_each():
    for outputs in (lambda x: (x + 1, x[:, :1]), lambda x: {"one": x + 1, "two": x[:, :1]}):
        network = type(
            "Network", (fake_network.Network,), {"predict": lambda _, x, outputs=outputs: outputs(x)}
        )()
        found = predict(network, X.astype(np.float32), 16)
        values = found.values() if isinstance(found, dict) else found
        for array, expected in zip(values, (X + np.float32(1), X[:, :1]), strict=True):
            assert np.array_equal(array, expected)


def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch")
    x, y = torch.as_tensor(X), torch.as_tensor(Y.astype(np.int64))
    expected = measured(fake_network.Network(), X, Y, (X[:9], Y[:9]))
    assert measured(fake_network.Network(), x, y, (x[:9], y[:9])) == expected
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
    network, other = fake_network.Network(), fake_network.Network()
    fit(network, loader, validation_data=loader, verbose=0)
    fit(other, X, Y, batch_size=16, shuffle=False, verbose=0)
    assert bits(network) == bits(other) and evaluate(network, loader) == evaluate(network, X, Y, 16)
    with pytest.raises(DataError, match="requires grad"):
        quietly(fake_network.Network(), x.float().requires_grad_(), y)


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=list("abc"))
    module = regression()
    expected = module.Network()
    quietly(expected, ROWS.astype(np.float32), TARGETS)
    for x in (frame, frame.astype(float), frame.convert_dtypes()):
        for y in (pandas.Series(TARGETS, name="y"), pandas.DataFrame({"y": TARGETS}).convert_dtypes()):
            network = module.Network()
            quietly(network, x, y)
            assert bits(network) == bits(expected)
    frame["c"] = "three"
    with pytest.raises(DataError, match="'three' in c"):
        quietly(module.Network(), frame, TARGETS.astype(np.float32))
    with pytest.raises(DataError, match=r"labels are not all numbers(.|\n)*np.unique"):
        quietly(fake_network.Network(), X, pandas.Series(["a", "b"] * 30))
