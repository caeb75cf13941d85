"""`chainrule compile --json` prints one JSON object, whatever else is asked for; without a C compiler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler import cli
from compiler.module_source import compile_to_source
from compiler.toolchain.compile_file import Compiled, Options, described, facts_of
from tests.machines import TARGETS

MODEL = """
from chainrule import *
model = Sequential([Input(3), Dense(2, activation="tanh")], loss=MeanSquaredError(), optimizer=SGD(0.1))
print("said by the file")
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    path = tmp_path / "small.py"
    path.write_text(MODEL)

    def without_building(model, options: Options, progress, after, stopwatch) -> Compiled:
        source = compile_to_source(
            described(model), TARGETS["scalar"], "float32", "", after or (lambda s: None)
        )
        return Compiled(path, path, path, False, 0.0, facts_of(source))

    monkeypatch.setattr(cli, "compile_file", without_building)
    return ["compile", str(path), "--quiet", "--json"]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ([], set()),
        (["--dump-after", "vjp"], {"dumps"}),
        (["--explain-passes"], {"record"}),
        (["--dump-after", "all", "--explain-passes"], {"dumps", "record"}),
    ],
)
def test_one_object_whatever_is_asked_for(command, capsys, options, keys) -> None:
    assert cli.main([*command, *options]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert {"dumps", "record"} & found.keys() == keys
    assert found["parameters"] == 8
    assert "said by the file" in printed.err
    for row in found.get("dumps", []):
        assert row["text"]
        assert isinstance(row["rewrites"], list)
    if keys == {"dumps", "record"}:
        named = [[(row["program"], row["pass"]) for row in found[key]] for key in ("dumps", "record")]
        assert named[0] == named[1]
    elif "dumps" in keys:
        assert {row["pass"] for row in found["dumps"]} == {"vjp"}


def test_without_json_it_is_text(command, capsys) -> None:
    command.remove("--json")
    assert cli.main([*command, "--dump-after", "vjp", "--explain-passes"]) == 0
    shown = capsys.readouterr().out
    assert "# gradient, after vjp" in shown
    assert "rewrites" in shown
    assert "8 parameters" in shown
