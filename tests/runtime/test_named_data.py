"""Several inputs in one file, by name; classes that have names; rows of tables."""

import argparse
import json
import sys
from pathlib import Path

import fake_network
import numpy as np
import pytest
from PIL import Image

from runtime.arguments import COMMANDS
from runtime.checkpoint import read_checkpoint, read_description
from runtime.commands.table import RUNS
from runtime.data.arrays import ArrayNames, load_arrays
from runtime.data.tables import load_rows
from runtime.errors import DataError
from runtime.identity import DataIdentity
from runtime.interface import ModelInterface

RANDOM = np.random.default_rng(0)
LEFT, RIGHT = RANDOM.random((120, 2), np.float32), RANDOM.random((120, 1), np.float32)
LABELS = (LEFT[:, 0] > RIGHT[:, 0]).astype(int)
NAMED = {"left": LEFT, "right": RIGHT, "y": LABELS}


class Joined(fake_network.Network):
    """The same network, whose three inputs come as two."""

    home = "fake_of_two"

    def _flat(self, x):
        return super()._flat(np.concatenate([x["left"], x["right"]], axis=1))

    def gradients(self, x, y, rows=None, before=0):
        rows = slice(None) if rows is None else rows
        return super().gradients(Rows({name: array[rows] for name, array in x.items()}), y[rows])


class Rows(dict):
    def __len__(self):
        return len(self["left"])


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A module of two inputs; the working folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    module = fake_network.make_module("fake_of_two", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,), MODEL_NAME="two")
    module.INPUTS = {"left": "LEFT", "right": "RIGHT"}
    module.LABELS, module.OUTPUTS, module.LOSSES = {"label": "LABEL"}, {"output": "OUTPUT"}, ()
    for constant, shape in (("LEFT", (2,)), ("RIGHT", (1,)), ("LABEL", ())):
        kind, limit = ("index", 2) if constant == "LABEL" else ("real", None)
        for what, value in (("SHAPE", shape), ("KIND", kind), ("LIMIT", limit)):
            setattr(module, f"{constant}_{what}", value)
    module.Network = Joined
    yield module
    del sys.modules["fake_of_two"]


def run(name, *options, module=fake_network):
    parser = argparse.ArgumentParser()
    next(command for command in COMMANDS if command.name == name).add_arguments(parser)
    arguments = parser.parse_args([*map(str, options)])
    RUNS[name].check(arguments)
    return RUNS[name].run(arguments, module)


def write_parts(count=100):
    """As one file, and as a folder of arrays."""
    parts = {"train": slice(None, count), "test": slice(count, None)}
    arrays = {f"{name}_{part}": array[rows] for name, array in NAMED.items() for part, rows in parts.items()}
    np.savez("data.npz", **arrays)
    Path("arrays").mkdir()
    for name, array in arrays.items():
        np.save(Path("arrays", name), array)


@pytest.mark.parametrize("data", ["data.npz", "arrays"])
def test_a_model_of_two_inputs_is_trained_by_a_command(two, data, capsys):
    write_parts()
    options = ["--data", data, "--quiet"]
    assert run("train", *options, "--epochs", 40, "--batch-size", 8, module=two) == 0
    assert "100 training and 20 test samples" in capsys.readouterr().out
    assert run("evaluate", *options, "--json", module=two) == 0
    *_, found = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["samples"] == 20 and found["accuracy"] > 0.8
    assert run("predict", *options, module=two) == 0
    assert "of 20 right" in capsys.readouterr().out
    assert run("predict", *options, "--worst", module=two) == 1
    assert "--worst draws images" in capsys.readouterr().err
    # Other data do not replace these weights: the checksum is of every array.
    np.save(Path("arrays", "right_train.npy"), RIGHT[:100] + 1)
    assert run("train", "--data", "arrays", "--quiet", "--epochs", 1, module=two) == 1
    assert "is not replaced" in capsys.readouterr().err


def test_what_is_missing_is_said_by_its_name(two, tmp_path, capsys):
    interface = ModelInterface.of_module(two)
    names = ["left_train", "right_train", "y_train", "left_test", "right_test", "y_test"]
    assert ArrayNames.of(interface).all == names
    np.savez("less.npz", **{name: np.zeros(3) for name in names if name != "right_test"})
    with pytest.raises(DataError, match="no right_test"):
        load_arrays("less.npz", interface)
    np.savez("odd.npz", **{name: np.zeros(4 if name == "y_test" else 3) for name in names})
    with pytest.raises(DataError, match=r"left_test and y_test of .* do not belong together"):
        load_arrays("odd.npz", interface)
    (tmp_path / "table.csv").write_text("1,2,3,0\n" * 20)
    assert run("train", "--data", "table.csv", module=two) == 1
    assert "left_train=…, right_train=…" in capsys.readouterr().err


def images(folder, count=40):
    """Two classes by name, told apart by where a row is bright."""
    for number in range(count):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[4 + 12 * (number % 2)] = 255
        place = Path(folder, ("dog", "cat")[number % 2])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")


def test_the_names_of_classes_are_kept_with_the_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module = fake_network.make_module("fake_animals", OUTPUT_SHAPE=(2,), MODEL_NAME="animals")
    images("animals")
    assert run("train", "--data", "animals", "--epochs", 3, "--batch-size", 4, "--quiet", module=module) == 0
    state = read_checkpoint("weights/animals.safetensors").state
    assert state.classes == read_description("weights/animals.safetensors").state.classes == ("cat", "dog")
    capsys.readouterr()
    assert run("predict", "animals/dog/0.png", "animals/cat/1.png", module=module) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["dog", "cat"]
    # A folder of one class alone: it is still known which of the two it is.
    images("more", 2)
    Path("more/cat/1.png").unlink()
    Path("more/cat").rmdir()
    assert run("predict", "more", module=module) == 0
    assert "1 of 1 right" in capsys.readouterr().out
    # Other names, in another order: what was 0 then is 1 now.
    images("others")
    Path("others/cat").rename("others/elephant")
    assert run("evaluate", "--data", "others", module=module) == 0
    error = capsys.readouterr().err
    assert "its classes are cat, dog; those of the data are dog, elephant" in error


def test_what_is_known_of_data_is_read_back():
    for classes in ((), ("a", 'ß, "b"')):
        data = DataIdentity("name", "0f", True, classes)
        assert DataIdentity.parsed(str(data)) == data
        assert ("classes" in json.loads(str(data))) == bool(classes)  # earlier versions read the others
    for text in (
        '{"name": "n", "sha256": "0", "classes": [1]}',
        '{"name": "n"}',
        "[]",
        '{"name": 1, "sha256": 2}',
    ):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            DataIdentity.parsed(text)


def test_rows_of_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module = fake_network.make_module("fake_rows", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,), MODEL_NAME="rows")
    x = np.concatenate([LEFT, RIGHT], axis=1)
    names = np.array(["below", "above"])[LABELS]
    rows = [",".join([*(f"{v:.4f}" for v in row), name]) for row, name in zip(x, names, strict=True)]
    Path("table.csv").write_text("\n".join(["a,b,c,label", *rows]))
    Path("bare.csv").write_text("a,b,c\n0.9,0.5,0.1\n0.1,0.5,0.9\n")
    assert (
        run("train", "--data", "table.csv", "--epochs", 40, "--batch-size", 8, "--quiet", module=module) == 0
    )
    capsys.readouterr()
    assert run("predict", "bare.csv", module=module) == 0
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [["bare.csv[0]", "above"], ["bare.csv[1]", "below"]]
    assert run("predict", "table.csv", module=module) == 0
    out = capsys.readouterr().out
    assert "table.csv[119]" in out and "of 120 right" in out
    Path("wide.csv").write_text("1,2,3,4,5\n")
    assert run("predict", "wide.csv", module=module) == 1
    assert "the rows of wide.csv do not fit the model 'rows'" in capsys.readouterr().err


def test_classes_of_rows_are_those_of_the_weights(tmp_path):
    module = fake_network.make_module("fake_classes", INPUT_SHAPE=(2,), OUTPUT_SHAPE=(3,))
    interface = ModelInterface.of_module(module)
    path = tmp_path / "table.csv"
    path.write_text("1,2,c\n3,4,a\n5,6,unknown\n")
    assert load_rows(path, interface, ("a", "b", "c"))[1] == [2, 0, None]
    path.write_text("1,2,2\n3,4,0.0\n")
    rows, said = load_rows(path, interface, ("0", "1", "2"))
    assert said == [2, 0] and rows.tolist() == [[1, 2], [3, 4]]
    path.write_text("1,2\n3,4\n")
    assert load_rows(path, interface, ("0", "1", "2"))[1] == [None, None]
