"""The command line in processes of its own, and a generated module without the compiler."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workshop import ROOT

IMPORT_LIMIT_MS = 150
"""Beyond NumPy; the goal is 50, the rest is for a busy machine."""

STANDALONE = """
import sys, time
import numpy

FOREIGN = ("sympy", "cython", "Cython", "jinja2", "compiler", "runtime", "mpmath")

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FOREIGN:
            raise ImportError(f"a generated module asks for {name}")

sys.meta_path.insert(0, Refuse())
before = set(sys.modules)
start = time.perf_counter()
import tiny
milliseconds = (time.perf_counter() - start) * 1e3
net = tiny.Network(seed=0)
net.train_step(numpy.zeros((3, 12, 12, 1), numpy.uint8), [0, 1, 2])
net.predict(numpy.zeros((1, 12, 12, 1), numpy.float32))
new = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign = sorted(name for name in new if name not in sys.stdlib_module_names | {"tiny", "numpy"})
print(milliseconds, *foreign)
"""


def run(arguments: list[str], folder: Path, *, check: bool = True, **environment: str):
    """A Python process in `folder`; the modules of the repository can be imported."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not check or result.returncode == 0, result.stderr
    return result


def test_module_needs_numpy_alone(compiled, tmp_path: Path, record_property) -> None:
    """A copy of the shared object, alone in a folder; the best import of three."""
    shutil.copy(compiled("tiny").module, tmp_path)
    times = []
    for _ in range(3):
        milliseconds, *foreign = run(["-c", STANDALONE], tmp_path, PYTHONPATH="").stdout.split()
        # These two are made in memory by the generated C; nothing of Cython is imported.
        assert not [name for name in foreign if not name.startswith(("_cython_", "cython_runtime"))]
        times.append(float(milliseconds))
    print(f"import: {min(times):.1f} ms beyond NumPy")
    record_property("import_ms", min(times))
    assert min(times) < IMPORT_LIMIT_MS


def test_python_m_compiler(compiled, models, tmp_path: Path) -> None:
    """As `chainrule compile`: a summary for a person, or one JSON object."""
    compiled("small")
    arguments = ["-m", "compiler", str(models("small")), "--out", str(tmp_path / "generated")]
    text = run(arguments, tmp_path).stdout
    for words in ("small: ", "8 parameters", "kernels", "MFLOP", "workspace", "from the cache"):
        assert words in text
    facts = json.loads(run([*arguments, "--json", "--quiet"], tmp_path).stdout)
    assert facts["cached"] is True
    assert facts["parameters"] == 8
    assert facts["seconds"] < 1


def test_dump_after_a_stage(hurried, models, tmp_path: Path) -> None:
    arguments = ["-m", "compiler", str(models("small")), "--out", str(tmp_path / "generated")]
    arguments += ["--target", "scalar"]
    dump = run([*arguments, "--quiet", "--dump-after", "vjp"], tmp_path).stdout
    assert "# gradient, after vjp" in dump
    assert "dense_1.kernel.cotangent" in dump


def test_train_then_evaluate(compiled, models, tmp_path: Path) -> None:
    """One epoch on the digits that come with the project; evaluation finds the accuracy again."""
    compiled("mlp")
    command = ["-m", "compiler.cli"]
    model = [str(models("mlp")), "--offline", "--threads", "1"]
    home = {"MNIST_DIR": "", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    trained = run([*command, "train", *model, "--epochs", "1", "--json"], tmp_path, **home)
    events = [json.loads(line) for line in trained.stdout.splitlines()]
    assert "digits" in next(e for e in events if e["event"] == "data")["source"]
    epoch = next(e for e in events if e["event"] == "epoch")
    accuracy = next(value for key, value in epoch.items() if key in ("val_accuracy", "test_accuracy"))
    assert accuracy > 0.5
    measured = run([*command, "evaluate", *model, "--json"], tmp_path, **home)
    events = [json.loads(line) for line in measured.stdout.splitlines()]
    evaluation = next(e for e in events if e["event"] == "evaluation")
    assert evaluation["accuracy"] == pytest.approx(accuracy, abs=1e-12)
    text = run([*command, "evaluate", *model], tmp_path, **home).stdout
    assert re.search(r"accuracy \d", text)


def test_train_on_a_file_of_arrays(compiled, models, tmp_path: Path) -> None:
    compiled("small")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    y = x @ rng.normal(size=(3, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:16], y_test=y[:16])
    arguments = ["train", str(models("small")), "--data", "data.npz", "--epochs", "30", "--json"]
    output = run(["-m", "compiler.cli", *arguments, "--batch-size", "16"], tmp_path).stdout
    events = [json.loads(line) for line in output.splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < losses[0] / 10
    assert (tmp_path / "weights" / "small.safetensors").exists()


def test_train_reports_a_wrong_model(workshop: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("from compiler import Dense\nmodel = 3\n")
    result = run(["-m", "compiler.cli", "train", "wrong.py"], tmp_path, check=False)
    assert result.returncode == 1
    assert "there is no model in wrong.py" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.long
def test_a_pass_left_out_is_another_module(compiled, models, tmp_path: Path) -> None:
    """`--without` is part of the cache's key and stands in the head of the generated file."""
    compiled("small")
    command = ["-m", "compiler", str(models("small")), "--quiet", "--json"]
    facts = {}
    for without in ("", "tile", "tile,commute", "commute,tile"):
        out = tmp_path / without.replace(",", "-") / "generated"
        result = run([*command, "--out", str(out), "--without", without], tmp_path)
        facts[without] = json.loads(result.stdout)
        head = (out / "small.pyx").read_text().splitlines()[:20]
        left_out = [line for line in head if "passes left out" in line]
        assert left_out == (
            [f"# passes left out: {', '.join(sorted(without.split(',')))}"] if without else []
        )
    assert facts[""]["cached"]
    assert not facts["tile"]["cached"]
    assert not facts["tile,commute"]["cached"]
    assert facts["commute,tile"]["cached"], "the order of the names does not matter"
    assert facts["tile"]["tile"] == 1 < facts[""]["tile"]
