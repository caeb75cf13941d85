"""`predict`, `find-lr` and `train --plot`: what a trained model says, and what is drawn."""

import argparse
import json
import shutil
from pathlib import Path

import fake_network
import numpy as np
import pytest
from PIL import Image
from quiet import bits, quietly

from compiler.cli import _parser as compiler_parser
from runtime.__main__ import _parser as runtime_parser
from runtime.arguments import COMMANDS, parse
from runtime.commands.table import RUNS
from runtime.confusion import Mistakes
from runtime.data.images import read_image, reading_for
from runtime.errors import DataError, TrainingError
from runtime.finding import find_learning_rate

X, Y = fake_network.small_images(200)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Weights of a network, data, images by class."""
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x_train=X[:150], y_train=Y[:150], x_test=X[150:], y_test=Y[150:])
    assert run("train", "--data", "data.npz", "--epochs", 6, "--batch-size", 16, "--quiet") == 0
    for number in range(150, 170):
        place = Path("images", str(Y[number]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[number, :, :, 0]).save(place / f"{number}.png")
    return tmp_path


def run(name, *options, module=fake_network):
    parser = argparse.ArgumentParser()
    next(command for command in COMMANDS if command.name == name).add_arguments(parser)
    arguments = parser.parse_args([*map(str, options)])
    RUNS[name].check(arguments)
    return RUNS[name].run(arguments, module)


def test_every_command_can_be_run():
    assert [command.name for command in COMMANDS] == list(RUNS)


@pytest.mark.parametrize("parser", [compiler_parser, runtime_parser])
@pytest.mark.parametrize(
    "words",
    ["--invert a.png b.png", "a.png --invert b.png", "a.png b.png --invert", "--quiet a.png --invert b.png"],
)
def test_images_stand_before_options_and_behind_them(parser, words):
    parsed = parse(parser(), ["predict", "model", *words.split()])
    assert parsed.images == ["a.png", "b.png"]
    assert parsed.invert


@pytest.mark.parametrize("line", ["predict model --wrong a.png", "evaluate model --quiet a.png"])
def test_what_no_command_takes_is_refused(line, capsys):
    with pytest.raises(SystemExit):
        parse(runtime_parser(), line.split())
    assert "unrecognized arguments" in capsys.readouterr().err


def test_images_arrays_and_folders(folder, capsys):
    network = fake_network.Network()
    from runtime.checkpoint import load_weights

    load_weights(network, "weights/fake.safetensors")
    expected = network.predict(X[150:152]).argmax(axis=1)
    np.save("two.npy", X[150:152])
    image = Path("images", str(Y[150]), "150.png")
    capsys.readouterr()
    assert run("predict", image, "two.npy") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [str(image), "two.npy[0]", "two.npy[1]"]
    assert [int(line.split()[1]) for line in lines] == [expected[0], *expected]
    assert all(" %" in line for line in lines)
    assert run("predict", "--json", image) == 0
    fact = json.loads(capsys.readouterr().out)
    assert fact["index"] == expected[0] and sum(fact["outputs"]) == pytest.approx(1, abs=1e-5)
    assert run("predict", "images") == 0
    out = capsys.readouterr().out
    assert len([line for line in out.splitlines() if ".png" in line]) == 20
    assert "of 20 right" in out


def test_worst_mistakes(folder, capsys):
    """A folder that lies about one image; the sheet is an image, and the matrix adds up."""
    wrong = (int(Y[150]) + 1) % 10
    Path("images", str(wrong)).mkdir(exist_ok=True)
    Path("images", str(Y[150]), "150.png").rename(Path("images", str(wrong), "150.png"))
    capsys.readouterr()
    assert run("predict", "images", "--worst", "--json") == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (confusion,) = (fact for fact in facts if fact["event"] == "confusion")
    assert np.sum(confusion["matrix"]) == 20 and confusion["matrix"][wrong][Y[150]] == 1
    (worst,) = (fact for fact in facts if fact["event"] == "worst")
    assert len(worst["samples"]) >= 1
    with Image.open("worst.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 28
    for part in ("train", "test"):  # a folder whose images are read when they are asked for
        shutil.copytree("images", Path("split", part))
    for data in ("data.npz", "split"):
        assert run("predict", "--data", data, "--worst", "sheet.png") == 0
        out = capsys.readouterr().out
        assert "rows: what they are" in out and ("worst mistakes: sheet.png" in out) == (data == "split")
    assert run("predict", "--data", "data.npz", "--worst", "sheet.png") == 0, "a sheet is drawn anew"
    image = Path("images", str(wrong), "150.png")
    before = image.read_bytes()
    with pytest.raises(DataError, match="is there and is no sheet of mistakes"):
        run("predict", "--worst", image)
    assert image.read_bytes() == before
    assert run("predict", image, "--worst") == 1
    assert "of which it is known what they are" in capsys.readouterr().err


def test_a_command_without_data_says_which_there_were(folder, capsys):
    """A table after an array too: each is read by what the weights know of columns."""
    rows = fake_network.make_module("fake_four", INPUT_SHAPE=(4,), OUTPUT_SHAPE=(2,), MODEL_NAME="rows")
    assert run("predict", module=rows) == 1  # no weights yet
    Path("table.csv").write_text("a,b,c,d,label\n" + "".join(f"{k},1,0,2,{k % 2}\n" for k in range(40)))
    assert run("train", "--data", "table.csv", "--quiet", "--epochs", 1, module=rows) == 0
    capsys.readouterr()
    assert run("predict", "--data", "table.csv", "--worst", module=rows) == 1
    assert "these samples are none" in capsys.readouterr().err and not Path("worst.png").exists()
    assert run("predict", module=rows) == 1
    words = capsys.readouterr().err
    assert "--data PATH of table.csv, which the weights were trained on" in words and "name images" in words
    assert run("evaluate", module=rows) == 1
    assert "name images" not in capsys.readouterr().err
    np.save("bytes.npy", np.zeros((1, 4), np.uint8))
    assert run("predict", "bytes.npy", "table.csv", module=rows) == 1
    assert "do not mean the same" in capsys.readouterr().err
    assert run("predict", "images", module=rows) == 1  # four values are no square
    assert "the model takes no images" in capsys.readouterr().err


def test_mistakes_in_order():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    mistakes = Mistakes(probabilities, np.array([0, 1, 1, 1]), ("cat", "dog"))
    assert mistakes.worst.tolist() == [1, 3]
    assert mistakes.matrix.tolist() == [[1, 0], [2, 1]]
    assert "dog as cat 2" in str(mistakes) and "2 of 4 right" in str(mistakes)


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("other.png", (30, 20), [], "has another size"),
        ("other.png", (30, 20), ["--resize"], None),
        ("broken.png", b"\x89PNG\r\n\x1a\nnonsense", [], "cannot be read as an image"),
        ("empty.jpg", b"", [], "cannot be read as an image"),
        ("broken.npy", b"\x93NUMPY\x01\x00nonsense", [], "is not a .npy file"),
        ("folder", None, [], "there are no images"),
    ],
)
def test_what_is_no_image(folder, capsys, name, content, options, words):
    if content is None:
        Path(name).mkdir()
    elif isinstance(content, tuple):
        Image.new("RGB", content).save(name)
    else:
        Path(name).write_bytes(content)
    assert run("predict", name, *options) == (1 if words else 0)
    error = capsys.readouterr().err
    assert words is None or (words in error and "Traceback" not in error and " at 0x" not in error)
    with pytest.raises(DataError, match="there is no missing"):
        run("predict", "missing")


@pytest.mark.parametrize(
    ("mode", "value", "expected"), [("L", 200, 200), ("1", 1, 255), ("I;16", 51200, 200)]
)
def test_images_of_every_depth(tmp_path, mode, value, expected):
    Image.new(mode, (4, 3), value).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", reading_for((3, 4))) == expected).all()
    inverted = read_image(tmp_path / "a.png", reading_for((3, 4, 3), invert=True))
    assert inverted.shape == (3, 4, 3) and (inverted == 255 - expected).all()


def test_a_rate_is_found_on_a_copy(folder, capsys):
    network = fake_network.Network()
    before = bits(network), network.step, network.learning_rate
    found = find_learning_rate(network, X, Y, batch_size=16, steps=60)
    assert (bits(network), network.step, network.learning_rate) == before
    assert found.rates == sorted(found.rates) and len(found.rates) == 60
    assert found.suggestion == pytest.approx(found.lowest / 10)
    network.learning_rate = found.suggestion
    history = quietly(network, X, Y, epochs=3)
    assert history.history["loss"][-1] < history.history["loss"][0]
    targets = np.eye(10, dtype=np.float32)[Y]
    real = fake_network.make_module("fake_real", LABEL_KIND="real").Network()
    assert find_learning_rate(real, X, targets, batch_size=16).diverged
    with pytest.raises(TrainingError, match="make no sense"):
        find_learning_rate(network, X, Y, lowest=1.0, highest=0.1)
    with pytest.raises(TrainingError, match="not finite at the lowest rate"):
        find_learning_rate(network, np.full(X.shape, np.nan, np.float32), Y)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run("find-lr", "--data", "data.npz", "--plot", "rates.png", "--steps", 30) == 0
    out = capsys.readouterr().out
    assert "to begin with: --learning-rate" in out and "█" in out
    assert Path("rates.png").read_bytes()[:4] == b"\x89PNG"
    assert files == {path: path.read_bytes() for path in files}


def test_a_history_is_drawn_while_training(folder, capsys):
    assert run("train", "--data", "data.npz", "--epochs", 2, "--plot", "--quiet") == 0
    assert Path("weights/fake.png").read_bytes()[:4] == b"\x89PNG"
    assert run("train", "--data", "data.npz", "--epochs", 1, "--plot", "a.nothing", "--quiet") == 1
    assert "a.nothing cannot be drawn" in capsys.readouterr().err
