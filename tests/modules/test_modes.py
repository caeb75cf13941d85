"""Forward mode and Hessian-vector products of a generated module, against the interpreter and themselves."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from compiler.derive.jvp import jvp, tangent_name
from compiler.derive.vjp import cotangent_name, vjp
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.toolchain.compile_file import Options, compile_file
from tests.derive.rungs import compare
from tests.modules.test_network import data, same_bits
from tests.workshop import EVERY_MODE as MODES
from tests.workshop import compile_quickly, import_module

every_model = pytest.mark.parametrize("name", [pytest.param("mlp", marks=pytest.mark.long), "tiny"])


def tangents_of(net, module: ModuleType, batch: int | None = None, seed: int = 9) -> dict[str, np.ndarray]:
    """A signed random direction for every parameter, and for the input of a batch."""
    rng = np.random.default_rng(seed)
    shapes = {name: array.shape for name, array in net.parameters.items()}
    if batch is not None:
        shapes["input"] = (batch, *module.INPUT_SHAPE)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def interpreted(path, net, x, y, tangents) -> dict[str, np.ndarray]:
    """Every tensor of the derived programs as the calculus gives them, before any pass."""
    training = lower(load_model(path)).training
    wrt = (*net.parameters, "input")
    gradient, _ = vjp(training, "loss", wrt)
    program, _ = jvp(gradient, wrt, ("loss", *map(cotangent_name, wrt)))
    along = {
        tangent_name(name): tangents.get(name, np.zeros(gradient_shape))
        for name, gradient_shape in [("input", x.shape), *((n, a.shape) for n, a in net.parameters.items())]
    }
    return run(program, {"input": x, "label": y} | dict(net.parameters) | along, seed=net.seed, step=net.step)


@every_model
@pytest.mark.parametrize("with_input", [False, True])
def test_modes_equal_the_interpreter(name: str, with_input: bool, built, models) -> None:
    module = built(name, "float64", MODES)
    net = module.Network(seed=2)
    net.step = 4
    x, y = data(module, 5)
    tangents = tangents_of(net, module, 5 if with_input else None)
    expected = interpreted(models(name), net, x / 255, y, tangents)
    loss, along = net.jvp(x, y, tangents)
    assert loss == pytest.approx(float(expected["loss"]), rel=1e-10)
    assert along == pytest.approx(float(expected["loss.tangent"]), rel=1e-10)
    products = net.hvp(x, y, tangents)
    assert tuple(products) == (*net.parameters, "input") if with_input else tuple(net.parameters)
    for tensor, product in products.items():
        worst = compare(product, expected[tangent_name(cotangent_name(tensor))], f"{name}: {tensor}")
        assert worst.error <= 1e-10, worst
    assert net.step == 4


@every_model
def test_jvp_is_the_gradient_along_the_tangents(name: str, built) -> None:
    """With the same dropout mask: at the same seed and step."""
    module = built(name, "float64", MODES)
    net = module.Network(seed=1)
    x, y = data(module, 19)
    tangents = tangents_of(net, module, 19)
    for step in (0, 3):
        net.step = step
        loss, gradients = net.value_and_grad(x, y, inputs=True)
        value, along = net.jvp(x, y, tangents)
        assert value == pytest.approx(loss, rel=1e-12)
        expected = sum(float(np.vdot(gradients[key], tangents[key])) for key in tangents)
        assert along == pytest.approx(expected, rel=1e-10)


@every_model
def test_the_hessian_is_symmetric(name: str, built) -> None:
    module = built(name, "float64", MODES)
    net = module.Network(seed=1)
    x, y = data(module, 9)
    u, v = tangents_of(net, module, 9, seed=1), tangents_of(net, module, 9, seed=2)
    hu, hv = net.hvp(x, y, u), net.hvp(x, y, v)
    one = sum(float(np.vdot(hu[key], v[key])) for key in v)
    other = sum(float(np.vdot(hv[key], u[key])) for key in u)
    assert one == pytest.approx(other, rel=1e-9)


IN_FLOAT32 = [pytest.param(name, "float32", marks=pytest.mark.long) for name in ("mlp", "tiny")]


@pytest.mark.parametrize(("name", "dtype"), [("tiny", "float64"), *IN_FLOAT32])
@pytest.mark.parametrize("batch", [1, 7, 130])
def test_threads_do_not_change_a_bit(name: str, dtype: str, batch: int, built) -> None:
    module = built(name, dtype, MODES)
    x, y = data(module, batch)
    results = []
    for threads in (1, 2, 3, 4):
        net = module.Network(seed=5, threads=threads)
        tangents = tangents_of(net, module, batch)
        losses, gradients = net.per_example_gradients(x, y)
        results.append((net.jvp(x, y, tangents), net.hvp(x, y, tangents), gradients | {"loss": losses}))
    for pair, products, gradients in results[1:]:
        assert pair == results[0][0]
        assert same_bits(products, results[0][1])
        assert same_bits(gradients, results[0][2])


@every_model
def test_gradients_of_each_example(name: str, built) -> None:
    """Their means are the batch's, dropout included; without dropout each is that of a batch of one."""
    module = built(name, "float64", MODES)
    net = module.Network(seed=1)
    x, y = data(module, 7)
    losses, gradients = net.per_example_gradients(x, y)
    assert losses.shape == (7,)
    assert {k: v.shape for k, v in gradients.items()} == {k: (7, *v.shape) for k, v in net.parameters.items()}
    loss, expected = net.value_and_grad(x, y)
    assert losses.mean() == pytest.approx(loss, rel=1e-12)
    for key, array in expected.items():
        assert compare(gradients[key].mean(axis=0), array, key).error < 1e-11
    if name == "mlp":  # no dropout
        for k in range(7):
            loss, expected = net.value_and_grad(x[k : k + 1], y[k : k + 1])
            assert losses[k] == pytest.approx(loss, rel=1e-12)
            for key, array in expected.items():
                assert compare(gradients[key][k], array, key).error < 1e-11


def test_what_is_missing_is_zero(built) -> None:
    module = built("tiny", "float64", MODES)
    net = module.Network(seed=0)
    x, y = data(module, 4)
    tangents = tangents_of(net, module)
    full = {key: np.zeros_like(value) for key, value in tangents.items()}
    full["dense_1.kernel"] = tangents["dense_1.kernel"]
    # A full set first: nothing of it may be left over.
    net.jvp(x, y, tangents)
    alone = {"dense_1.kernel": tangents["dense_1.kernel"]}
    assert net.jvp(x, y, alone) == net.jvp(x, y, full)
    assert same_bits(net.hvp(x, y, alone), net.hvp(x, y, full))
    assert net.jvp(x, y, {})[1] == 0.0
    loss, _ = net.value_and_grad(x, y)
    assert net.jvp(x, y, alone)[0] == pytest.approx(loss, rel=1e-12)


def test_rows(built) -> None:
    module = built("tiny", "float64", MODES)
    net = module.Network(seed=0)
    x, y = data(module, 9)
    tangents, rows = tangents_of(net, module), [3, 0, 7, 3]
    assert net.jvp(x, y, tangents, rows=rows) == net.jvp(x[rows], y[rows], tangents)
    assert same_bits(net.hvp(x, y, tangents, rows=rows), net.hvp(x[rows], y[rows], tangents))


WRONG = {
    "unknown name": (
        lambda t: t | {"dense_9.kernel": 1.0},
        ValueError,
        ["'dense_1.kernel'", "'dense_9.kernel'"],
    ),
    "wrong shape": (lambda t: t | {"dense_1.bias": np.ones(4)}, ValueError, ["dense_1.bias", "(3,)", "(4,)"]),
    "a number": (lambda t: t | {"dense_1.bias": 1.0}, ValueError, ["dense_1.bias", "(3,)", "()"]),
    "one of another batch": (
        lambda t: t | {"input": np.ones((3, 12, 12, 1))},
        ValueError,
        ["input", "(4, 12, 12, 1)", "(3, 12, 12, 1)"],
    ),
    "complex": (
        lambda t: t | {"dense_1.bias": np.ones(3, complex)},
        TypeError,
        ["dense_1.bias", "complex128"],
    ),
    "booleans": (lambda t: t | {"dense_1.bias": np.ones(3, bool)}, TypeError, ["dense_1.bias", "bool"]),
    "nothing": (lambda t: t | {"dense_1.bias": None}, TypeError, ["dense_1.bias", "object"]),
    "a list": (lambda t: list(t.values()), TypeError, ["mapping", "list"]),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("mode", ["jvp", "hvp"])
def test_wrong_tangents(what: str, mode: str, built) -> None:
    module = built("tiny", "float64", MODES)
    net = module.Network(seed=0)
    change, kind, fragments = WRONG[what]
    with pytest.raises(kind) as caught:
        getattr(net, mode)(*data(module, 4), change(tangents_of(net, module)))
    assert all(fragment in str(caught.value) for fragment in fragments), str(caught.value)


def test_integer_tangents_and_a_network_after_an_error(built) -> None:
    module = built("tiny", "float64", MODES)
    net = module.Network(seed=0)
    x, y = data(module, 4)
    ones = {"dense_1.bias": [1, 0, -2]}
    expected = net.jvp(x, y, {"dense_1.bias": np.array([1.0, 0.0, -2.0])})
    with pytest.raises(ValueError):
        net.jvp(x, y, {"dense_1.kernel": np.full((4, 3), np.nan), "dense_1.bias": [1]})
    assert net.jvp(x, y, ones) == expected


@pytest.mark.parametrize("mode", MODES)
def test_an_absent_mode_names_the_option(mode: str, built) -> None:
    module = built("small")
    assert module.MODES == ("vjp",)
    net = module.Network(seed=0)
    method = getattr(net, "per_example_gradients" if mode == "per_example" else mode)
    with pytest.raises(RuntimeError, match=f"--modes {mode}"):
        method(np.ones((2, 3), np.float32), np.ones((2, 2)), {})


def test_an_unknown_mode(models, tmp_path) -> None:
    with pytest.raises(ModelError, match="unknown mode") as caught:
        compile_file(models("small"), Options(tmp_path, modes=("jpv",)))
    assert "jvp, hvp" in str(caught.value)
    assert "'jpv'" in str(caught.value)


CONVENTIONS = """from compiler import SGD, Forward, Input, Layer, MeanSquaredError, Ones, Parameter
from compiler import Sequential

class Kinks(Layer):
    def forward(self, x):
        formula = "y[b, c] = w[c]**2 * max(x[b, c], 0) + w[c]*abs(x[b, c]) + max[k:2](w[c] * x[b, k])"
        return Forward(formula, x, parameters={"w": Parameter(x, Ones())})

model = Sequential([Input(2), Kinks()], loss=MeanSquaredError(), optimizer=SGD(0.1))
"""


@pytest.mark.long
def test_kinks(workshop, tmp_path, models) -> None:
    """At corners and ties: max(x, 0) and abs have slope 0, and the first maximum wins, in every mode."""
    (tmp_path / "kinks.py").write_text(CONVENTIONS)
    options = Options(tmp_path, target="scalar", dtype="float64", modes=MODES)
    module = import_module(compile_quickly(tmp_path / "kinks.py", options).module)
    net = module.Network(seed=0)
    x, y = np.array([[0.0, 0.0], [1.0, 1.0]]), np.zeros((2, 2))
    tangents = {"input": np.array([[1.0, 10.0], [100.0, 1000.0]])}
    expected = interpreted(tmp_path / "kinks.py", net, x, y, tangents)
    assert net.jvp(x, y, tangents)[1] == pytest.approx(float(expected["loss.tangent"]), rel=1e-13)
    # The loss of the second example is (2 + 1)²·2/4; its outputs move by 2·dx + dx of the first winner.
    assert net.jvp(x, y, tangents)[1] == pytest.approx(3 * (300 + 2100) / 2)
    for key, product in net.hvp(x, y, tangents).items():
        np.testing.assert_allclose(product, expected[tangent_name(cotangent_name(key))], rtol=1e-13)
