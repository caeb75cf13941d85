"""Kernels are made once for all calls of a form, and modules are the same as if each were made by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest

from compiler.language.description import Model, Sequential
from compiler.language.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    Input,
    LayerNormalization,
    MaxPool2D,
    MultiHeadAttention,
    ReLU,
    Softmax,
)
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD, Adam
from compiler.module_source import ModuleSource, compile_to_source
from compiler.schedule import forms
from compiler.schedule.forms import Form
from tests.machines import TARGETS


def dense() -> Model:
    """More than nine, so that names are sorted otherwise than numbers."""
    layers = [Input(16), *(Dense(16, activation="tanh") for _ in range(11))]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1))


def residual() -> Model:
    x = Input(8, 8, 3)
    h = Conv2D(16, 3, padding="same")(x)
    for _ in range(3):
        h = h + BatchNormalization()(Conv2D(16, 3, padding="same", use_bias=False)(ReLU()(h)))
    y = Softmax()(Dense(3)(GlobalAveragePooling2D()(MaxPool2D(2)(h))))
    return Model(x, y, loss=CrossEntropy(), optimizer=Adam(0.01))


def attention() -> Model:
    x = Input(6, 16)
    h = x
    for _ in range(2):
        h = h + MultiHeadAttention(2, 8, causal=True)(LayerNormalization()(h))
        h = h + Dense(16)(Dense(32, activation="relu")(h))
    return Model(x, h, loss=MeanSquaredError(), optimizer=SGD(0.1))


@cache
def source(model: Callable[[], Model], target: str) -> ModuleSource:
    return compile_to_source(model(), TARGETS[target], "float32", "digest")


@pytest.mark.parametrize(
    ("model", "target"),
    [
        pytest.param(dense, "x86-64-v3", id="dense"),
        pytest.param(residual, "x86-64-v4", id="residual", marks=pytest.mark.long),
        pytest.param(attention, "x86-64-v3", id="attention"),
    ],
)
def test_what_is_kept_changes_no_byte(model, target, monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory = source(model, target)
    # No two forms are equal now, so that nothing that was made is found again.
    monkeypatch.setattr(Form, "__eq__", object.__eq__)
    monkeypatch.setattr(Form, "__hash__", object.__hash__)
    without = compile_to_source(model(), TARGETS[target], "float32", "digest")
    assert without.text == with_memory.text
    made = [len({id(call.kernel) for call in calls(one)}) for one in (with_memory, without)]
    assert made[0] < 0.7 * made[1]


def calls(one: ModuleSource) -> list:
    return [c for plan in one.plans.values() for phase in plan.phases for c in (*phase.before, *phase.tile)]


def test_a_call_says_what_it_computes_itself() -> None:
    plan = source(dense, "x86-64-v3").plan("training")
    found = {call.computes: call for phase in plan.phases for call in phase.tile}
    for k in range(2, 12):
        call = found[f"dense_{k}.kernel.cotangent"]
        assert call.entries[0].name == call.computes
        assert call.computes in call.tensors
        assert set(call.tensors) <= {call.computes, *call.entries[0].tensors}
    assert len({id(found[f"dense_{k}.kernel.cotangent"].kernel) for k in range(2, 12)}) == 1


def test_more_equal_layers_need_no_more_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms are counted as they are asked for: those of 6 layers are those of 3."""
    counted: list[Counter[Form]] = []
    of = forms.Forms.of

    def counting(*arguments: object) -> Form:
        form = of(*arguments)
        counted[-1][form] += 1
        return form

    monkeypatch.setattr(forms.Forms, "of", counting)
    for layers in (3, 6):
        counted.append(Counter())
        model = Sequential(
            [Input(16), *(Dense(16, activation="tanh") for _ in range(layers))],
            loss=MeanSquaredError(),
            optimizer=SGD(0.1),
        )
        compile_to_source(model, TARGETS["x86-64-v3"], "float32", "digest")
    fewer, more = (len(one) for one in counted)
    # Each kernel has its own stream of random numbers: once with the batch of a tile, once before.
    assert more - fewer <= 2 * 3
    assert counted[1].total() > 1.5 * counted[0].total()
