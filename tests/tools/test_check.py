"""`chainrule check`: a right model passes every rung, and a wrong derivative is seen."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.tools.check.report import TOLERANCE, Report
from compiler.tools.check.rungs import check

MODES = ("jvp", "hvp")


@pytest.fixture
def lowered(models):
    return lower(load_model(models("small")))


@pytest.fixture
def network(built) -> Any:
    return built("small", "float64", MODES).Network(seed=0)


class Spoiled:
    """A network whose gradient of dense_1.bias, or whose products of it, are a millionth too large."""

    def __init__(self, network: Any, mode: str):
        self._network, self._mode = network, mode
        self.parameters, self.state = network.parameters, network.state
        self.seed, self.step = network.seed, network.step

    def _spoil(self, mode: str, tensors: dict) -> dict:
        factor = 1 + 1e-6 if mode == self._mode else 1.0
        return tensors | {"dense_1.bias": factor * tensors["dense_1.bias"]}

    def value_and_grad(self, *given, **options):
        loss, gradient = self._network.value_and_grad(*given, **options)
        return loss, self._spoil("VJP", gradient)

    def hvp(self, *given):
        return self._spoil("HVP", self._network.hvp(*given))

    def jvp(self, x, y, tangents):
        loss, slope = self._network.jvp(x, y, tangents)
        return loss, slope * (1 + 1e-6 if self._mode == "JVP" and "dense_1.bias" in tangents else 1)


def test_a_right_model_passes(lowered, network, jax: ModuleType) -> None:
    report = check(lowered, network, jax, batch=3)
    assert report.passed, str(report)
    assert set(report.errors) == {"dense_1.kernel", "dense_1.bias", "input"}
    assert all(len(row) == 6 for row in report.errors.values())
    assert "passed" in str(report)


@pytest.mark.parametrize("mode", ["VJP", "JVP", "HVP"])
def test_a_wrong_derivative_is_seen(mode: str, lowered, network, jax: ModuleType) -> None:
    report = check(lowered, Spoiled(network, mode), jax, batch=3)
    assert not report.passed
    assert "FAILED" in str(report)
    wrong = {
        (name, column) for name, row in report.errors.items() for column in row if row[column] > TOLERANCE
    }
    rung = "adjoint" if mode == "JVP" else "interpreter"
    assert wrong == {("dense_1.bias", (mode, rung)), ("dense_1.bias", (mode, "JAX"))}


def test_without_jax(lowered, network) -> None:
    report = check(lowered, network, None, batch=3)
    assert report.passed
    assert "JAX is not installed" in str(report)


def test_nothing_passes_as_nan() -> None:
    assert not Report("model", 1, {"w": {("VJP", "JAX"): np.nan}}, {}, {}).passed
    assert not Report("model", 1, {}, {"Hessian": np.nan}, {}).passed
    assert not Report("model", 1, {}, {}, {"Taylor": 1.0}).passed
