"""Of one module: labels and words in steps that only fill up are not looked at; parameters can be frozen."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from compiler.toolchain.compile_file import Options
from runtime.errors import DataError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit
from tests.workshop import compile_quickly, import_module

MODEL = '''"""Words of which 0 is none, and a sequence with lengths: a class of each step of both."""

from compiler import Adafactor, CrossEntropy, Dense, LSTM, Embedding, Input, Model, Softmax

words = Input(5, vocabulary=4, name="words")
x = Input(5, 2, lengths=True, name="x")
chars = Input(4, vocabulary=3, lengths=True, name="chars")
one = Softmax()(Dense(3, name="first")(Embedding(4, 6, mask_zero=True)(words)))
other = Softmax()(Dense(3, name="second")(x))
sums = Dense(1, name="last")(LSTM(2)(Embedding(3, 2)(chars)))
losses = {"one": CrossEntropy(), "other": CrossEntropy(ignore_index=-100)}
outputs = {"one": one, "other": other, "sums": sums}
model = Model([words, x, chars], outputs, losses=losses, optimizer=Adafactor())
'''


@pytest.fixture(scope="module")
def module(workshop: Path, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("filled") / "filled.py"
    path.write_text(MODEL)
    return import_module(compile_quickly(path, Options(path.parent, target="scalar")).module)


def batch(wrong: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and labels, with a class that there is not wherever nothing is real."""
    rng = np.random.default_rng(0)
    words, lengths = rng.integers(0, 4, (7, 5)), rng.integers(0, 6, 7)
    words[0], lengths[0] = 1, 5
    x = {"words": words, "x": rng.normal(size=(7, 5, 2)), "x_lengths": lengths}
    chars, counts = rng.integers(0, 3, (7, 4)), np.array([4, 0, 1, 2, 3, 4, 1])
    x |= {"chars": chars, "chars_lengths": counts}
    x["chars"][np.arange(4) >= counts[:, None]] = wrong
    y = {"one": rng.integers(0, 3, (7, 5)), "other": rng.integers(0, 3, (7, 5))}
    y["one"][words == 0] = wrong
    y["other"][np.arange(5) >= lengths[:, None]] = wrong
    return x, y


@pytest.mark.parametrize("rows", [None, np.array([6, 0, 3])])
def test_what_labels_are_where_nothing_is_real_does_not_matter(module, rows) -> None:
    net, (x, usual) = module.Network(seed=0), batch(0)
    expected, gradients = net.value_and_grad(x, usual, rows=rows)
    for wrong in (-1, 3, 255):
        x, y = batch(wrong)
        found, others = net.value_and_grad(x, y, rows=rows)
        assert found == expected
        assert all((others[name] == gradient).all() for name, gradient in gradients.items())
        assert net.evaluate(x, y)[0] == net.evaluate(x, usual)[0]
        ModelInterface.of_module(module).check_pair(x, y, "training")


@pytest.mark.parametrize("rows", [None, np.array([6, 0, 3])])
def test_what_words_are_behind_the_end_does_not_matter(module, rows) -> None:
    """Of a batch, of rows of a data set, and of a prediction; whatever stands there."""
    net, (usual, y) = module.Network(seed=0), batch(0)
    expected = net.predict(usual)
    for wrong in (-1, 3, 255):
        x, _ = batch(wrong)
        found = net.predict(x)
        assert all((found[name] == value).all() for name, value in expected.items())
        assert net.value_and_grad(x, y, rows=rows)[0] == net.value_and_grad(usual, y, rows=rows)[0]
        ModelInterface.of_module(module).check_pair(x, y, "training")


def test_words_before_the_end_are_looked_at(module) -> None:
    x, y = batch(-1)
    x["chars"][3, 1] = 3
    for run in (lambda net: net.predict(x), lambda net: net.train_step(x, y)):
        with pytest.raises(ValueError, match=r"x\['chars'\]: expected integers from 0 to 2, found 3"):
            run(module.Network(seed=0))
    with pytest.raises(DataError, match="do not fit the model"):
        ModelInterface.of_module(module).check_pair(x, y, "training")


@pytest.mark.parametrize("name", ["one", "other"])
def test_where_steps_are_real_it_does(module, name: str) -> None:
    x, y = batch(-1)
    y[name][0, 2] = 3
    with pytest.raises(ValueError, match=rf"y\['{name}'\]: expected integer labels from 0 to 2, found 3"):
        module.Network(seed=0).train_step(x, y)
    with pytest.raises(DataError, match="do not fit the model"):
        ModelInterface.of_module(module).check_pair(x, y, "training")
    y[name] = y[name][:, :4]
    with pytest.raises(ValueError, match="expected shape"):
        module.Network(seed=0).train_step(x, y)


@pytest.mark.parametrize("size", [1, 3])
def test_each_loss_is_the_mean_over_its_own_real_steps(module, size) -> None:
    """In an evaluation by any batches, and in the history of a network that stands still."""
    net, (x, y) = module.Network(seed=0), batch(0)
    assert module.COUNTED_LOSSES == {"one": ("one", 1.0), "other": ("other", 1.0)}
    expected = net.evaluate(x, y)[0]
    found = evaluate(net, x, y, size)
    assert {"loss": found.loss, **found.losses} == pytest.approx(expected, rel=1e-5)
    net.learning_rate = 0.0
    history = fit(net, x, y, batch_size=size, verbose=0).history
    assert [history[name][0] for name in ("loss", "one_loss", "other_loss")] == [
        pytest.approx(expected[name], rel=1e-5) for name in ("loss", "one", "other")
    ]


def test_arrays_of_other_lengths_are_called_by_their_names(module) -> None:
    x, y = batch(0)
    x["x_lengths"] = x["x_lengths"][:6]
    with pytest.raises(DataError) as raised:
        ModelInterface.of_module(module).check_pair(x, y, "training")
    assert "as many samples of each as of 'words', 7" in str(raised.value)
    assert "6 of 'x_lengths'" in str(raised.value)


def everything(net, of: str) -> list[bytes]:
    arrays = [*net.parameters.items(), *net.optimizer_state.items()]
    return [array.tobytes() for name, array in arrays if of in name]


def test_what_is_frozen_stays_and_the_rest_is_trained(module) -> None:
    net, usual = module.Network(seed=0), module.Network(seed=0)
    x, y = batch(0)
    for one in (net, usual):
        one.train_step(x, y)
    net.freeze("first", "embedding_1.table")
    assert net.frozen == ("embedding_1.table", "first.kernel", "first.bias")
    before = {of: everything(net, of) for of in ("first", "embedding", "second")}
    loss = [one.train_step(x, y)["loss"] for one in (net, usual)]
    assert loss[0] == loss[1] and net.step == 2
    assert everything(net, "first") == before["first"] and everything(net, "embedding") == before["embedding"]
    assert everything(net, "second") == everything(usual, "second") != before["second"]
    _, gradients = net.value_and_grad(x, y)
    net.apply_gradients(gradients)
    assert gradients["first.kernel"].any() and everything(net, "first") == before["first"]
    assert copy.deepcopy(net).frozen == net.frozen
    net.unfreeze("first")
    net.train_step(x, y)
    assert everything(net, "first") != before["first"] and everything(net, "embedding") == before["embedding"]
    net.unfreeze()
    assert net.frozen == ()


def test_only_what_there_is_can_be_frozen(module) -> None:
    net = module.Network(seed=0)
    with pytest.raises(ValueError, match=r"expected names of parameters or layers, of .* found 'third'"):
        net.freeze("first", "third")
    with pytest.raises(TypeError, match="expected names of parameters or layers, found 3"):
        net.freeze(3)
    assert net.frozen == ()
