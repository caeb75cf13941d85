"""Every program of several models with one pass left out: the same results, but for rounding.

The programs come from `module_programs`, in the order of a real compilation; the interpreter runs the program
as the calculus gives it, before any pass.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from compiler.build import find_toolchain
from compiler.compile_file import Options, machine_for
from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.description import Model, Sequential
from compiler.errors import ModelError
from compiler.harness import compile_programs
from compiler.ir.interpreter import concrete_shape, run
from compiler.ir.tensor_program import Program, Tensor
from compiler.layers import Conv2D, Dense, Dropout, Flatten, GlobalAveragePooling2D, Input, MaxPool2D, Softmax
from compiler.losses import CrossEntropy
from compiler.lower import LoweredModel, lower
from compiler.optimizers import SGD
from compiler.parse import load_model
from compiler.pipeline import pricer
from compiler.programs import Trace, module_programs
from compiler.schedule.kernel import Settings
from compiler.switches import SWITCHES, parse_switches
from tests.gradients.model_cases import MODELS
from tests.gradients.rungs import compare
from tests.kernels.building import SEED, STEP
from tests.modules.test_phases import NORMALISED

PROGRAMS = {
    "residual": ("input_gradient", "predict"),
    "digits": ("input_gradient", "predict"),
    "normalised": ("input_gradient", "predict"),
    "wide": ("input_gradient", "predict"),
    "pooled": ("jvp",),
    "regression": ("hvp",),
}
"""What is compared of each model. Only derivatives of derivatives have sums of products to distribute, and
only tangents read a contraction at saved winners alone."""
SCHEDULING = {"fuse", "tile", "zeros"}
"""Switches of the scheduler, which leave programs as they are."""
BATCH = 5
OFF = [frozenset([name]) for name in SWITCHES if name != "zeros"]
# All programs once more, and tests/kernels/test_nonzero.py compares bits.
LATER = pytest.param(frozenset(["zeros"]), marks=pytest.mark.long)


@cache
def lowered(name: str, folder: Path) -> LoweredModel:
    if name in MODELS:
        return lower(MODELS[name][0]())
    if name in ("wide", "pooled"):
        return lower(_wide() if name == "wide" else _pooled())
    path = folder / "normalised.py"
    path.write_text(NORMALISED)
    return lower(load_model(path))


def _wide() -> Model:
    """Channels enough for a transformed convolution to pay."""
    convolution = Conv2D(16, 3, padding="same", activation="relu")
    layers = [Input(8, 8, 8), convolution, GlobalAveragePooling2D(), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=SGD())


def _pooled() -> Model:
    """Of the convolution, a tangent is wanted where the max and the dropout leave it."""
    layers = [Input(8, 8, 16), Conv2D(16, 3), MaxPool2D(2), Flatten(), Dropout(0.5), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=SGD())


@cache
def optimised(name: str, folder: Path, off: frozenset[str]) -> tuple[dict[str, Program], Trace]:
    """The model's programs, ready for scheduling, and the record of how they came about."""
    model, trace = lowered(name, folder), Trace(without=off)
    machine = machine_for("native", find_toolchain())
    modes = ("vjp", *(mode for mode in ("jvp", "hvp") if mode in PROGRAMS[name]))
    price = pricer(machine, "float64", off)
    return module_programs(model, price, trace, modes), trace


def raw(model: LoweredModel, program: str) -> Program:
    """As the calculus gives it."""
    names = tuple(p.name for p in model.parameters)
    if program == "predict":
        return model.predict
    if program == "input_gradient":
        return vjp(model.training, "loss", (*names, "input"))[0]
    if program == "jvp":
        return jvp(model.training.replace(outputs=("loss",)), names, ("loss",))[0]
    gradient = vjp(model.training, "loss", names)[0]
    return jvp(gradient.replace(outputs=()), names, tuple(map(cotangent_name, names)))[0]


@cache
def drawn(name: str, folder: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)

    def draw(tensor: Tensor) -> np.ndarray:
        shape = concrete_shape(tensor.shape, BATCH)
        if tensor.dtype == "index":
            return rng.integers(tensor.limit, size=shape)
        return rng.normal(scale=0.5, size=shape)

    given = [t for t in lowered(name, folder).training.inputs if t.kind not in ("random", "batch_size")]
    values = {tensor.name: draw(tensor) for tensor in given}
    return values | {tangent_name(t.name): draw(t) for t in given if t.kind == "parameter"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("switches")


def changed(folder: Path, off: frozenset[str]) -> list[tuple[str, str]]:
    """Programs that are others without these passes; all of them where scheduling is another."""
    table = [(name, program) for name, wanted in PROGRAMS.items() for program in wanted]
    if not off or off & SCHEDULING:
        return table
    ordinary = {name: optimised(name, folder, frozenset())[0] for name in PROGRAMS}
    return [(n, p) for n, p in table if optimised(n, folder, off)[0][p] != ordinary[n][p]]


@pytest.mark.parametrize(
    "off", [frozenset(), *OFF, LATER, frozenset(SWITCHES)], ids=lambda off: "-".join(sorted(off)) or "nothing"
)
def test_results_agree_without(off: frozenset[str], folder: Path) -> None:
    """All of them off at once as well. Programs that come out as ever are built with nothing left out."""
    table = changed(folder, off)
    assert table
    programs = {name: optimised(name, folder, off)[0] for name in PROGRAMS}
    machine = machine_for("native", find_toolchain())
    settings = Settings(machine, "float64", 1 if "tile" in off else 2, "fuse" not in off, "zeros" not in off)
    module = compile_programs([programs[n][p] for n, p in table], settings, extra_flags=("-O1",))
    for number, (name, program) in enumerate(table):
        plain = raw(lowered(name, folder), program)
        known = {tensor.name for tensor in plain.inputs}
        given = {key: value for key, value in drawn(name, folder).items() if key in known}
        expected = run(plain, given, batch=BATCH, seed=SEED, step=STEP)
        ours = module.run(number, given, batch=BATCH, seed=SEED, step=STEP)
        for output in plain.outputs:
            worst = compare(ours[output], np.asarray(expected[output]), f"{name}, {program}: {output}")
            assert worst.error <= 1e-11, worst


@pytest.mark.parametrize("switch", [name for name in SWITCHES if name not in SCHEDULING])
def test_each_pass_does_something_here(switch: str, folder: Path) -> None:
    """Leaving out a pass that does nothing would prove nothing."""

    def steps(off: frozenset[str]) -> int:
        traces = [optimised(name, folder, off)[1] for name in PROGRAMS]
        return sum(len(s.rewrites) for trace in traces for s in trace.stages if s.name == switch)

    # In place of `simplify` the stable forms are still found, and recorded under its name.
    assert steps(frozenset()) > steps(frozenset([switch])) >= 0
    assert steps(frozenset([switch])) == 0 or switch == "simplify"


def test_everything_is_on_unless_asked(tmp_path: Path) -> None:
    assert Options(tmp_path).without == frozenset()
    assert Trace().without == frozenset()


def test_names_of_switches() -> None:
    assert parse_switches("") == frozenset()
    assert parse_switches("tile, commute") == {"tile", "commute"}
    with pytest.raises(ModelError, match="no such pass"):
        parse_switches("commute,bounds")
