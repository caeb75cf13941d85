"""Whole models whose layers, parameters and stages are called like the compiler's own tensors."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from compiler import ModelError
from compiler.derive.vjp import vjp
from compiler.driver import Driver
from compiler.entry_points import entry_points
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program
from compiler.toolchain.compile_file import Options
from tests.ir.names.hostile import LAYER_NAMES
from tests.ir.names.test_names import PLAIN, cheap_when_changed, drawn
from tests.workshop import compile_quickly, import_module

MODEL = """
from compiler import *

model = Sequential(
    [
        Input(6),
        Formula('''
            {s}[b, {i}] = x[b, {i}]*{p}[{i}] + {c}
            {t}[b, {i}] = {s}[b, {i}]*{s}[b, {i}]
            y[b, {i}] = max[{j}:2]({t}[b, {i} + {j}])
        ''', parameters={{"{p}": GlorotUniform()}}, constants={{"{c}": 0.25}}, name={a!r}),
        Formula('''
            {s}[b, {i}] = tanh(x[b, {i}])
            y[b, {i}:5] = sum[{j}:3](pad({s}, 0)[b, {i} + {j} - 1]*{q}[{j}]) + uniform[b, {i}]*{i}
        ''', parameters={{"{q}": GlorotUniform()}}, name={b!r}),
        Dense(4, name={d!r}),
        BatchNormalization(name={e!r}),
        Softmax(name={f!r}),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(0.01),
)
"""
SEQUENCES = """
from compiler import *

model = Sequential(
    [
        Input(4, 2),
        Formula('''
            {s}[b, {k}, {i}] = x[b, {k}, {i}] + {t}[b, {k} - 1, {i}]*{p}[{i}] if {k} >= 1 else {c}
            {t}[b, {k}, {i}] = tanh({s}[b, {k}, {i}])
            y[b, {k}, {i}] = {t}[b, {k}, {i}] - {s}[b, {k}, {i}]
        ''', parameters={{"{p}": GlorotUniform()}}, constants={{"{c}": 0.25}}, name={a!r}),
        GRU(2, name={b!r}),
        Dense(3, name={d!r}),
    ],
    loss=FormulaLoss('''
        {s}[b] = log(sum[{j}](exp({q}[b, {j}])))
        loss[] = mean[b]({s}[b] - {q}[b, label[b]] + {c})
    ''', inputs=("{q}",), label=(), classes=3, constants={{"{c}": 0.5}}),
    optimizer=SGD(0.01),
)
"""
LAYERS = dict(zip("abdef", ("first", "second", "third", "fourth", "fifth"), strict=True))


EVERY = ("vjp", "jvp", "hvp")
FEW = ("vjp", "jvp")
"""What `make test` looks at of whole models; Hessian products of formulas are in tests/ir/names."""


def programs(
    folder: Path,
    names: dict[str, str],
    layers: dict[str, str],
    model: str = MODEL,
    modes: tuple[str, ...] = FEW,
) -> dict[str, Program]:
    path = folder / "model.py"
    path.write_text(model.format(**names, **layers), encoding="utf-8")
    lowered = lower(load_model(path))
    entries = entry_points(lowered, Driver(cheap_when_changed), modes)
    return {entry.name: entry.program for entry in entries}


def results(program: Program) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    inputs = {
        t.name: rng.integers(t.limit, size=3) if t.dtype == "index" else rng.uniform(0.2, 1, shape)
        for t in program.inputs
        if t.kind not in ("random", "iota", "batch_size")
        for shape in [concrete_shape(t.shape, 3)]
    }
    values = run(program, inputs, batch=3, seed=4)
    return [np.asarray(values[name]) for name in program.outputs]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[np.ndarray]]:
    return with_plain_names(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def plain_in_every_mode(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[np.ndarray]]:
    return with_plain_names(tmp_path_factory.mktemp("plain"), modes=EVERY)


def with_plain_names(folder: Path, **options) -> dict[str, list[np.ndarray]]:
    built = programs(folder, PLAIN, LAYERS, **options)
    return {name: results(program) for name, program in built.items()}


def hostile(seed: int) -> tuple[dict[str, str], dict[str, str]]:
    rng = random.Random(seed)
    return drawn(rng, "max"), dict(zip("abdef", rng.sample(LAYER_NAMES, 5), strict=True))


FIXED = (
    PLAIN | {"s": "tangent", "t": "winner", "p": "iota", "i": "part", "j": "winner", "c": "int"},
    dict(zip("abdef", ("batch_size", "iota", "class", "padded", "µ"), strict=True)),
)


def assert_alike(folder: Path, plain: dict[str, list[np.ndarray]], names, layers, **options) -> None:
    for name, program in programs(folder, names, layers, **options).items():
        for found, wanted in zip(results(program), plain[name], strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.long
def test_chosen_names(tmp_path: Path, plain_in_every_mode: dict[str, list[np.ndarray]]) -> None:
    assert_alike(tmp_path, plain_in_every_mode, *FIXED, modes=EVERY)


def test_names_of_recurrences_and_losses(tmp_path: Path) -> None:
    options = {"model": SEQUENCES, "modes": ("vjp",)}
    plain = with_plain_names(tmp_path, **options)
    assert_alike(tmp_path, plain, *hostile(7), **options)


@pytest.mark.long
def test_names_of_a_model(tmp_path: Path, plain: dict[str, list[np.ndarray]]) -> None:
    assert_alike(tmp_path, plain, *hostile(0))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 205))
def test_many_names_of_models(
    seed: int, tmp_path: Path, plain_in_every_mode: dict[str, list[np.ndarray]]
) -> None:
    assert_alike(tmp_path, plain_in_every_mode, *hostile(seed), modes=EVERY)


def steps(folder: Path, file: str, names: dict[str, str], layers: dict[str, str]) -> list[np.ndarray]:
    """What a compiled module computes of the model, in every mode."""
    path = folder / f"{file}.py"
    path.write_text(MODEL.format(**names, **layers), encoding="utf-8")
    modes = ("vjp", "jvp", "hvp")
    module = import_module(compile_quickly(path, Options(folder, dtype="float64", modes=modes)).module)
    net = module.Network(seed=3)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.2, 1, (5, 6)), rng.integers(4, size=5)
    along = {name: np.full(array.shape, 0.5) for name, array in net.parameters.items()}
    found = [net.predict(x), *net.value_and_grad(x, y)[1].values(), *net.jvp(x, y, along)]
    found += [*net.hvp(x, y, along).values(), net.train_step(x, y), *net.parameters.values()]
    return list(map(np.asarray, found))


@pytest.mark.long
@pytest.mark.parametrize("names", [FIXED, hostile(1001)], ids=["chosen", "drawn"])
def test_compiled_models(names: tuple[dict[str, str], dict[str, str]], tmp_path: Path, workshop) -> None:
    wanted = steps(tmp_path, "plain", PLAIN, LAYERS)
    for found, right in zip(steps(tmp_path, "hostile", *names), wanted, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)


def test_a_compiled_model(tmp_path: Path, workshop) -> None:
    """Its loss and gradients are those of the interpreter, which knows the same names."""
    (tmp_path / "hostile.py").write_text(MODEL.format(**FIXED[0], **FIXED[1]), encoding="utf-8")
    options = Options(tmp_path / "generated", target="scalar", dtype="float64")
    net = import_module(compile_quickly(tmp_path / "hostile.py", options).module).Network(seed=3)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.2, 1, (5, 6)), rng.integers(4, size=5)
    program, _ = vjp(lower(load_model(tmp_path / "hostile.py")).training, "loss", tuple(net.parameters))
    given = {"input": x, "label": y} | dict(net.parameters) | dict(net.state)
    expected = run(program, given, seed=net.seed, step=net.step)
    loss, gradients = net.value_and_grad(x, y)
    np.testing.assert_allclose(loss, expected["loss"], rtol=1e-12)
    for name, found in gradients.items():
        right = expected[program.find("cotangent", name)]
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12, err_msg=name)
    assert net.train_step(x, y) == loss


@pytest.mark.parametrize("micro", ["\u00b5", "\u03bc"])
def test_one_letter_has_one_spelling(micro: str, tmp_path: Path) -> None:
    """µ in the formula is μ to Python's parser: what is given by name is found under either."""
    for other in ("\u00b5", "\u03bc"):
        path = tmp_path / "model.py"
        path.write_text(
            "from compiler import *\n"
            f"layer = Formula('y[b, {micro}i] = {micro}[{micro}i]*x[b, {micro}i] + {micro}c',"
            f" parameters={{'{other}': Ones()}}, constants={{'{other}c': 2}}, sizes={{'{other}i': 3}},"
            f" name='{other}n')\n"
            "model = Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD(0.1))\n",
            encoding="utf-8",
        )
        model = lower(load_model(path))
        assert [parameter.name for parameter in model.parameters] == ["\u03bcn.\u03bc"]
        assert model.predict.outputs[0] == "\u03bcn"


def test_two_spellings_of_one_name_are_two_things(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "from compiler import *\n"
        "layer = Formula('y[b, i] = x[b, i]*μ[i]', parameters={'\u00b5': Ones(), '\u03bc': Ones()})\n"
        "model = Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD(0.1))\n",
        encoding="utf-8",
    )
    with pytest.raises(ModelError, match="name of two things"):
        load_model(path)
