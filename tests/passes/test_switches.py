"""Every program of several models with one pass left out: the same results, but for rounding.

The programs come from `entry_points`, in the order of a real compilation; the interpreter runs the program
as the calculus gives it, before any pass.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.driver import Driver
from compiler.entry_points import entry_points
from compiler.errors import ModelError
from compiler.frontend.lower import LoweredModel, lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.description import Model, Sequential
from compiler.language.layers import (
    GRU,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Formula,
    GlobalAveragePooling2D,
    Input,
    MaxPool2D,
    MultiHeadAttention,
    SimpleRNN,
    Softmax,
)
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.pipeline import PASSES, parse_switches, switchable
from compiler.pricing import cost_for, costs_nothing
from compiler.schedule.settings import Settings
from compiler.toolchain.compile_file import Options
from tests import machines
from tests.derive.model_cases import MODELS
from tests.derive.rungs import compare
from tests.modules.test_phases import NORMALISED
from tests.schedule.building import SEED, STEP
from tests.schedule.running import interpret_programs

PROGRAMS = {
    "residual": ("input_gradient", "predict"),
    "digits": ("input_gradient", "predict"),
    "normalised": ("input_gradient", "predict"),
    "wide": ("input_gradient", "predict"),
    "pooled": ("jvp",),
    "regression": ("hvp",),
    "recurrent": ("input_gradient", "hvp"),
    "waves": ("input_gradient",),
    "attending": ("input_gradient",),
}
"""What is compared of each model. Only derivatives of derivatives have sums of products to distribute, and
only tangents read a contraction at saved winners alone."""
SWITCHES = switchable()
SCHEDULING = {row.name for row in PASSES if row.part in ("planning", "schedule")}
"""What comes after the programs that are compared here."""
SHOWN = {
    "nothing": (("normalised", "input_gradient"), ("wide", "predict")),
    "commute": (("digits", "input_gradient"),),
    "demand": (("digits", "input_gradient"),),
    "pad": (("wide", "input_gradient"),),
    "simplify": (("digits", "input_gradient"), ("regression", "hvp")),
    "distribute": (("regression", "hvp"),),
    "outside": (("recurrent", "input_gradient"),),
    "ahead": (("waves", "input_gradient"),),
    "select": (("digits", "input_gradient"),),
    "invert": (("residual", "input_gradient"),),
    "pick": (("pooled", "jvp"),),
    "winograd": (("wide", "input_gradient"),),
    "transpose": (("attending", "input_gradient"),),
    "pack": (("digits", "input_gradient"),),
    "everything": (("residual", "input_gradient"), ("normalised", "input_gradient")),
}
"""Programs that `make test` looks at without a pass, each changed by it; `make long` looks at all of them."""
MACHINE = machines.MODELS["amd-avx512"]
"""Every pass finds something to do on it, `pick` too, which pays where a unit takes half of a vector."""
BATCH = 5


@cache
def lowered(name: str, folder: Path) -> LoweredModel:
    if name in MODELS:
        return lower(MODELS[name][0]())
    if name in BUILT:
        return lower(BUILT[name]())
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


def _recurrent() -> Model:
    """Of each step an output, which is read by another layer."""
    layers = [Input(4, 3), SimpleRNN(2, return_sequences=True), GRU(2, return_sequences=True), Dense(3)]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD())


def _waves() -> Model:
    """A recurrence whose slope is no arithmetic of what it computes."""
    formula = "y[b, t, c] = 2 * sin(x[b, t, c] + (x[b, t, c] * y[b, t - 1, c] if t >= 1 else 0))"
    return Sequential([Input(4, 3), Formula(formula)], loss=MeanSquaredError(), optimizer=SGD())


def _attending() -> Model:
    """Positions enough for a copy of the keys to pay."""
    layers = [Input(16, 8), MultiHeadAttention(2, 8), Dense(3)]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD())


BUILT = {"wide": _wide, "pooled": _pooled, "recurrent": _recurrent, "waves": _waves, "attending": _attending}


@cache
def optimised(name: str, folder: Path, off: frozenset[str]) -> tuple[dict[str, Program], Driver]:
    """The model's programs, ready for planning, and the record of how they came about."""
    model, driver = lowered(name, folder), Driver(cost_for(MACHINE, "float64"), off)
    modes = ("vjp", *(mode for mode in ("jvp", "hvp") if mode in PROGRAMS[name]))
    return {entry.name: entry.program for entry in entry_points(model, driver, modes)}, driver


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


def passes(switch: str) -> frozenset[str]:
    """What a row of SHOWN leaves out."""
    return {"nothing": frozenset(), "everything": frozenset(SWITCHES)}.get(switch, frozenset([switch]))


def test_results_agree_without_a_pass(folder: Path) -> None:
    """Every pass of programs left out once, alone and with all others, in one module."""
    rows = [(passes(switch), *row) for switch, table in SHOWN.items() for row in table]
    assert {name for off, *_ in rows for name in off} == set(SWITCHES)
    check(rows, Settings(MACHINE, "float64", 2), folder)


@pytest.mark.parametrize("switch", ["fuse", "tile"])
def test_results_agree_without_scheduling(switch: str, folder: Path) -> None:
    """tests/schedule/test_nonzero.py compares bits without "zeros", tests/plan what is left out of plans."""
    rows = [(passes(switch), "digits", "input_gradient"), (passes(switch), "pooled", "jvp")]
    check(rows, scheduled(passes(switch)), folder)


@pytest.mark.long
@pytest.mark.parametrize(
    "off",
    [frozenset(), *map(passes, SWITCHES), frozenset(SWITCHES)],
    ids=lambda off: "-".join(sorted(off)) or "nothing",
)
def test_all_results_agree_without(off: frozenset[str], folder: Path) -> None:
    """Programs that come out as ever are built with nothing left out."""
    table = changed(folder, off)
    assert table
    check([(off, *row) for row in table], scheduled(off), folder, off)


def scheduled(off: frozenset[str]) -> Settings:
    return Settings(MACHINE, "float64", 1 if "tile" in off else 2, "fuse" not in off, "zeros" not in off)


def check(
    rows: list[tuple[frozenset[str], str, str]],
    settings: Settings,
    folder: Path,
    unplanned: frozenset[str] = frozenset(),
) -> None:
    """Each program (what to leave out, model, program) in a kernel against the interpreter of the raw one.

    All are planned without what is `unplanned`."""
    programs = [optimised(name, folder, off)[0][program] for off, name, program in rows]
    module = interpret_programs(programs, settings, without=unplanned)
    for number, (off, name, program) in enumerate(rows):
        plain = raw(lowered(name, folder), program)
        known = {tensor.name for tensor in plain.inputs}
        given = {key: value for key, value in drawn(name, folder).items() if key in known}
        expected = run(plain, given, batch=BATCH, seed=SEED, step=STEP)
        ours = module.run(number, given, batch=BATCH, seed=SEED, step=STEP)
        for output in plain.outputs:
            where = f"{name}, {program} without {', '.join(sorted(off)) or 'nothing'}: {output}"
            worst = compare(ours[output], np.asarray(expected[output]), where)
            assert worst.error <= 1e-11, worst


@pytest.mark.parametrize("switch", [name for name in SHOWN if name in SWITCHES])
def test_each_pass_does_something_here(switch: str, folder: Path) -> None:
    """Leaving out a pass that does nothing would prove nothing."""
    for name, program in SHOWN[switch]:
        programs, driver = optimised(name, folder, frozenset())
        others, without = optimised(name, folder, frozenset([switch]))
        assert programs[program] != others[program]
        assert any(step.rewrites for step in driver.steps if step.name == switch)
        assert not any(step.name == switch for step in without.steps)


def test_everything_is_on_unless_asked(tmp_path: Path) -> None:
    assert Options(tmp_path).without == frozenset()
    assert Driver(costs_nothing).without == frozenset()


def test_names_of_switches() -> None:
    assert parse_switches("") == frozenset()
    assert parse_switches("tile, commute") == {"tile", "commute"}
    with pytest.raises(ModelError, match="no such pass"):
        parse_switches("commute,bound")
    with pytest.raises(ModelError, match="bounds cannot be left out"):
        parse_switches("commute,bounds")
