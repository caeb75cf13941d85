"""Updates in the registers of gradients: where there are any, in which order, what a step then computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler.ir.module.entry_point import with_duty
from compiler.ir.module.interpret import Given, run_routine
from compiler.language.constraints import MaxNorm
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input, ReLU, Softmax
from compiler.language.losses import CrossEntropy
from compiler.language.optimizers import LAMB, SGD, Adagrad, Adam, AdamW, Lion, Optimizer, RMSprop
from compiler.language.regularizers import L2
from compiler.machine.target import Target
from compiler.module_source import ModuleSource, compile_to_source
from compiler.schedule.strategies.finished_sum import FinishedSum
from tests.machines import TARGETS

BATCH = 5
OPTIMIZERS = {
    "sgd": SGD(0.1),
    "momentum": SGD(0.1, momentum=0.9),
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True),
    "adam": Adam(0.01),
    "amsgrad": Adam(0.01, amsgrad=True),
    "adamw": AdamW(0.01),
    "rmsprop": RMSprop(0.01),
    "adagrad": Adagrad(0.01),
    "lion": Lion(0.01),
}


def small(name: str) -> Target:
    """A target on which memory is far for whatever little, and a phase costs nothing."""
    target = TARGETS[name]
    single, double = (
        replace(costs, phase_bytes=0, updated_bytes=0)
        for costs in (target.machine.single, target.machine.double)
    )
    return replace(target, machine=replace(target.machine, level2_bytes=1024, single=single, double=double))


def network(optimizer: Optimizer, **of_dense: object) -> Model:
    layers = [Input(20), Dense(36, **of_dense), ReLU(), Dense(40), ReLU(), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=optimizer)


def compiled(model: Model, target: str = "x86-64-v3", without: frozenset[str] = frozenset()) -> ModuleSource:
    return compile_to_source(model, small(target), "float64", "digest", without=without)


def updated(source: ModuleSource) -> list[str]:
    return [] if source.joined is None else [one.parameter for one in source.joined.updated]


def areas(source: ModuleSource) -> dict[str, np.ndarray]:
    """The arrays of a network, with random parameters; what the optimizer keeps is never negative."""
    storage, memory, rng = source.storage, source.module.memory, np.random.default_rng(0)
    return {
        "parameter": rng.normal(size=storage.parameters.size),
        "state": rng.uniform(size=storage.first_state),
        "total": np.zeros(max(memory.lane_elements, storage.parameters.size)),
        "scalar": np.array([BATCH, 0.01, 3.0]),
    }


def run(source: ModuleSource, duty: str, arrays: dict[str, np.ndarray], batch: int = BATCH) -> None:
    rng = np.random.default_rng(1)
    given = {"input": rng.normal(size=(BATCH, 20)), "label": np.arange(BATCH, dtype=np.int32) % 3}
    name = with_duty(source.entries, duty).name
    (routine,) = (routine for routine in source.module.routines if routine.name == name)
    run_routine(routine, source.module.memory, Given(batch, given, arrays), np.float64)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_in_one_is_its_halves(name: str) -> None:
    """In NumPy, without a C compiler: what the halves make of the updated parameters, and all gradients of
    the others."""
    source = compiled(network(OPTIMIZERS[name]))
    assert updated(source) == ["dense_1.kernel", "dense_2.kernel"]
    one, two = areas(source), areas(source)
    run(source, "step", one)
    run(source, "training", two)
    gradients = two["total"].copy()
    run(source, "update", two, batch=source.storage.parameters.size)
    left = np.zeros(source.storage.parameters.size, bool)
    for begin, end in source.joined.left:
        left[begin:end] = True
    for area in ("parameter", "state"):
        before = areas(source)[area]
        for start in range(0, len(before), len(left)):
            part = slice(start, start + len(left))
            wanted = np.where(left, before[part], two[area][part])
            np.testing.assert_allclose(one[area][part], wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one["total"][: len(left)][left], gradients[: len(left)][left], rtol=1e-12)


def test_everybody_who_reads_a_parameter_runs_before() -> None:
    """In an earlier phase, or before it in the same."""
    source = compiled(network(Adam(0.01)))
    plan = source.plan("step")
    for one in source.joined.updated:
        when = [
            (number, place, call)
            for number, phase in enumerate(plan.phases)
            for place, call in enumerate((*phase.before, *phase.tile))
        ]
        (written,) = [
            (number, place)
            for number, place, call in when
            if isinstance(call.schedule, FinishedSum) and one.parameter in call.tensors
        ]
        read = [(number, place) for number, place, call in when if one.parameter in call.tensors]
        assert max(read) == written
        assert len(read) > 1
        assert not any(one.gradient in call.tensors for call in plan.calls)


@pytest.mark.parametrize(
    "model",
    [
        network(Adam(0.01, global_clipnorm=1.0)),
        network(Adam(0.01, clipnorm=1.0)),
        network(Adam(0.01, clipvalue=1.0)),
        network(LAMB(0.01)),
    ],
    ids=["norm of all", "norm of each", "clipped values", "by variable"],
)
def test_what_needs_more_than_a_value_of_the_gradient(model: Model) -> None:
    assert compiled(model).joined is None


def test_what_else_than_the_update_reads_or_makes_the_gradient() -> None:
    """A penalty is added behind the sum, and a constraint needs the whole of a parameter."""
    assert updated(compiled(network(SGD(0.1), kernel_regularizer=L2(0.1)))) == ["dense_2.kernel"]
    assert not updated(compiled(network(SGD(0.1), kernel_constraint=MaxNorm(1.0))))


@pytest.mark.parametrize("switch", ["update", "fuse", "keep"])
def test_it_is_left_out_with_what_it_stands_on(switch: str) -> None:
    assert compiled(network(Adam(0.01)), without=frozenset([switch])).joined is None


def test_what_stays_in_a_cache_is_updated_by_itself() -> None:
    source = compile_to_source(network(Adam(0.01)), TARGETS["x86-64-v3"], "float32", "digest")
    assert source.joined is None
