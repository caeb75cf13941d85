"""Wrong usage is exit code 2 and says what is right; results alone are on standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from compiler.cli import compile_main, main
from compiler.errors import ModelError
from compiler.frontend.parse import load_model
from compiler.machine.registry import all_targets
from compiler.modes import MODES
from compiler.module_source import compile_to_source
from compiler.pipeline import steps_of
from compiler.toolchain.compile_file import Options, compile_file
from tests.workshop import ROOT, SMALL

NOISE = """import os
from compiler import Dense

print("noise")
os.system("echo noise")
os.write(1, b"noise")


class Loud(Dense):
    kind = "dense"

    def forward(self, x):
        print("noise")
        return super().forward(x)

"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compile", "m.py", "--dump-after", "foo"], "expected commute, extrema, demand, pad"),
        (["compile", "m.py", "--dump-after", ""], "expected commute"),
        (["compile", "m.py", "--batch", "0"], "positive integer"),
        (["check", "m.py", "--batch-size", "0"], "positive integer"),
        (["check", "m.py", "--batch-size", "-1"], "positive integer"),
        (["check", "m.py", "--batch-size", "²"], "positive integer"),
        (["check", "m.py", "--seed", "-1"], "from 0 to"),
        (["check", "m.py", "--seed", "x"], "seed"),
        (["compile", "m.py", "--target", "z80"], "x86-64-v3"),
        (["compile", "m.py", "--modes", "jvp,odd"], "unknown mode 'odd', expected some of vjp, jvp"),
        (["bench", "m.py", "--without", "tile,odd"], "no such pass odd, expected commute"),
        (["bench", "m.py", "--threads", "1,x"], "positive integer"),
        (["bench", "m.py", "--rounds", "0"], "positive integer"),
        (["train", "m.py", "--threads", "0"], "1 or more"),
        (["train", "m.py", "--epochs", "9" * 5000], "epochs"),
        (["evaluate", "m.py", "--batch-size", "many"], "batch-size"),
    ],
)
def test_wrong_options(arguments, words, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("value", ["x", "0", "-1", "1.5", "four", "x,2", "²"])
@pytest.mark.parametrize("command", ["compile", "train", "evaluate", "bench", "check"])
def test_a_wrong_number_of_threads_in_the_environment(command, value, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHAINRULE_THREADS", value)
    for run, arguments in ((main, [command, "m.py"]), (compile_main, ["m.py"])):
        with pytest.raises(SystemExit) as stopped:
            run(arguments)
        assert stopped.value.code == 2
        assert f"CHAINRULE_THREADS must be a number of threads, 1 or more, not {value!r}" in (
            capsys.readouterr().err
        )


@pytest.mark.parametrize("value", ["", "2", " 4 ", "2,1"])
def test_a_right_one(value, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CHAINRULE_THREADS", value)
    assert main(["compile", "there_is_no_such_file.py"]) == 1
    capsys.readouterr()


def test_force_of_train_is_not_that_of_compile(monkeypatch) -> None:
    """It is about resuming, and builds nothing again."""
    asked = []

    def stop(path, options, *more):
        asked.append(options.force)
        raise ModelError("enough")

    monkeypatch.setattr("compiler.cli.compile_file", stop)
    monkeypatch.setattr("compiler.toolchain.built.compile_file", stop)
    assert main(["train", "m.py", "--force"]) == main(["compile", "m.py", "--force"]) == 1
    assert asked == [False, True]


def test_the_stages_that_can_be_asked_for_are_those_that_there_are(tmp_path: Path) -> None:
    """Every step of the table is taken by some program of a module."""
    (tmp_path / "small.py").write_text(SMALL)
    model = load_model(tmp_path / "small.py")
    source = compile_to_source(model, all_targets()["scalar"], "float32", "digest", modes=MODES)
    assert {step.name for step in source.steps} == set(steps_of())


def test_json_is_valid_whatever_the_model_file_prints(compiled, tmp_path: Path) -> None:
    """Through the whole command: also what is printed when the file's layers are asked for their formulas."""
    (tmp_path / "small.py").write_text(NOISE + SMALL.replace("Dense(2)]", "Loud(2, name='dense_1')]"))
    compiled("small")
    # The same model, but for what it says: nothing is built.
    assert compile_file(tmp_path / "small.py", Options(tmp_path / "generated")).cached
    command = [sys.executable, "-m", "compiler", "small.py"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    for variables in ({}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        result = subprocess.run([*command, "--json"], env=environment, **options)
        assert json.loads(result.stdout)["parameters"] == 8
        assert "noise" in result.stderr
        text = subprocess.run(command, env=environment, **options).stdout
        assert "noise" not in text and "8 parameters" in text


def test_version(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"chainrule {version('chainrule')}\n"
