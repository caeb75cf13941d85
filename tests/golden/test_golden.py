"""Generated code and a derived program, compared byte for byte with files that a person has read.

UPDATE_GOLDEN=1 writes the files anew; read their difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.module_source import compile_to_source
from compiler.simplify.simplify import simplify
from compiler.toolchain.build import compile_shared, extension_suffix, find_toolchain, translate
from tests.derive.rungs import compare
from tests.machines import TARGETS
from tests.schedule.verifying import verify_plan
from tests.workshop import ROOT, TINY, import_module

FOLDER = Path(__file__).parent
TARGET = TARGETS["x86-64-v3"]
DIGEST = "golden"
"""Stands for the hash of model and options, which would change with every word of the model file."""


@pytest.fixture
def model(tmp_path: Path):
    (tmp_path / "tiny.py").write_text(TINY)
    files = {name: ROOT / "models" / f"{name}.py" for name in ("mlp", "mnist")}
    return files | {"tiny": tmp_path / "tiny.py"}


def assert_golden(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.exists(), f"{path} is missing: run once with UPDATE_GOLDEN=1"
    if path.read_bytes() == text.encode():
        return
    old, new = path.read_text().splitlines(), text.splitlines()
    shorter = min(len(old), len(new))
    line = next((k for k in range(shorter) if old[k] != new[k]), shorter)
    pytest.fail(
        f"{path}:{line + 1} differs\n  expected {old[line : line + 1]}\n  found    {new[line : line + 1]}\n"
        "If that is wanted: UPDATE_GOLDEN=1, and read the difference"
    )


@pytest.mark.parametrize("name", ["mlp", "tiny"])
def test_generated_code(name: str, model) -> None:
    source = compile_to_source(load_model(model[name]), TARGET, "float32", DIGEST)
    assert_golden(f"{name}.pyx", source.text)
    for plan in source.plans.values():
        verify_plan(plan)


# In `make test` the other file's model is built as users build it: tests/modules/test_whole_models.py.
@pytest.mark.parametrize("name", [pytest.param("mlp", marks=pytest.mark.long), "tiny"])
def test_the_text_that_was_read_trains(name: str, model, tmp_path: Path) -> None:
    """It is compiled and gives the interpreter's loss and gradients."""
    source = tmp_path / f"{name}.pyx"
    source.write_text((FOLDER / f"{name}.pyx").read_text())
    shared = tmp_path / f"{name}{extension_suffix()}"
    compile_shared(translate(source), shared, find_toolchain(), TARGET.flags, level="-O0")
    _trains(import_module(shared), model[name])


def _trains(module, path: Path) -> None:
    net = module.Network(seed=1)
    rng = np.random.default_rng(0)
    x, y = rng.random((5, *module.INPUT_SHAPE), np.float32), rng.integers(module.LABEL_LIMIT, size=5)
    program, _ = vjp(lower(load_model(path)).training, "loss", tuple(net.parameters))
    expected = run(program, {"input": x, "label": y} | dict(net.parameters), seed=1, step=0)
    loss, gradients = net.value_and_grad(x, y)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-5)
    for name, array in gradients.items():
        worst = compare(array, expected[cotangent_name(name)], name)
        assert worst.error < 1e-4, worst
    assert net.train_step(x, y) == loss


def test_derived_program(model) -> None:
    """The gradient of the MNIST network after simplification; the loss's gradient is (p − onehot)/B."""
    training = lower(load_model(model["mnist"]))
    names = tuple(parameter.name for parameter in training.parameters)
    program, _ = simplify(vjp(training.training, "loss", names)[0])
    text = print_program(program)
    assert_golden("mnist.gradient.txt", text if text.endswith("\n") else text + "\n")
    assert parse_program(text) == program
    lines = text.splitlines()
    start = lines.index('dense_1.cotangent: (batch, 10) real = sum of "dense_1" as cotangent of dense_1')
    assert [line.strip() for line in lines[start + 1 : start + 4]] == [
        "for b:batch, c:10: [b, c] += softmax_1[b, c]/batch_size[]",
        "for b:batch: [b, label[b]] += -1/batch_size[]",
        "",
    ]
