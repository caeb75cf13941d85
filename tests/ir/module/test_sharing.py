"""Equal kernels are one function of a module: layers, entry points and steps of a loop share it."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from compiler.ir.loops.grammar import Random
from compiler.ir.loops.walk import statements
from compiler.ir.module.text import print_routine
from compiler.language.description import Sequential
from compiler.language.layers import Dense, Input
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.module_source import ModuleSource, compile_to_source
from tests.machines import TARGETS

LAYERS = 4


@cache
def source(layers: int = LAYERS) -> ModuleSource:
    model = Sequential(
        [Input(16), *(Dense(16, activation="tanh") for _ in range(layers))],
        loss=MeanSquaredError(),
        optimizer=SGD(0.1),
    )
    return compile_to_source(model, TARGETS["x86-64-v3"], "float32", "digest")


def test_equal_layers_have_one_kernel() -> None:
    training = next(routine for routine in source().module.routines if routine.name == "gradient")
    used = Counter(call.kernel.name for call in training.calls)
    assert used["dense_1"] == LAYERS
    assert used[f"dense_{LAYERS}.kernel.cotangent"] == LAYERS  # the first, since gradients go backwards
    computed = [call.computes for call in training.calls]
    assert {f"dense_{k}.kernel.cotangent" for k in range(1, LAYERS + 1)} < set(computed)
    assert len(set(computed)) == len(computed)


def test_entry_points_share_kernels() -> None:
    kernels: dict[str, set[int]] = {}
    for routine in source().module.routines:
        kernels[routine.name] = {id(call.kernel) for call in routine.calls}
    assert kernels["predict"] <= kernels["inference"]
    assert len(kernels["predict"] & kernels["gradient"]) > 0


def test_the_text_says_who_shares() -> None:
    text = source().text
    assert text.count("cdef void dense_1(") == 1 and "cdef void dense_2(" not in text
    assert "# the same, under other names, for dense_2, dense_3, dense_4\n" in text
    assert ")  # dense_2\n" in text or "dense_1(  # dense_2\n" in text
    routine = source().module.routines[0]
    assert " by dense_1\n" in print_routine(routine)


def test_more_equal_layers_are_more_calls_alone() -> None:
    """What is added for an equal layer is calls, and nothing to translate but its random numbers."""
    fewer, more = (
        {id(c.kernel): c.kernel for r in source(n).module.routines for c in r.calls} for n in (3, 6)
    )
    others = [k for k in more.values() if not any(isinstance(s, Random) for s in statements(k.body))]
    assert len(more) == len(fewer) + 3
    assert len(others) == len(fewer) - 3


@pytest.mark.parametrize("other", [Dense(16), Dense(8, activation="tanh")], ids=["linear", "narrow"])
def test_other_layers_have_their_own(other: Dense) -> None:
    layers = [Input(16), Dense(16, activation="tanh"), other]
    model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1))
    made = compile_to_source(model, TARGETS["x86-64-v3"], "float32", "digest")
    assert "cdef void dense_2(" in made.text
