"""Texts as data: what a window holds, what is held out, and what is refused."""

import numpy as np
import pytest

from runtime.data.text import VOCABULARY, decode, encode, load_text, reads_text
from runtime.errors import DataError
from runtime.interface import ModelInterface

PRINTABLE = "".join(map(chr, range(32, 127)))


def test_each_character_has_a_number_of_its_own():
    codes = encode("\n" + PRINTABLE)
    assert codes.tolist() == list(range(VOCABULARY)) and codes.dtype == np.int32
    assert decode(codes) == "\n" + PRINTABLE
    assert decode(encode("a\tb → 𝄞")) == "a?b ? ?"


def test_labels_are_the_characters_that_follow(tmp_path):
    text = "The quick brown fox jumps over the lazy dog.\n" * 20
    (tmp_path / "fox.txt").write_text(text)
    data = load_text(tmp_path / "fox.txt", 16)
    assert data.x_train.shape == data.y_train.shape and data.x_train.shape[1] == 16
    assert (data.x_train[:, 1:] == data.y_train[:, :-1]).all()
    assert [decode(x) for x in data.x_train[:2]] == [text[:16], text[8:24]]
    assert decode(data.y_train[1]) == text[9:25]
    assert decode(data.x_test[0]) == text[810:826]
    assert "810 characters for training and 90 for testing" in data.source


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for name, text in (("b.md", "second" * 9), ("a.txt", "first!" * 9), ("c.py", "no text")):
        (tmp_path / name).write_text(text)
    data = load_text(tmp_path, 4)
    assert decode(data.x_train[0]) == "firs"
    assert decode(data.y_test[-1]).strip("second") == ""


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("short.txt", "too short"),
        ("binary.txt", "not a text in UTF-8"),
        ("missing.txt", "cannot read"),
        ("empty", "no text"),
    ):
        with pytest.raises(DataError, match=message):
            load_text(tmp_path / name, 8)


@pytest.mark.parametrize(
    ("limit", "shape", "outputs", "suits"),
    [
        (96, (8,), (8, 96), True),
        (None, (8,), (8, 96), False),
        (65, (8,), (8, 65), False),
        (96, (8,), (96,), False),
    ],
)
def test_which_models_read_text(limit, shape, outputs, suits):
    interface = ModelInterface(shape, outputs, "index", np.dtype("float32"), "model", "hash", limit)
    assert reads_text(interface) is suits
