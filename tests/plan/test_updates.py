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
from compiler.schedule.strategies.paired_panels import PairedPanels
from tests.machines import BFLOAT16, TARGETS

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


def small(target: Target, level2_bytes: int = 1024) -> Target:
    """A target on which memory is far for whatever little, and a phase costs nothing."""
    single, double = (
        replace(costs, phase_bytes=0, updated_bytes=0)
        for costs in (target.machine.single, target.machine.double)
    )
    machine = replace(target.machine, level2_bytes=level2_bytes, single=single, double=double)
    return replace(target, machine=machine)


def network(optimizer: Optimizer, **of_dense: object) -> Model:
    layers = [Input(20), Dense(36, **of_dense), ReLU(), Dense(40), ReLU(), Dense(3), Softmax()]
    return Sequential(layers, loss=CrossEntropy(), optimizer=optimizer)


def compiled(model: Model, target: str = "x86-64-v3", without: frozenset[str] = frozenset()) -> ModuleSource:
    return compile_to_source(model, small(TARGETS[target]), "float64", "digest", without=without)


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


def run(
    source: ModuleSource,
    duty: str,
    arrays: dict[str, np.ndarray],
    batch: int = BATCH,
    dtype: type = np.float64,
) -> None:
    rng = np.random.default_rng(1)
    given = {
        "input": rng.normal(size=(BATCH, 20)).astype(dtype),
        "label": np.arange(BATCH, dtype=np.int32) % 3,
    }
    name = with_duty(source.entries, duty).name
    (routine,) = (routine for routine in source.module.routines if routine.name == name)
    run_routine(routine, source.module.memory, Given(batch, given, arrays), dtype)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_in_one_is_its_halves(name: str) -> None:
    """In NumPy, without a C compiler: what the halves make of the updated parameters, and all gradients of
    the others."""
    source = compiled(network(OPTIMIZERS[name]))
    assert updated(source) == ["dense_1.kernel", "dense_2.kernel"]
    check_halves(source)


def test_sums_of_pairs_are_finished_in_registers() -> None:
    """Those of factors in bfloat16, whose blocks have their rows packed, too."""
    layers = [Input(20), Dense(136), ReLU(), Dense(3), Softmax()]
    model = Sequential(layers, loss=CrossEntropy(), optimizer=Adam(0.01))
    source = compile_to_source(model, small(BFLOAT16, 2**18), "bfloat16", "digest")
    assert updated(source) == ["dense_1.kernel"]
    (sums,) = (c.schedule for c in source.plan("step").calls if isinstance(c.schedule, FinishedSum))
    assert isinstance(sums.sum, PairedPanels) and sums.sum.unpacked is not None
    check_halves(source, np.float32, 1e-5)


def check_halves(source: ModuleSource, dtype: type = np.float64, tolerance: float = 1e-12) -> None:
    one, two = ({n: a.astype(dtype) for n, a in areas(source).items()} for _ in range(2))
    run(source, "step", one, dtype=dtype)
    run(source, "training", two, dtype=dtype)
    gradients = two["total"].copy()
    run(source, "update", two, batch=source.storage.parameters.size, dtype=dtype)
    left = np.zeros(source.storage.parameters.size, bool)
    for begin, end in source.joined.left:
        left[begin:end] = True
    for area in ("parameter", "state"):
        before = areas(source)[area]
        for start in range(0, len(before), len(left)):
            part = slice(start, start + len(left))
            wanted = np.where(left, before[part], two[area][part])
            np.testing.assert_allclose(one[area][part], wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one["total"][: len(left)][left], gradients[: len(left)][left], rtol=tolerance)


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
