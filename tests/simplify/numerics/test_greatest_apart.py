"""A logarithm of a sum of exponentials keeps its digits where one summand outweighs all others."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from chainrule import SGD, CrossEntropy, Input, LogSoftmax, Rescaling, Sequential, Softmax
from compiler.derive.vjp import vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.prune import needed_for
from compiler.simplify.simplify import simplify, stabilise

CLASSES = 7
ENDS = {
    "Softmax": ([Softmax()], CrossEntropy()),
    "logits": ([Rescaling(1.0)], CrossEntropy(from_logits=True)),
    "a temperature": ([Rescaling(2.5), Softmax()], CrossEntropy()),
}


@cache
def loss_of(end: str, derivative: bool) -> tuple[Program, str]:
    layers, loss = ENDS[end]
    model = Sequential([Input(CLASSES), *layers], loss=loss, optimizer=SGD(0.1), name="model")
    model.check()
    lowered = lower(model)
    training = needed_for(lowered.training, lowered.total)
    if not derivative:
        return stabilise(training, strict=True)[0], lowered.total
    return simplify(vjp(training, lowered.total, ("input",))[0], strict=True)[0], lowered.total


def random_rows(rng: np.random.Generator, count: int) -> np.ndarray:
    """Logits of which one, or several alike, are above the others by from nothing to a hundred."""
    rows = rng.normal(0, 1, (count, CLASSES))
    above = rng.choice([0.0, 1.0, 5.0, 12.0, 18.0, 25.0, 40.0, 80.0], count)
    rows += rng.choice([0.0, 0.0, 30.0, -30.0, 88.0, 1e4], count)[:, None]
    rows[np.arange(count), rng.integers(0, CLASSES, count)] = rows.max(axis=1) + above
    alike = rng.random(count) < 0.2
    rows[alike, 0] = rows[alike].max(axis=1)
    return rows.astype(np.float32)


def examine(end: str, count: int, derivative: bool) -> None:
    rng = np.random.default_rng(3)
    program, loss = loss_of(end, derivative)
    scale = 2.5 if end == "a temperature" else 1.0
    rows = random_rows(rng, count)
    labels = np.where(rng.random(count) < 0.7, rows.argmax(axis=1), rng.integers(0, CLASSES, count))
    label = next(t.name for t in program.inputs if t.kind == "label")
    for row, one in zip(rows, labels, strict=True):
        # What Rescaling gives is rounded before the loss sees it.
        logits = (row * np.float32(scale)).astype(np.longdouble)
        less = np.delete(logits - logits[one], one)
        top = max(less.max(), 0)
        right = (
            top + np.log1p(np.expm1(-top) + np.exp(less - top).sum()) if top else np.log1p(np.exp(less).sum())
        )
        found = run(program, {"input": row[None], label: np.array([one])}, dtype=np.float32)[loss]
        # A loss that is no difference of two large logits has all its digits.
        allowed = 1e-6 * right + (2e-7 * abs(logits).max() if top else 0) + 1e-37
        assert abs(float(found) - right) <= allowed, (row, one, float(found), float(right))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("derivative", [False, True])
def test_small_losses_keep_their_digits(end: str, derivative: bool) -> None:
    """A loss of 1e-8 was 0."""
    examine(end, 200 // len(ENDS) // 2 + 1, derivative)


@pytest.mark.long
@pytest.mark.parametrize("end", ENDS)
def test_many_small_losses_keep_their_digits(end: str) -> None:
    examine(end, 10_000 // len(ENDS) + 1, True)


def test_what_is_not_under_a_logarithm_stays_one_sum() -> None:
    """A softmax alone divides by its sum: nothing is counted for it."""
    model = Sequential([Input(CLASSES), Softmax()], loss=CrossEntropy(), optimizer=SGD(0.1), name="model")
    model.check()
    inference = needed_for(lower(model).training, "softmax_1")
    assert not any(d.role == "ties" for d in stabilise(inference)[0].definitions)


def test_log_softmax_of_infinities() -> None:
    model = Sequential([Input(3), LogSoftmax()], loss=CrossEntropy(), optimizer=SGD(0.1), name="model")
    program = stabilise(needed_for(lower(model).training, "logsoftmax_1"), strict=True)[0]
    rows = np.array([[-np.inf, 0, -20], [5, 5, -np.inf], [np.nan, 1, 2]], dtype=np.float32)
    given = {"input": rows, "label": np.zeros(3, dtype=int)}
    found = run(program, given, dtype=np.float32)["logsoftmax_1"]
    small = -np.log1p(np.exp(-20.0))
    np.testing.assert_allclose(found[0], [-np.inf, small, -20], rtol=1e-6)
    np.testing.assert_allclose(found[1], [-np.log(2), -np.log(2), -np.inf], rtol=1e-6)
    assert np.isnan(found[2]).all()
