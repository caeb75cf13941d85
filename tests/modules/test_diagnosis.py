"""The mode "diagnose": numbers from inside the network, against NumPy; and the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.cli import main
from compiler.toolchain.compile_file import Options
from runtime.diagnosis import Diagnose
from runtime.trainer import fit
from tests.workshop import compile_quickly, import_module, quickly

MODEL = """from chainrule import Adam, CrossEntropy, Dense, Input, ReLU, Sequential, Softmax, Tanh

layers = [Input(4), Dense(5), ReLU(), Dense(6), Tanh(), Dense(3), Softmax()]
model = Sequential(layers, loss=CrossEntropy(), optimizer=Adam(0.01))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diagnosis") / "layers.py"
    path.write_text(MODEL)
    return path


@pytest.fixture(scope="module")
def module(file: Path, workshop: Path) -> ModuleType:
    options = Options(file.parent / "generated", target="scalar", dtype="float64", modes=("vjp", "diagnose"))
    return import_module(compile_quickly(file, options).module)


def data(count: int = 37) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 4)), rng.integers(0, 3, count)


def test_measures_against_numpy(module: ModuleType) -> None:
    net = module.Network(seed=1)
    net.parameters["dense_1.bias"][2] = -100
    net.parameters["dense_2.kernel"][...] *= 20
    x, y = data()
    loss, measures = net.diagnose(x, y)
    expected, gradients = net.value_and_grad(x, y)
    assert loss == pytest.approx(expected)
    p = net.parameters
    relu = np.maximum(x @ p["dense_1.kernel"] + p["dense_1.bias"], 0)
    tanh = np.tanh(relu @ p["dense_2.kernel"] + p["dense_2.bias"])
    for name, values in (("relu_1", relu), ("tanh_1", tanh)):
        assert measures[f"{name}/activation"] == pytest.approx((values**2).mean(axis=1).sum())
        assert measures[f"{name}/zeros"] == pytest.approx((values == 0).mean(axis=1).sum())
        assert measures[f"{name}/dead"] == pytest.approx((values == 0).all(axis=0).mean())
    assert measures["relu_1/dead"] == pytest.approx(1 / 5)
    assert measures["tanh_1/extremes"] == pytest.approx((np.abs(tanh) > 0.98).mean(axis=1).sum())
    for name, gradient in gradients.items():
        assert measures[f"{name}/gradient"] == pytest.approx((gradient**2).sum())
    # The cotangent of the last dense layer's values is known: what softmax and the loss give.
    logits = tanh @ p["dense_3.kernel"] + p["dense_3.bias"]
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cotangent = (share - np.eye(3)[y]) / len(y)
    assert measures["dense_3/gradient"] == pytest.approx((cotangent**2).mean(axis=1).sum())
    assert not {"relu_1/extremes", "softmax_1/gradient"} & measures.keys()
    rows = [3, 1, 4]
    assert net.diagnose(x, y, rows=rows)[1] == pytest.approx(net.diagnose(x[rows], y[rows])[1])


def test_the_training_is_none_the_wiser(module: ModuleType) -> None:
    x, y = data(100)
    plain, watched = module.Network(seed=1), module.Network(seed=1)
    watch = Diagnose(x, y, every=2)
    fit(plain, x, y, batch_size=16, epochs=2, verbose=0)
    fit(watched, x, y, batch_size=16, epochs=2, verbose=0, callbacks=[watch])
    assert all((plain.parameters[name] == array).all() for name, array in watched.parameters.items())
    records = watch.diagnosis.records
    assert [record.step for record in records] == list(range(0, 14, 2))
    assert all(0 < ratio < 1 for record in records for ratio in record.ratio.values() if ratio < 1e20)
    assert "relu_1" in str(watch.diagnosis) and "update / weight" in str(watch.diagnosis)


def test_where_a_number_was_born_that_is_none(module: ModuleType) -> None:
    net = module.Network(seed=1)
    net.parameters["dense_2.kernel"][1, 1] = np.nan
    x, y = data()
    watch = Diagnose(x, y, every=1)
    with pytest.raises(Exception, match="the loss is nan"):
        fit(net, x, y, verbose=0, callbacks=[watch])
    (finding,) = watch.diagnosis.findings
    assert finding.where == "dense_2" and "step 0, on the way forward" in finding.what


def test_a_module_without_the_mode(border) -> None:
    net = import_module(border("pixels").module).Network()
    with pytest.raises(RuntimeError, match="compiled without diagnose"):
        net.diagnose(np.zeros((1, 5)), [0])


@pytest.mark.usefixtures("module")
def test_the_command(file: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """It builds what the tests above are of, unless that is there."""
    monkeypatch.chdir(tmp_path)
    x, y = data(100)
    np.savez("data.npz", x_train=x[:90], y_train=y[:90], x_test=x[90:], y_test=y[90:])
    command = ["diagnose", str(file), "--target", "scalar", "--dtype", "float64", "--data", "data.npz"]
    command += ["--steps", "25"]
    with quickly():
        assert main([*command, "--batch-size", "16", "--json", "--quiet"]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (diagnosis,) = (fact for fact in facts if fact["event"] == "diagnosis")
    assert [record["step"] for record in diagnosis["records"]] == [0, 10, 20]
    assert not (tmp_path / "generated").exists() and not (tmp_path / "weights").exists()
    with quickly():
        assert main([*command, "--learning-rate", "100", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "it jumps" in out and "was born" not in out, "a step divides by no probability"
