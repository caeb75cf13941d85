"""A step of training in two halves, gradients and update, and a batch that comes in parts."""

from __future__ import annotations

import copy
from types import ModuleType

import numpy as np
import pytest

from tests.workshop import import_module

EVERY = pytest.mark.parametrize("name", ["pixels", "letters", "targets"])


@pytest.fixture
def module(border, name: str) -> ModuleType:
    return import_module(border(name).module)


def batch(module: ModuleType, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    if module.INPUT_KIND == "real":
        x = rng.random((count, *module.INPUT_SHAPE), dtype=np.float32)
    else:
        x = rng.integers(0, module.INPUT_LIMIT, (count, *module.INPUT_SHAPE))
    if module.LABEL_KIND == "real":
        return x, rng.random((count, *module.LABEL_SHAPE), dtype=np.float32)
    return x, rng.integers(0, module.LABEL_LIMIT, (count, *module.LABEL_SHAPE))


def everything(net) -> dict[str, bytes]:
    arrays = {**net.parameters, **net.state, **net.optimizer_state}
    return {name: array.tobytes() for name, array in arrays.items()}


@EVERY
def test_two_halves_are_a_step(module: ModuleType, name: str) -> None:
    """To the bit: parameters, states, slots, steps; and half a step changes no parameter."""
    whole, halves = module.Network(seed=1), module.Network(seed=1)
    x, y = batch(module, 9)
    for rows in (None, [3, 1, 4, 1, 5]):
        loss = whole.train_step(x, y, rows=rows)
        before = {key: array.copy() for key, array in halves.parameters.items()}
        again, gradients = halves.gradients(x, y, rows=rows)
        assert all((halves.parameters[key] == array).all() for key, array in before.items())
        assert again == loss
        assert halves.apply_gradients(gradients) is None
    assert everything(whole) == everything(halves)
    assert whole.step == halves.step == 2


@pytest.mark.parametrize("name", ["pixels", "letters"])
@pytest.mark.parametrize("size", [1, 4, 32])
def test_parts_are_the_batch(module: ModuleType, name: str, size: int) -> None:
    """But for rounding: dropout too, which goes on behind the examples before."""
    net = module.Network(seed=1)
    x, y = batch(module, 50)
    _, whole = net.gradients(x, y)
    total = np.zeros_like(whole.flat)
    for begin in range(0, 50, size):
        part = slice(begin, begin + size)
        _, gradients = net.gradients(x[part], y[part], before=begin)
        total += len(y[part]) / 50 * gradients.flat
    np.testing.assert_allclose(total, whole.flat, rtol=1e-4, atol=1e-6)


@EVERY
def test_gradients_lie_in_one_array(module: ModuleType, name: str) -> None:
    net = module.Network(seed=1)
    _, gradients = net.gradients(*batch(module, 9))
    assert all(np.shares_memory(array, gradients.flat) for array in gradients.values())
    values = sum(array.size for array in gradients.values())
    assert np.count_nonzero(gradients.flat) <= values == module.PARAMETER_COUNT
    gradients.flat[:] = 1
    assert all((array == 1).all() for array in gradients.values())
    other = copy.deepcopy(gradients)
    assert type(other) is dict and other.keys() == gradients.keys()


@pytest.mark.parametrize("name", ["pixels"])
def test_what_is_no_gradient_changes_nothing(module: ModuleType, name: str) -> None:
    net = module.Network(seed=1)
    x, y = batch(module, 9)
    _, gradients = net.gradients(x, y)
    before = everything(net)
    first, *others = gradients
    for wrong, error, message in (
        ([1], TypeError, "expected a mapping"),
        ({first: gradients[first]}, ValueError, f"found none of '{others[0]}'"),
        (gradients | {"other": x}, ValueError, "found 'other'"),
        (gradients | {first: x[:1]}, ValueError, "expected shape"),
        (gradients | {first: gradients[first].astype(str)}, TypeError, "expected float32 values"),
    ):
        with pytest.raises(error, match=message):
            net.apply_gradients(wrong)
    for count, error in ((-1, ValueError), (2**32, ValueError), (1.0, TypeError)):
        with pytest.raises(error, match="before"):
            net.gradients(x, y, before=count)
    assert everything(net) == before and net.step == 0
