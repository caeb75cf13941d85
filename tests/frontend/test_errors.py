"""Every mistake in a model file gives its message: errors/<case>.txt holds a model file and its text.

`UPDATE_GOLDEN=1 pytest tests/frontend` writes the texts anew; read the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model

CASES = sorted((Path(__file__).parent / "errors").glob("*.txt"))
RULER = "=" * 20 + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_message(case, tmp_path, monkeypatch):
    source, _, expected = case.read_text(encoding="utf-8").partition(RULER)
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(source, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        lower(load_model("model.py"))
    found = str(caught.value) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        case.write_text(source + RULER + found, encoding="utf-8")
    else:
        assert found == expected


def test_missing_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mnist.py").write_text("")
    for name in ("mnits.py", "mnist"):
        with pytest.raises(ModelError) as caught:
            load_model(name)
        assert str(caught.value) == (
            f"there is no file {name}\n    expected: a Python file with a model in it\n    try:      mnist.py"
        )


def test_directory(tmp_path):
    with pytest.raises(ModelError, match="is a directory"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b'x = "\xff"', b"x = 1\0"])
def test_not_python(content, tmp_path):
    path = tmp_path / "model.py"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is not a text file|cannot read"):
        load_model(path)


def test_formulas_are_checked_when_the_file_is_read(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(
        "from compiler import *\n"
        'layers = [Input(4), Formula("y[b, i] = x[b, i + 1]", sizes={"i": 4}), Dense(3, units=2)]\n'
        "model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD())\n"
    )
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert [problem.message for problem in caught.value.problems] == [
        "the index i + 1 can leave x",
        "Dense: multiple values for argument 'units'",
    ]
