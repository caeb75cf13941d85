"""`chainrule new`: a file that is a model, and no file that was there before is touched."""

from __future__ import annotations

import pytest

from compiler.cli import main
from compiler.frontend.parse import load_model
from compiler.tools.new_model import KINDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["flowers", "folder/flowers.py"])
def test_what_is_written_is_a_model(kind: str, name: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", name, "--kind", kind]) == 0
    path = tmp_path / (name if name.endswith(".py") else f"{name}.py")
    model = load_model(path)
    assert model.problems == () and model.name == "flowers"
    assert f"chainrule train {path.relative_to(tmp_path)}" in path.read_text()
    path.write_text("mine")
    assert main(["new", name]) == 1
    assert "already" in capsys.readouterr().err and path.read_text() == "mine"


@pytest.mark.parametrize("name", ["class", "random", "two words", "4th"])
def test_names_that_are_none(name: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 1
    error = capsys.readouterr().err
    assert "cannot be the name of a model file" in error and "chainrule new" in error
    assert list(tmp_path.iterdir()) == []
