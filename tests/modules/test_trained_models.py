"""Models of `models/`, smaller where they are large, each trained to a stated result on data that is here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import trained
from benchmarks.trained_data import DIGITS, described
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.toolchain.compile_file import Options
from runtime.data.digits import TEST_COUNT, load_digits
from runtime.data.text import VOCABULARY, load_text
from runtime.interface import ModelInterface
from runtime.trainer import fit
from tests.workshop import ROOT, compile_quickly, import_module


def digits() -> tuple[np.ndarray, ...]:
    """The embedded digits, every third pixel: x (N, 8, 8, 1), y (N,), for training and for testing."""
    x, y = load_digits()
    x = np.ascontiguousarray(x[:, 2:26:3, 2:26:3])
    return x[:-TEST_COUNT], y[:-TEST_COUNT], x[-TEST_COUNT:], y[-TEST_COUNT:]


def built(path: Path, folder: Path):
    return import_module(compile_quickly(path, Options(folder)).module)


def variant(name: str, lines: str, folder: Path) -> Path:
    """A model file that builds a smaller model with what `models/name.py` defines."""
    path = folder / f"small_{name}.py"
    own = (ROOT / "models" / f"{name}.py").read_text()
    path.write_text(f"{own}\n\n{lines}\n")
    return path


def accuracy(module, data: tuple[np.ndarray, ...], epochs: int, batch_size: int = 64) -> float:
    x, y, *held_out = data
    interface, net = ModelInterface.of_module(module), module.Network(seed=0)
    history = fit(
        net,
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=tuple(held_out),
        verbose=0,
        interface=interface,
    )
    return history.history["val_accuracy"][-1]


@pytest.mark.long
@pytest.mark.parametrize("name", ["pairs", "siamese", "vae", "sorting", "heat"])
def test_models_of_several_reach_their_results(name: str, tmp_path: Path) -> None:
    x, y = load_digits()
    images = described(DIGITS, x[:-TEST_COUNT], y[:-TEST_COUNT], x[-TEST_COUNT:], y[-TEST_COUNT:])
    row = trained.run_task(name, built(ROOT / "models" / f"{name}.py", tmp_path), DIGITS, images, 0)
    assert row.reached, row


@pytest.mark.long
def test_two_models_that_take_turns_reach_their_result(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = built(ROOT / "models" / "gan_discriminator.py", tmp_path)
    monkeypatch.setitem(sys.modules, "generated.gan_discriminator", other)
    modes = ("vjp", *trained.TASKS["gan"].modes.split(","))
    module = import_module(compile_quickly(ROOT / "models" / "gan.py", Options(tmp_path, modes=modes)).module)
    images = described(DIGITS, *(np.zeros(0) for _ in range(4)))
    row = trained.run_task("gan", module, DIGITS, images, 0)
    assert row.reached, row


def test_resnet8_is_that_of_the_benchmark():
    lowered = lower(load_model(ROOT / "models" / "resnet8.py"))
    # Gamma and beta of seven normalisations, and as many running averages.
    normalised = 2 * (3 * 16 + 2 * 32 + 2 * 64)
    assert (lowered.parameter_count, lowered.state_count) == (77_466 + normalised, normalised)
    assert sum(row.kind == "conv2d" for row in lowered.layers) == 9


@pytest.mark.long
def test_resnet8_learns_digits(workshop: Path, tmp_path: Path):
    y = "resnet8(x, (4, 6, 8))"
    small = f"x = Input(8, 8, 1)\nmodel = Model(x, {y}, loss=CrossEntropy(), optimizer=Adam(1e-2))"
    module = built(variant("resnet8", small, tmp_path), tmp_path)
    assert accuracy(module, digits(), epochs=8) > 0.9


@pytest.mark.long
def test_a_network_of_formulas_learns_digits(workshop: Path):
    """Trained on the digits at the size of MNIST's, as `chainrule train models/formulas.py` does."""
    module = built(ROOT / "models" / "formulas.py", workshop / "formulas")
    x, y = load_digits()
    data = (x[:-TEST_COUNT], y[:-TEST_COUNT], x[-TEST_COUNT:], y[-TEST_COUNT:])
    assert accuracy(module, data, epochs=8) > 0.9


@pytest.mark.long
def test_the_lstm_reads_digits_row_by_row(workshop: Path, tmp_path: Path):
    x, y, x_test, y_test = digits()
    module = built(ROOT / "models" / "lstm.py", tmp_path)
    assert accuracy(module, (x[..., 0], y, x_test[..., 0], y_test), epochs=40) > 0.93


@pytest.mark.long
def test_the_transformer_learns_the_language_of_the_documentation(workshop: Path, tmp_path: Path):
    """More than how often each character and each pair of characters occurs can tell."""
    arguments = "x, transformer(x, 1, 2, 32), loss=CrossEntropy(), optimizer=Adam(3e-3)"
    small = f"x = Input(24, vocabulary=VOCABULARY)\nmodel = Model({arguments})"
    module = built(variant("transformer", small, tmp_path), tmp_path)
    data = load_text(ROOT / "docs", 24)
    interface, net = ModelInterface.of_module(module), module.Network(seed=0)
    held_out = data.x_test, data.y_test
    history = fit(
        net,
        data.x_train,
        data.y_train,
        batch_size=64,
        epochs=12,
        validation_data=held_out,
        verbose=0,
        interface=interface,
    ).history
    counts = np.bincount(data.y_train.ravel(), minlength=VOCABULARY) + 1
    unigram = -np.log(counts / counts.sum())[data.y_test].mean()
    pairs = np.ones((VOCABULARY, VOCABULARY))
    np.add.at(pairs, (data.x_train, data.y_train), 1)
    bigram = -np.log(pairs / pairs.sum(axis=1, keepdims=True))[data.x_test, data.y_test].mean()
    assert unigram > bigram > history["val_loss"][-1] < 2.4
    # What comes later in a window is not seen.
    x = data.x_test[:2].copy()
    before = net.predict(x)
    x[:, 12:] = 0
    assert (net.predict(x)[:, :12] == before[:, :12]).all()


@pytest.mark.long
def test_the_table_of_trained_models(built, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """`make trained` for one model, on the digits; and again with a goal that it cannot reach."""
    monkeypatch.setitem(sys.modules, "generated.lstm", built("lstm"))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    assert trained.main(["--models", "lstm"]) == 0
    out = capsys.readouterr().out
    assert "NOT MNIST" in out and "| lstm | 5,578 | embedded digits" in out and "| reached |" in out
    unreachable = trained.Goal(epochs=1, result=101)
    task = trained.on_digits(unreachable, unreachable, form=trained.TASKS["lstm"].form)
    monkeypatch.setitem(trained.TASKS, "lstm", task)
    assert trained.main(["--models", "lstm", "--seed", "1"]) == 1
    printed = capsys.readouterr()
    assert "NOT REACHED" in printed.out and printed.err.endswith("error: not reached: lstm\n")
