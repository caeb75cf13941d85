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
from runtime.data.tables import load_rows, load_table
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


TRAINING = ("--batch-size", 8, "--quiet")


@pytest.fixture
def by_name(tmp_path, monkeypatch, capsys):
    """A model trained on columns a, b, c and kind; says what a command prints and what it remarks."""
    monkeypatch.chdir(tmp_path)
    module = fake_network.make_module("fake_columns", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,), MODEL_NAME="named")
    lines = [f"{a:.4f},{b:.4f},0.5,{('low', 'high')[int(a > b)]}" for a, b in RANDOM.random((120, 2))]
    Path("t.csv").write_text("\n".join(["a,b,c,kind", *lines]))
    assert run("train", "--data", "t.csv", *TRAINING, "--epochs", 40, module=module) == 0

    def command(name, *options):
        capsys.readouterr()
        code = run(name, *options, module=module)
        return code, *capsys.readouterr()

    return command


def test_columns_are_found_by_their_names(by_name):
    data = read_description("weights/named.safetensors").state.data
    assert (data.features, data.labels) == (("a", "b", "c"), ("kind",))
    Path("in_order.csv").write_text("a,b,c\n1.5,0.25,0.5\n0.25,1.5,0.75\n")
    _, expected, error = by_name("predict", "in_order.csv")
    assert not error and [line.split()[1] for line in expected.splitlines()] == ["high", "low"]
    for name, text, left in (
        ("turned", "c,b,a\n0.5,0.25,1.5\n0.75,1.5,0.25\n", ""),
        ("more", "id,a,b,c\n7,1.5,0.25,0.5\n8,0.25,1.5,0.75\n", "left out: id"),
        ("spaced", " b , c, name,a\n0.25,0.5,x,1.5\n1.5,0.75,y,0.25\n", "left out: name"),
    ):
        Path(f"{name}.csv").write_text(text)
        code, out, error = by_name("predict", f"{name}.csv")
        assert code == 0 and out.replace(name, "in_order") == expected
        assert left in error and bool(error) == bool(left)
    for label in ("kind", "Label"):  # the column of training, or one that says it is a label
        Path("said.csv").write_text(f"b,{label},a,c\n0.25,high,1.5,0.5\n1.5,high,0.25,0.75\n")
        code, out, error = by_name("predict", "said.csv")
        assert code == 0 and "1 of 2 right" in out
        assert error == "" if label == "kind" else "Label is taken for the label, which was kind" in error
    Path("unknown.csv").write_text("a,b,c,kind\n1.5,0.25,0.5,high\n0.25,1.5,0.75,fish\n")
    assert "no classes of the model: fish" in by_name("predict", "unknown.csv")[2]
    Path("values.tsv").write_text("0.25\t1.5\t0.75\n")  # no names: by position
    assert by_name("predict", "values.tsv")[1].split()[1] == "low"


def test_columns_that_are_missing_are_refused_with_a_list_of_both(by_name):
    for names, missing in (("w,x,z", "a, b, c"), ("a,b,kind", "c"), ("A,b,c", "a")):
        Path("other.csv").write_text(f"{names}\n1,2,3\n4,5,6\n")
        code, out, error = by_name("predict", "other.csv")
        assert code == 1 and not out
        assert f"lacks columns that the weights were trained on: {missing}\n" in error
        assert (
            "expected: columns a, b, c, in any order" in error
            and f"found:    {names.replace(',', ', ')}\n" in error
        )
    Path("twice.csv").write_text("a,b,c,a\n1,2,3,4\n")
    assert "more than one column of a name" in by_name("predict", "twice.csv")[2]
    Path("unsaid.csv").write_text("a,b,c\n" + "1,2,3\n" * 20)
    code, _, error = by_name("evaluate", "--data", "unsaid.csv")
    assert code == 1 and "trained on: kind" in error
    Path("wide.csv").write_text("1,2,3,4,5\n")
    assert "4 with what is learned, by position" in by_name("predict", "wide.csv")[2]


def test_evaluation_and_going_on_find_columns_and_classes_by_name(by_name):
    rows = [line.split(",") for line in Path("t.csv").read_text().splitlines()]
    turned = [",".join([kind, c, "9" if k else "id", b, a]) for k, (a, b, c, kind) in enumerate(rows)]
    Path("turned.csv").write_text("\n".join(turned))
    *_, expected = by_name("evaluate", "--data", "t.csv", "--json")[1].splitlines()
    code, out, error = by_name("evaluate", "--data", "turned.csv", "--json")
    assert code == 0 and out.splitlines()[-1] == expected and "left out: id" in error
    # The same samples by their names: going on is exact, and needs no --force.
    options = ("--resume", "weights/named.safetensors", "--epochs", 41, *TRAINING)
    assert by_name("train", "--data", "turned.csv", *options)[0] == 0
    assert read_description("weights/named.safetensors").state.data.features == ("a", "b", "c")
    # Of one class alone: it is still known which of the two it is.
    low = [row for row in turned[1:] if row.startswith("low")]
    Path("low.csv").write_text("\n".join([turned[0], *low]))
    code, out, _ = by_name("evaluate", "--data", "low.csv", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["accuracy"] > 0.8


def test_a_new_run_with_earlier_weights_finds_their_columns_by_name(by_name):
    """The first layer was trained on columns in an order of its own; where they are others, that is said."""
    rows = [line.split(",") for line in Path("t.csv").read_text().splitlines()]
    Path("turned.csv").write_text("\n".join(",".join([kind, c, b, a]) for a, b, c, kind in rows))
    rows[0][0] = "d"
    Path("new.csv").write_text("\n".join(map(",".join, rows)))
    begin = ("--init-from", "weights/named.safetensors", "--epochs", 1, *TRAINING)
    for name, features, said in (("turned", "abc", False), ("new", "dbc", True)):
        weights = f"{name}.safetensors"
        code, _, error = by_name("train", "--data", f"{name}.csv", *begin, "--weights", weights)
        assert code == 0 and ("taken by their place" in error) == said, error
        assert read_description(weights).state.data.features == tuple(features)


def test_weights_without_names_go_by_position_and_say_so(tmp_path):
    interface = ModelInterface.of_module(
        fake_network.make_module("fake_places", INPUT_SHAPE=(2,), OUTPUT_SHAPE=(3,))
    )
    path, said = tmp_path / "table.csv", []
    path.write_text("id,a,b\n7,1,2\n8,3,4\n")
    rows, _ = load_rows(path, interface, ("0", "1", "2"), DataIdentity("before", "0"), said.append)
    assert rows.tolist() == [[7, 1], [8, 3]]
    assert "3 columns and the model takes 2: by position, id, a are the sample and b what it is" in said[0]
    # Two columns of one name: nobody could find them by it again.
    path.write_text("a,a,label\n" + "1,2,0\n" * 20)
    data = load_table(path, interface, report=said.append)
    assert not data.features and "columns of the same name" in said[-1]


@pytest.mark.parametrize(
    ("row", "found", "advice"),
    [
        ("1,,0", "an empty cell in row 13", "mean of the column"),
        ("1,?,0", "'?' in row 13", "mean of the column"),
        ("1,nan,0", "'nan' in row 13", "a number"),
        ("1,2,", "an empty cell in row 13", "say what these rows are"),
    ],
)
def test_a_cell_that_holds_no_number_is_named(tmp_path, row, found, advice):
    interface = ModelInterface.of_module(
        fake_network.make_module("fake_cells", INPUT_SHAPE=(2,), OUTPUT_SHAPE=(3,))
    )
    path = tmp_path / "table.csv"
    path.write_text("a,b,label\n" + "1,2,0\n" * 10 + f"\n{row}\n" + "1,2,1\n" * 10)
    with pytest.raises(DataError) as caught:
        load_table(path, interface)
    column = "label" if row.endswith(",") else "b"
    assert f"column '{column}' of {path}" in str(caught.value)
    assert found in caught.value.found and advice in caught.value.advice


def test_a_column_of_words_is_told_from_a_cell_that_is_wrong(tmp_path):
    interface = ModelInterface.of_module(
        fake_network.make_module("fake_words", INPUT_SHAPE=(2,), OUTPUT_SHAPE=(3,))
    )
    path = tmp_path / "table.csv"
    path.write_text("a,b,label\n" + "1,red,0\n" * 20)
    with pytest.raises(DataError, match=r"column 'b' of .* holds what is no number") as caught:
        load_table(path, interface)
    assert caught.value.found == "'red' in row 2, and 19 more such rows"
    assert "a number for each word" in caught.value.advice
