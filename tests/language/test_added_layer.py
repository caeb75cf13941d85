"""To add a layer takes two places: its file, and its name in the room. Here one, as a newcomer writes it.

What a model file imports, the check of its names, errors, programs and derivatives follow. A table of tests
then asks for a row (`tests/modules/test_zoo.py`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import compiler
from compiler import public
from compiler.errors import ModelError
from compiler.frontend.parse import load_model
from compiler.language import layers
from tests.derive.case_builders import layer_case
from tests.derive.cases import interpret
from tests.derive.rungs import adjoint_identity, finite_difference, taylor_slope

FILE = '''"""A layer of products of its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.initializers import GlorotUniform
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape


@dataclass(frozen=True)
class Bilinear(Layer):
    """Every product of two inputs, weighted. (n,) to (units,)."""

    units: int

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("units", self.units)

    def forward(self, x: Shape) -> Forward:
        weights = Parameter((*x, *x, self.units), GlorotUniform())
        formula = "y[b, o] = sum[i, j](weights[i, j, o] * x[b, i] * x[b, j])"
        return Forward(formula, (self.units,), {"weights": weights})
'''
MODEL = """from chainrule import SGD, Bilinear, Input, MeanSquaredError, Sequential

model = Sequential([Input(4), Bilinear({units})], loss=MeanSquaredError(), optimizer=SGD(0.1))
"""


@pytest.fixture
def added(tmp_path: Path) -> Iterator[type[layers.Layer]]:
    """The file in the room, and its name there."""
    (tmp_path / "bilinear.py").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "__path__", [*layers.__path__, str(tmp_path)])
        layer = importlib.import_module("compiler.language.layers.bilinear").Bilinear
        patch.setattr(layers, "Bilinear", layer, raising=False)
        patch.setattr(layers, "__all__", [*layers.__all__, "Bilinear"])
        importlib.reload(public)
        yield layer
    del sys.modules["compiler.language.layers.bilinear"]
    del public.Bilinear
    importlib.reload(public)


def test_a_model_file_imports_it(added: type[layers.Layer], tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(MODEL.format(units=3))
    model = load_model(path)
    assert compiler.Bilinear is added
    assert model.graph.steps[-1].forward.parameters["weights"].shape == (4, 4, 3)
    path.write_text(MODEL.format(units=0))
    with pytest.raises(ModelError, match=r"model.py:3[\s\S]*units"):
        load_model(path)
    path.write_text(MODEL.format(units=3).replace("Bilinear(", "Bilinea("))
    with pytest.raises(ModelError, match="Bilinear"):
        load_model(path)


def test_its_derivatives_are_there(added: type[layers.Layer]) -> None:
    case = layer_case("bilinear", added(3), lambda jax, values: None, (4,))
    for rung, most in ((adjoint_identity, 1e-12), (finite_difference, 1e-6), (taylor_slope, 0.1)):
        found = rung(case, interpret)
        assert found.error < most, found


def test_without_it() -> None:
    assert "Bilinear" not in compiler.__all__
    assert not hasattr(compiler, "Bilinear")
