"""Integers as inputs, and labels for each position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.language.description import Model
from compiler.language.layers import Dense, Embedding, Input, Layer
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.toolchain.compile_file import Options
from runtime.errors import DataError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit
from tests.workshop import compile_quickly, import_module

NEXT = '''"""Which token follows each of seven."""

from compiler import Adam, CrossEntropy, Dense, Embedding, Input, Sequential, Softmax

model = Sequential(
    [Input(7, vocabulary=11), Embedding(11, 6), Dense(5, activation="tanh"), Dense(11), Softmax()],
    loss=CrossEntropy(),
    optimizer=Adam(0.01),
)
'''


@pytest.fixture(scope="module")
def module(workshop: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "tokens.py").write_text(NEXT)
    options = Options(folder, target="scalar", dtype="float64", modes=("jvp", "hvp"))
    return import_module(compile_quickly(folder / "tokens.py", options).module)


def batch(size: int = 37) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and 3 times each of them plus 1, modulo the vocabulary."""
    x = np.random.default_rng(5).integers(0, 11, (size, 7))
    return x, (3 * x + 1) % 11


def test_gradients_match_central_differences(module):
    x, y = batch()
    net = module.Network(seed=1, threads=2)
    loss, gradients = net.value_and_grad(x, y)
    chosen = np.take_along_axis(net.predict(x), y[..., None], axis=-1)
    assert loss == pytest.approx(-np.log(chosen).mean(), rel=1e-12)
    rng = np.random.default_rng(0)
    for name, parameter in net.parameters.items():
        for _ in range(3):
            place = tuple(rng.integers(0, extent) for extent in parameter.shape)
            kept, losses = parameter[place], []
            for step in (1e-6, -1e-6):
                parameter[place] = kept + step
                losses.append(net.value_and_grad(x, y)[0])
            parameter[place] = kept
            difference = (losses[0] - losses[1]) / 2e-6
            assert gradients[name][place] == pytest.approx(difference, rel=1e-5, abs=1e-9), name


def test_derivatives_along_tangents_match_central_differences(module):
    x, y = batch()
    net = module.Network(seed=1)
    rng = np.random.default_rng(0)
    tangents = {name: rng.normal(size=array.shape) for name, array in net.parameters.items()}
    _, slope = net.jvp(x, y, tangents)
    _, gradients = net.value_and_grad(x, y)
    assert slope == pytest.approx(sum(np.vdot(gradients[name], u) for name, u in tangents.items()))
    products = net.hvp(x, y, tangents)
    sides = []
    for step in (1e-6, -2e-6):
        for name, u in tangents.items():
            net.parameters[name][...] += step * u
        sides.append(net.value_and_grad(x, y)[1])
    for name in tangents:
        difference = (sides[0][name] - sides[1][name]) / 2e-6
        np.testing.assert_allclose(products[name], difference, rtol=1e-4, atol=1e-8)
    with pytest.raises(ValueError, match="found 'input'"):
        net.jvp(x, y, {"input": x})


def test_a_word_that_does_not_occur_has_no_gradient(module):
    x, y = batch()
    x[x == 4] = 5
    gradient = module.Network(seed=1).value_and_grad(x, y)[1]["embedding_1.table"]
    assert (gradient[4] == 0).all() and (gradient[5] != 0).all()


def test_the_number_of_threads_changes_no_bit(module):
    x, y = batch(size=130)
    found = []
    for threads in (1, 2, 3, 4):
        net = module.Network(seed=1, threads=threads)
        found.append(
            ([net.train_step(x, y) for _ in range(3)], net.parameters["embedding_1.table"].tobytes())
        )
    assert all(state == found[0] for state in found)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", "uint64"])
def test_any_integer_type_will_do(module, dtype: str):
    x, y = batch()
    net = module.Network(seed=1)
    assert net.predict(x.astype(dtype)).tobytes() == net.predict(x).tobytes()
    rows = np.array([3, 1, 30])
    loss, gradients = net.value_and_grad(x.astype(dtype), y, rows=rows)
    expected, others = net.value_and_grad(x[rows], y[rows])
    assert loss == expected
    assert all(gradients[name].tobytes() == others[name].tobytes() for name in gradients)


WRONG = {
    "floats": (lambda x: x.astype(float), TypeError, ["integers from 0 to 10", "float64"]),
    "booleans": (lambda x: x > 0, TypeError, ["integers", "bool"]),
    "too large": (lambda x: np.where(x == x[1, 2], 11, x), ValueError, ["from 0 to 10", "found 11"]),
    "negative": (lambda x: x - 1, ValueError, ["from 0 to 10", "found -1"]),
    "beyond 32 bits": (lambda x: x + 2**32, ValueError, ["from 0 to 10"]),
    "no batch axis": (lambda x: x[0], ValueError, ["(batch, 7)", "x[None]"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_inputs(what: str, module):
    change, kind, words = WRONG[what]
    x, y = batch()
    net = module.Network()
    wrong = change(x)
    for call in (
        lambda: net.train_step(wrong, y),
        lambda: net.value_and_grad(wrong, y),
        lambda: net.predict(wrong),
        lambda: net.evaluate(wrong, y),
    ):
        with pytest.raises(kind) as caught:
            call()
        for word in ["x: ", *words]:
            assert word in str(caught.value)


def test_where_a_wrong_token_or_label_is(module):
    x, y = batch()
    x[3, 2] = 11
    with pytest.raises(ValueError, match=r"found 11 at position 3, 2"):
        module.Network().predict(x)
    x[3, 2], y[4, 6] = 0, -5
    with pytest.raises(ValueError, match="found -5 at position 4, 6"):
        module.Network().train_step(x, y)
    with pytest.raises(ValueError, match=r"one-hot rows: y.argmax\(axis=-1\)"):
        module.Network().train_step(x, np.eye(11, dtype=int)[y])


def test_integers_have_no_gradient(module):
    with pytest.raises(TypeError, match="integer inputs have no gradient"):
        module.Network().value_and_grad(*batch(), inputs=True)


def test_accuracy_is_over_positions(module):
    x, y = batch(size=200)
    interface, net = ModelInterface.of_module(module), module.Network(seed=1)
    history = fit(
        net, x, y, batch_size=20, epochs=40, validation_data=(x, y), verbose=0, interface=interface
    ).history
    measured = evaluate(net, x, y, interface=interface)
    right = net.predict(x).argmax(axis=-1) == y
    assert measured.accuracy == right.mean() == history["val_accuracy"][-1] > 0.99
    error = np.sqrt(right.mean() * (1 - right.mean()) / right.size)
    assert measured.accuracy_error == pytest.approx(error)


def test_the_trainer_refuses_other_data(module):
    x, y = batch()
    interface, net = ModelInterface.of_module(module), module.Network()
    for wrong in (x.astype(float), x + 1):
        with pytest.raises(DataError):
            fit(net, wrong, y, verbose=0, interface=interface)
    with pytest.raises(DataError, match="labels do not fit"):
        fit(net, x, y[:, 0], verbose=0, interface=interface)


def problem_of(x: Input, *layers: Layer) -> str:
    value = x
    for layer in layers:
        value = layer(value)
    with pytest.raises(ModelError) as caught:
        lower(Model(x, value, loss=MeanSquaredError(), optimizer=SGD()))
    return str(caught.value)


def test_mistakes_in_a_model():
    assert "the index x[b, i] can leave table" in problem_of(Input(7, vocabulary=11), Embedding(10, 3))
    assert "x is an integer tensor" in problem_of(Input(7, vocabulary=11), Dense(3))
    assert "x is not an integer tensor" in problem_of(Input(7), Embedding(10, 3))
    assert "wrong vocabulary" in problem_of(Input(7, vocabulary=0), Embedding(10, 3))
    assert "wrong units" in problem_of(Input(7, vocabulary=3), Embedding(10, 0))
