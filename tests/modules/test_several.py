"""Several inputs, outputs and losses: by name at the door, each in its place, and derivatives of the sum."""

from __future__ import annotations

import ast
from types import ModuleType

import numpy as np
import pytest

from compiler import module_source
from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model
from compiler.language.initializers import GlorotUniform
from compiler.language.layers import Dense, Embedding, Flatten, Formula, Input, Parameter, Sigmoid, Softmax
from compiler.language.losses import BinaryCrossEntropy, CrossEntropy, FormulaLoss, MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.modes import MODES
from compiler.module_source import ModuleSource
from compiler.tools.check.rungs import check
from compiler.tools.measure.module import random_batch
from runtime.errors import DataError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.matrices import hessian, jacobian
from runtime.trainer import fit
from tests.machines import TARGETS
from tests.workshop import module_of

TARGET = TARGETS["scalar"]
SIZE, WORDS = 4, 7
ASKED = tuple(mode for mode in MODES if mode not in ("fisher", "diagnose"))
SMALL = Parameter((SIZE, 5), GlorotUniform())
WEIGHTS = {"same": 0.5, "small": 0.01}


def described() -> Model:
    """Reals, words and a mask; two outputs; a loss on each, one of an input, a penalty on a hidden value."""
    point, words = Input(SIZE, name="point"), Input(3, vocabulary=WORDS, name="words")
    mask = Input(3, dtype="bool", name="mask")
    seen = Formula("y[b, t, c] = x1[b, t, c] if x2[b, t] > 0 else 0")(Embedding(WORDS, 2)(words), mask)
    joined = Formula("y[b, o] = sum[i](k[i, o] * x1[b, i]) + sum[i](x2[b, i])", parameters={"k": SMALL})
    hidden = joined(point, Flatten()(seen))
    digit, same = Softmax()(Dense(3)(hidden)), Sigmoid()(Dense(1)(hidden))
    losses = {
        "digit": CrossEntropy(),
        "same": BinaryCrossEntropy()(same),
        "again": MeanSquaredError()(Dense(SIZE)(hidden), point),
        "small": FormulaLoss("loss[] = mean[b](sum[i](h[b, i]**2))", inputs=("h",))(hidden),
    }
    outputs = {"digit": digit, "equal": same}
    inputs = [point, words, mask]
    return Model(inputs, outputs, losses=losses, loss_weights=WEIGHTS, optimizer=SGD(0.1), name="several")


@pytest.fixture(scope="module")
def source() -> ModuleSource:
    return module_source.compile_to_source(described(), TARGET, "float64", "digest", modes=ASKED)


@pytest.fixture(scope="module")
def module(source: ModuleSource, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return module_of(source, tmp_path_factory.mktemp("several"))


def batch(count: int = 37) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = {
        "point": rng.normal(size=(count, SIZE)),
        "words": rng.integers(WORDS, size=(count, 3)),
        "mask": rng.random((count, 3)) < 0.6,
    }
    return x, {"digit": rng.integers(3, size=count), "same": rng.integers(2, size=(count, 1)).astype(float)}


def interpreted(x: dict, y: dict, net) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    model = lower(described())
    wrt = (*net.parameters, "point")
    program = vjp(model.training, model.total, wrt)[0]
    given = {**x, **{f"loss.{name}.label": array for name, array in y.items()}, **net.parameters}
    found = run(program, given | {"mask": x["mask"].astype(float)})
    names = {model.roles[value].of: float(found[value]) for value in model.values}
    return names, {name: found[c] for name, c in zip(wrt, program.outputs[len(model.values) :], strict=True)}


def test_gradients_of_the_sum(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=1), batch()
    values, expected = interpreted(x, y, net)
    found, gradients = net.value_and_grad(x, y, inputs=True)
    assert list(found) == ["loss", "digit", "same", "again", "small"] and found == pytest.approx(values)
    weighted = sum(WEIGHTS.get(name, 1) * value for name, value in found.items() if name != "loss")
    assert found["loss"] == pytest.approx(weighted)
    assert list(gradients) == list(expected)
    for name, gradient in gradients.items():
        assert gradient == pytest.approx(expected[name], abs=1e-12), name
    plain = net.value_and_grad(tuple(x.values()), list(y.values()))
    assert plain[0] == found and list(plain[1]) == list(net.parameters)


def test_the_four_rungs(module: ModuleType) -> None:
    report = check(lower(described()), module.Network(seed=2), None, batch=9)
    assert report.passed, str(report)


def test_what_is_given_back(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=1), batch()
    rows = np.arange(0, 37, 3)
    some = [{name: array[rows] for name, array in given.items()} for given in (x, y)]
    outputs = net.predict(some[0])
    assert {name: array.shape for name, array in outputs.items()} == {"digit": (13, 3), "equal": (13, 1)}
    losses, again = net.evaluate(*some)
    # A loss has its own way to the sum of a softmax, which keeps digits that the output need not.
    for name, output in outputs.items():
        np.testing.assert_allclose(again[name], output, rtol=1e-14)
    assert net.train_step(x, y, rows) == pytest.approx(losses)
    values, slopes = net.jvp(x, y, {"point": np.ones_like(x["point"])})
    assert list(values) == list(slopes) == list(losses)
    each, _ = net.per_example_gradients(x, y)
    assert each.mean() == pytest.approx(net.value_and_grad(x, y)[0]["loss"])
    assert net.predict({name: array[:0] for name, array in x.items()})["digit"].shape == (0, 3)


def test_the_door_names_what_is_wrong(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=1), batch()
    for given, error, message in (
        ({**x, "words": x["words"][:-1]}, ValueError, r"x\['words'\]: expected a batch of 37, found shape"),
        ({**x, "words": x["words"] + 1}, ValueError, r"x\['words'\]: expected integers from 0 to 6, found 7"),
        ({**x, "mask": x["point"][:, :3]}, TypeError, r"x\['mask'\]: expected truth values, found float64"),
        ({**x, "point": x["mask"]}, TypeError, r"x\['point'\]: expected float64 or uint8"),
        ({"point": x["point"]}, ValueError, "x: expected arrays by the names .* found nothing for 'words'"),
        ({**x, "more": 1}, ValueError, "found something for 'more'"),
        (x["point"], TypeError, "x: expected 3 arrays"),
        ((x["point"], x["words"]), ValueError, "x: expected 3 arrays .*, found 2"),
    ):
        with pytest.raises(error, match=message):
            net.predict(given)
    with pytest.raises(ValueError, match=r"y\['digit'\]: expected integer labels from 0 to 2"):
        net.train_step(x, {**y, "digit": y["digit"] + 1})
    with pytest.raises(ValueError, match=r"x\['point'\] and y\['same'\]: expected as many labels"):
        net.train_step(x, {**y, "same": y["same"][1:]}, np.arange(3))
    with pytest.raises(ValueError, match="tangents: expected some of"):
        net.jvp(x, y, {"mask": x["mask"]})


def test_the_stub(source: ModuleSource, module: ModuleType) -> None:
    classes = (node for node in ast.parse(source.stub).body if isinstance(node, ast.ClassDef))
    network = next(node for node in classes if node.name == "Network")
    methods = {node.name: node for node in network.body if isinstance(node, ast.FunctionDef)}
    kind = "Mapping[str, ArrayLike] | Sequence[ArrayLike]"
    assert [ast.unparse(a.annotation) for a in methods["train_step"].args.args[1:3]] == [kind, kind]
    assert ast.unparse(methods["train_step"].returns) == "dict[str, float]"
    assert ast.unparse(methods["predict"].returns) == "dict[str, NDArray[np.float64]]"
    assert module.INPUTS == {"point": "POINT", "words": "WORDS", "mask": "MASK"}
    assert module.POINT_SHAPE == (SIZE,) and module.MASK_KIND == "bool"


def test_training(module: ModuleType) -> None:
    """`fit` takes tuples and dictionaries, and its history has every loss by its name."""
    net, (x, y) = module.Network(seed=1), batch(100)
    interface = ModelInterface.of_module(module)
    options = {"batch_size": 20, "epochs": 3, "verbose": 0, "interface": interface}
    history = fit(net, x, tuple(y.values()), validation_split=0.2, **options).history
    assert set(history) == {
        *("learning_rate", "loss", "digit_loss", "same_loss", "again_loss", "small_loss"),
        *("val_loss", "val_digit_loss", "val_same_loss", "val_again_loss", "val_small_loss"),
    }
    assert history["loss"][2] < history["loss"][0]
    halves, whole = module.Network(seed=1), module.Network(seed=1)
    parts = fit(halves, x, y, **options | {"batch_size": 10}, accumulate=2).history
    assert parts["same_loss"] == pytest.approx(fit(whole, x, y, **options).history["same_loss"])
    held_out = evaluate(
        net, *({k: a[80:] for k, a in given.items()} for given in (x, y)), interface=interface
    )
    assert history["val_digit_loss"][2] == pytest.approx(held_out.losses["digit"])
    with pytest.raises(DataError, match="training inputs 'words' do not fit"):
        fit(net, {**x, "words": x["words"] + 1}, y, **options)
    with pytest.raises(DataError, match="training labels are not those that the model takes"):
        fit(net, x, y["digit"], **options)


def test_measurements_draw_what_the_module_takes(module: ModuleType) -> None:
    x, y = random_batch(module, 5)
    assert np.isfinite(module.Network(seed=0).train_step(x, y)["loss"])


def test_cotangents_and_matrices(module: ModuleType) -> None:
    """`vjp` against the interpreter, and the rows of a Jacobian and a Hessian against its products."""
    net, (x, y) = module.Network(seed=1), batch(5)
    rng = np.random.default_rng(4)
    cotangents = {"digit": rng.normal(size=(5, 3)), "equal": rng.normal(size=(5, 1))}
    outputs, gradients = net.vjp(x, cotangents, inputs=True)
    for name, array in net.predict(x).items():
        np.testing.assert_allclose(outputs[name], array, rtol=1e-12)
    rows = {name: jacobian(net, x, "point", name) for name in outputs}
    assert rows["digit"].shape == (5, 3, SIZE) and rows["equal"].shape == (5, 1, SIZE)
    expected = sum(np.einsum("bk,bki->bi", cotangents[name], rows[name]) for name in rows)
    np.testing.assert_allclose(gradients["point"], expected, atol=1e-13)
    by_bias = jacobian(net, x, "dense_1.bias", "digit")
    weighed = np.einsum("bk,bki->i", cotangents["digit"], by_bias)
    alone = net.vjp(x, (cotangents["digit"], np.zeros((5, 1))))[1]
    np.testing.assert_allclose(alone["dense_1.bias"], weighed, atol=1e-13)
    h = 1e-6
    for k in range(3):
        moved = {**x, "point": x["point"] + h * rng.normal(size=x["point"].shape)}
        change = net.predict(moved)["digit"][:, k] - outputs["digit"][:, k]
        along = np.einsum("bi,bi->b", rows["digit"][:, k], moved["point"] - x["point"])
        np.testing.assert_allclose(change, along, atol=1e-10)
    bias = net.parameters["dense_1.bias"]
    second, direction = hessian(net, x, y, "dense_1.bias"), rng.normal(size=bias.shape)
    np.testing.assert_allclose(second, second.T, atol=1e-13)
    product = net.hvp(x, y, {"dense_1.bias": direction})["dense_1.bias"]
    np.testing.assert_allclose(second @ direction, product, atol=1e-13)


def test_the_door_for_cotangents_and_tangents(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=1), batch(5)
    good = {"digit": np.ones((5, 3)), "equal": np.ones((5, 1))}
    with pytest.raises(ValueError, match=r"cotangents\['digit'\]: expected shape \(5, 3\), found \(5, 2\)"):
        net.vjp(x, {**good, "digit": np.ones((5, 2))})
    with pytest.raises(ValueError, match=r"cotangents: expected arrays by the names .* nothing for 'equal'"):
        net.vjp(x, {"digit": good["digit"]})
    assert list(net.gauss_newton(x, y, {})) == list(net.parameters)
    with pytest.raises(TypeError, match="is by parameters alone"):
        net.gauss_newton(x, y, {"point": x["point"]})
    with pytest.raises(DataError, match="jacobian: expected output='digit' or 'equal', found None"):
        jacobian(net, x, "point")
    with pytest.raises(DataError, match=r"hessian: expected one of .* found 'nothing'"):
        hessian(net, x, y, "nothing")
    with pytest.raises(DataError, match="has no hvp: compile the model with --modes hvp"):
        hessian(object(), x, y, "nothing")
