"""Kernels of whole models keep the rules of loop nests behind every step that makes them."""

from __future__ import annotations

import pytest

from compiler.errors import ModelError
from compiler.frontend.parse import load_model
from compiler.machine.target import Target
from compiler.modes import MODES
from compiler.module_source import compile_to_source
from tests.machines import every_model
from tests.schedule.verifying import verify_plan
from tests.workshop import ROOT

MODELS = sorted(
    path for folder in ("models", "benchmarks/models") for path in (ROOT / folder).glob("[a-z]*.py")
)
OF_EACH = ("per_example", "fisher")
"""What a model has not whose examples interact: no gradient is one example's."""


@pytest.mark.long
@every_model
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_kernel_of_a_model(path, target: Target) -> None:
    model = load_model(path)
    try:
        source = compile_to_source(model, target, "float32", "", modes=MODES)
    except ModelError as error:
        assert "without the mode per_example" in str(error)
        modes = tuple(mode for mode in MODES if mode not in OF_EACH)
        source = compile_to_source(model, target, "float32", "", modes=modes)
    for plan in source.plans.values():
        verify_plan(plan)
