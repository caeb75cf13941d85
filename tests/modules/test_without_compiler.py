"""A built model trained, measured and used where there is no C compiler, no compiler package and no cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.cli import main
from compiler.toolchain.compile_file import Options
from tests.modules.borders import MODELS
from tests.workshop import ROOT, SMALL, compile_quickly

ALONE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("compiler", "sympy", "mpmath", "jinja2", "Cython", "cython"):
            raise ModuleNotFoundError(f"asked for {name}")

sys.meta_path.insert(0, Refuse())
sys.path.append(ROOT)
sys.argv[0] = "runtime"
runpy.run_module("runtime", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def folder(border, tmp_path: Path) -> Path:
    """A user's folder: built modules, data, and a file where the cache should be."""
    for name in ("targets", "letters"):
        shutil.copytree(border(name).module.parent, tmp_path / "generated", dirs_exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    y = x @ rng.normal(size=(5, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:16], y_test=y[:16])
    (tmp_path / "no-cache").write_text("")
    return tmp_path


def _poor(folder: Path) -> dict[str, str]:
    """An environment without a C compiler and a cache."""
    cache = str(folder / "no-cache")
    return {
        **os.environ,
        "CC": "/nonexistent/cc",
        "PATH": str(folder),
        "CHAINRULE_CACHE": cache,
        "HOME": cache,
    }


def _alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """`python -m runtime` with the compiler package out of reach."""
    script = ALONE.replace("ROOT", repr(str(ROOT)))
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=_poor(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _events(output: str) -> dict[str, dict]:
    return {event["event"]: event for event in map(json.loads, output.splitlines())}


@pytest.mark.parametrize("ending", ["", "the file"])
def test_a_built_module_is_trained_and_evaluated(ending: str, folder: Path) -> None:
    module = "generated/targets"
    if ending:
        module = str(next((folder / "generated").glob("targets.*.so")).relative_to(folder))
    options = ["--data", "data.npz", "--json"]
    trained = _alone(folder, "train", module, *options, "--epochs", "3", "--batch-size", "16")
    assert trained.returncode == 0, trained.stderr
    epoch = _events(trained.stdout)["epoch"]
    assert epoch["epoch"] == 3
    resumed = _alone(
        folder, "train", module, *options, "--epochs", "4", "--resume", "weights/targets.safetensors"
    )
    assert resumed.returncode == 0, resumed.stderr
    loss = _events(resumed.stdout)["epoch"]["val_loss"]
    measured = _alone(folder, "evaluate", module, *options)
    assert measured.returncode == 0, measured.stderr
    assert _events(measured.stdout)["evaluation"]["loss"] == loss


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("generated/absent", ["there is no built module", "nothing of this name", "chainrule compile"]),
        ("targets.py", ["there is no built module", "chainrule compile"]),
        ("generated", ["there is no built module"]),
        ("generated/targets.pyx", ["there is no built module", "targets.pyx"]),
        ("generated/old", ["there is no built module", "old.cpython-27.so"]),
        ("generated/text", ["cannot be imported", "compile the model again"]),
        ("generated/renamed", ["cannot be imported", "compile the model again"]),
        ("json", ["there is no built module"]),
    ],
)
def test_what_is_no_built_module(place: str, words: list[str], folder: Path) -> None:
    built = next((folder / "generated").glob("targets.*.so"))
    ending = built.name.removeprefix("targets")
    shutil.copy(built, built.with_name(f"renamed{ending}"))
    built.with_name(f"text{ending}").write_text("text")
    built.with_name("old.cpython-27.so").write_text("")
    result = _alone(folder, "evaluate", place)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_usage() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "runtime", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "train" in result.stdout
    assert "evaluate" in result.stdout


def test_the_command_line_uses_what_is_built(workshop: Path, folder: Path, monkeypatch, capfd) -> None:
    """`chainrule train MODEL` where nothing can be built: the module that was built from the model serves."""
    monkeypatch.chdir(folder)
    Path("small.py").write_text(SMALL.replace("Input(3)", "Input(5)"))
    compile_quickly(Path("small.py"), Options(Path("generated")))
    command = ["--data", "data.npz", "--json", "--threads", "1"]
    capfd.readouterr()
    for variable, value, why in (
        ("CC", "/nonexistent/cc", "no C compiler was found"),
        ("CHAINRULE_CACHE", str(folder / "no-cache"), "no-cache"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert main(["train", "small.py", *command, "--epochs", "2"]) == 0
            assert main(["evaluate", "small.py", *command]) == 0
            output, errors = capfd.readouterr()
            assert _events(output)["evaluation"]["samples"] == 16
            assert errors.count("was built from this model and is used") == 2
            assert why in errors
            # A built module of another model, or of another target or dtype, is none of this one.
            for arguments in (["--target", "scalar"], ["--dtype", "float64"]):
                assert main(["evaluate", "small.py", *command, *arguments]) == 1
                assert "was built from another model" in capfd.readouterr().err
            Path("small.py").write_text(SMALL.replace("Input(3)", "Input(5)").replace("0.1", "0.2"))
            assert main(["evaluate", "small.py", *command]) == 1
            errors = capfd.readouterr().err
            assert "was built from another model" in errors
            assert why in errors
            Path("small.py").write_text(SMALL.replace("Input(3)", "Input(5)"))
            assert main(["evaluate", "letters.py", *command]) == 1
            assert "there is no file" in capfd.readouterr().err
            Path("pixels.py").write_text(MODELS["pixels"])
            assert main(["evaluate", "pixels.py", *command]) == 1
            assert why in capfd.readouterr().err
            Path("small.py").write_text("model = 3")
            assert main(["evaluate", "small.py", *command]) == 1
            assert "there is no model" in capfd.readouterr().err
            Path("small.py").write_text(SMALL.replace("Input(3)", "Input(5)"))
