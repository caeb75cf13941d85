"""Every file of models/, compiled as users compile it, against the interpreter of its unoptimised programs.

The interpreter runs what the formulas and the calculus give, before any pass: the loss, every gradient, every
new state, the outputs. Modules that take a minute to build are for `make long`.
"""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.tools.measure.module import random_batch
from runtime.given import arrays_of, values_of
from tests.derive.rungs import compare
from tests.workshop import ROOT

NAMES = sorted(path.stem for path in (ROOT / "models").glob("*.py"))
QUICK = {"mlp", "mnist"}
BATCH = 2
TOLERANCE = 5e-4
"""Of float32 against float64, relative to the largest entry of an array."""

every_file = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)


def test_there_are_model_files() -> None:
    assert set(NAMES) >= QUICK


@every_file
def test_module_equals_the_interpreter(name: str, built, models) -> None:
    module, model = built(name), lower(load_model(models(name)))
    net = module.Network(seed=2)
    net.step = 4
    x, y = random_batch(module, BATCH)
    rows = [(row, x if row.use == "input" else y) for row in model.signature.of("input", "label")]
    batch = {row.name: given[row.key] if isinstance(given, dict) else given for row, given in rows}
    given = batch | dict(net.parameters) | dict(net.state)
    # A row of integers has no gradient.
    wrt = (*net.parameters, *model.differentiable)
    raw, _ = vjp(model.training, model.total, wrt)
    expected = run(raw, given, seed=net.seed, step=net.step)
    loss, gradients = net.value_and_grad(x, y, inputs=bool(model.differentiable))
    assert values_of(loss)["loss"] == pytest.approx(float(expected["loss"]), rel=TOLERANCE)
    assert set(gradients) == set(wrt)
    for tensor in wrt:
        worst = compare(gradients[tensor], np.asarray(expected[cotangent_name(tensor)]), f"{name}: {tensor}")
        assert worst.error <= TOLERANCE, worst

    outputs = run(model.predict, given, seed=net.seed, step=net.step)
    evaluated, again, *_ = net.evaluate(x, y)
    for number, output in enumerate(model.predict.outputs):
        found, once_more = (arrays_of(arrays)[number] for arrays in (net.predict(x), again))
        assert compare(found, np.asarray(outputs[output]), f"{name}: {output}").error <= TOLERANCE
        np.testing.assert_allclose(once_more, found, rtol=1e-5, atol=1e-6)
    inferred = run(model.inference, given, seed=net.seed, step=net.step)["loss"]
    assert values_of(evaluated)["loss"] == pytest.approx(float(inferred), rel=TOLERANCE)

    assert values_of(net.train_step(x, y))["loss"] == pytest.approx(float(expected["loss"]), rel=TOLERANCE)
    assert list(net.state) == [state.name for state in model.states]
    for state in model.states:
        new = np.asarray(expected[state.new_name])
        assert compare(net.state[state.name], new, f"{name}: {state.name}").error <= TOLERANCE
