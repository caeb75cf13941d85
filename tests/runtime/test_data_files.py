"""Data in files: images by class, mapped arrays, CSV and Parquet; and what is none of these."""

import argparse
from pathlib import Path

import fake_network
import numpy as np
import pytest
from PIL import Image

from runtime.cli import add_train_arguments, train
from runtime.data import load_images, load_mapped, load_table
from runtime.errors import DataError
from runtime.interface import ModelInterface

X, Y = fake_network.small_images(120)
IMAGES = ModelInterface.of_module(fake_network)
TABLE = fake_network.make_module("fake_rows", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,), MODEL_NAME="rows")
ROWS = ModelInterface.of_module(TABLE)
REAL = ModelInterface.of_module(
    fake_network.make_module("fake_real_rows", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,), LABEL_KIND="real")
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(*options, module=fake_network):
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    given = ["--epochs", "1", "--batch-size", "16", "--quiet", *map(str, options)]
    return train(parser.parse_args(given), module)


def put_images(folder, first, last):
    for number in range(first, last):
        place = folder / str(Y[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[number, :, :, 0]).save(place / f"{number:03}.png")


def test_images_by_class(folder, capsys):
    put_images(folder / "images", 0, 120)
    data = load_images("images", IMAGES)
    assert len(data.x_train) == 108 and len(data.x_test) == 12 and data.x_train.dtype == np.uint8
    assert data.classes == tuple("0123456789")
    known = {image.tobytes(): label for image, label in zip(X, Y, strict=True)}
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert all(known[image.tobytes()] == label for image, label in zip(x, y, strict=True))
    assert trained("--data", "images", "--augment", "shift=0.1,flip") == 0
    assert "108 images to train on" in capsys.readouterr().out


def test_images_by_part_and_class(folder):
    put_images(folder / "images" / "train", 0, 90)
    put_images(folder / "images" / "test", 90, 120)
    data = load_images("images", IMAGES)
    assert (len(data.x_train), len(data.x_test)) == (90, 30)
    (folder / "images" / "train" / "cat").mkdir()
    with pytest.raises(DataError, match="does not fit"):
        load_images("images", IMAGES)


def test_arrays_are_mapped(folder):
    arrays = {"x_train": X[:90], "y_train": Y[:90], "x_test": X[90:], "y_test": Y[90:]}
    Path("arrays").mkdir()
    for name, array in arrays.items():
        np.save(f"arrays/{name}.npy", array)
    data = load_mapped("arrays")
    assert isinstance(data.x_train, np.memmap) and np.array_equal(data.x_train, X[:90])
    assert trained("--data", "arrays") == 0
    Path("arrays/y_test.npy").unlink()
    with pytest.raises(DataError, match="no y_test"):
        load_mapped("arrays")


HEADED = "a,b,Label,c\n" + "".join(f"{k},{k / 2},{'yes' if k % 3 else 'no'},-1\n" for k in range(40))
PLAIN = "".join(f"{k},2,3,{k % 2}\n" for k in range(40))


def test_csv(folder, capsys):
    Path("headed.csv").write_text(HEADED)
    data = load_table("headed.csv", ROWS)
    assert data.classes == ("no", "yes") and data.x_train.shape == (36, 3)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert np.array_equal(y, (x[:, 0] % 3 != 0).astype(int)) and (x[:, 2] == -1).all()
    Path("plain.tsv").write_text(PLAIN.replace(",", "\t"))
    data = load_table("plain.tsv", ROWS)
    assert data.x_train.dtype == np.int64 and np.array_equal(data.y_train, data.x_train[:, 0] % 2)
    Path("real.csv").write_text("".join(f"{k},2,3,{k},0.5\n" for k in range(40)))
    data = load_table("real.csv", REAL)
    assert data.y_train.shape == (36, 2) and np.array_equal(data.y_train[:, 0], data.x_train[:, 0])
    assert trained("--data", "headed.csv", module=TABLE) == 0
    assert "36 training and 4 test samples" in capsys.readouterr().out


def test_parquet(folder):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"a": np.arange(40), "b": np.ones(40), "c": np.zeros(40), "label": np.arange(40) % 2}
    parquet.write_table(arrow.table(columns), "table.parquet")
    data = load_table("table.parquet", ROWS)
    assert data.x_train.shape == (36, 3) and np.array_equal(data.y_train, data.x_train[:, 0] % 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b,c,d\n", "is empty"),
        ("a.csv", b"1,2,3,0\n1,2,0\n", "different lengths"),
        ("a.csv", b"a;b;c;label\n1;2;3;0\n", r"(?s)separated by semicolons.*sep=';'"),
        ("a.csv", b"a;b;c;label\n1,5;2,5;3,5;0\n", r"(?s)separated by semicolons.*decimal=','"),
        ("a.csv", b"a\tb\tc\tlabel\n1\t2\t3\t0\n", r"(?s)separated by tabs.*call the file \.tsv"),
        ("a.tsv", b"a,b,c,label\n1,2,3,0\n", r"(?s)separated by commas.*call the file \.csv"),
        ("a.csv", b"1|2|3|0\n4|5|6|1\n", "separated by bars"),
        ("a.csv", b"a,b,c,d\n" + b"x,1,2,0\n" * 20, "holds what is no number"),
        ("a.csv", b"1,2,3,0.5\n" * 20, "no whole numbers"),
        ("a.csv", b"1,2,3,0\n" * 5, "too few samples"),
        ("a.csv", b"1\n" * 20, "too few columns"),
        ("a.csv", b'1,"2,3,0\n' * 20, "cannot be read as a table"),
        ("a.csv", b"\xff\xfe1,2,3,0\n" * 20, "cannot be read as a table"),
        ("a.parquet", b"PAR1nonsensePAR1", "cannot be read as a table"),
    ],
)
def test_what_is_no_table(folder, name, content, message):
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_table(name, ROWS)
