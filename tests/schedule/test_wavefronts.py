"""Circles along two axes by diagonals, in the interpreter of loop nests: the values of steps; where they are
chosen; random tables and their cotangents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from compiler.ir.loops.grammar import If, Loop
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import statements
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.plan.plan import Plan
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.wavefront import Wavefront
from tests.derive.rungs import errors_by_mode
from tests.harness import plans_of
from tests.language.formulas.test_recurrences import case_of, simplified
from tests.machines import MODELS
from tests.schedule.building import lowered, random_inputs
from tests.schedule.recurrence_samples import with_cotangents
from tests.schedule.running import interpret_programs
from tests.schedule.table_samples import STEP_BY_STEP, TABLES, tables
from tests.schedule.verifying import verify_plan

WIDE, NARROW = MODELS["intel-avx512"], MODELS["avx2"]
NEVER, ALWAYS = 0.0, 1e9
"""How many times as long a value takes that waits."""
TILE = 4


def priced(target: Target, **prices: float) -> Target:
    machine = target.machine
    return replace(
        target,
        machine=replace(
            machine, single=replace(machine.single, **prices), double=replace(machine.double, **prices)
        ),
    )


STEPS = priced(WIDE, waiting=NEVER, loop_start=1e9)
COPIES = priced(WIDE, waiting=ALWAYS, strided_value=0.0, loop_start=0.0)
IN_PLACE = priced(WIDE, waiting=ALWAYS, strided_value=1e12)


@cache
def samples() -> dict[str, Program]:
    made = {}
    for name, text in TABLES.items():
        program = stepwise(parse_program(text))
        verify(program)
        made[name] = with_cotangents(program)
    return made


def wavefronts(plan: Plan) -> list[Wavefront]:
    calls = [call for phase in plan.phases for call in (*phase.before, *phase.tile)]
    return [call.schedule for call in calls if isinstance(call.schedule, Wavefront)]


def given_to(program: Program, batch: int) -> dict[str, np.ndarray]:
    names = {tensor.name for tensor in program.inputs}
    return {name: value for name, value in random_inputs(program, batch).items() if name in names}


def found(program: Program, target: Target, batch: int, dtype: str = "float64") -> dict[str, np.ndarray]:
    module = interpret_programs([program], Settings(target, dtype, TILE))
    return module.run(0, given_to(program, batch), batch=batch)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_and_its_cotangents(name: str) -> None:
    """By steps, by diagonals that are copied together and by diagonals in place: what the interpreter of
    programs says; the last two to the same bits."""
    program = samples()[name]
    for batch in (1, 5):
        values = run(program, random_inputs(program, batch), batch=batch)
        ways = [found(program, target, batch) for target in (STEPS, COPIES, IN_PLACE)]
        for output in program.outputs:
            wanted = np.asarray(values[output])
            for way in ways:
                assert np.allclose(way[output], wanted, rtol=1e-9, atol=1e-9), (output, batch)
            assert np.array_equal(ways[1][output], ways[2][output]), (output, batch)


NAMES = [pytest.param(name, marks=[pytest.mark.long] * (name == "three axes")) for name in TABLES]
"""Proofs about four variables of loops take 20 seconds."""


@pytest.mark.parametrize("name", NAMES)
def test_they_are_chosen_proven_and_read_back(name: str) -> None:
    """Where a price says so, forward and backward; a sum at a place is none."""
    for target in (STEPS, COPIES, IN_PLACE):
        (plan,) = plans_of([samples()[name]], Settings(target, "float64", TILE))
        assert len(wavefronts(plan)) == (0 if target is STEPS or name in STEP_BY_STEP else 2)
        verify_plan(plan)
        for kernel in plan.kernels:
            assert parse_kernel(print_kernel(kernel)) == kernel


def soft_dtw(size: int) -> Program:
    text = TABLES["soft dynamic time warping"]
    text = text.replace("7, 9", f"{size}, {size}").replace("i:7, j:9", f"i:{size}, j:{size}")
    return stepwise(parse_program(text))


def sums(size: int) -> Program:
    text = f"""
input x: (batch, {size}, {size}) real
y: (batch, {size}, {size}) real = sum of "y"
    for b:batch, i:{size}, j:{size}: [b, i, j] += x[b, i, j]*pad(y, 1)[b, i - 1, j]
    for b:batch, i:{size}, j:{size}: [b, i, j] += 1/2*pad(y, 0)[b, i, j - 1]
outputs y
"""
    return stepwise(parse_program(text))


def test_functions_pay_for_any_tile_and_sums_for_few_examples() -> None:
    """In float64 a vector takes as long for an exponential as its values one by one: what is left is that
    nothing waits, which several examples do not either."""
    for target, dtype, expected in (
        (WIDE, "float32", [None, 2]),
        (NARROW, "float32", [None, 2]),
        (WIDE, "float64", [2, 2]),
        (MODELS["scalar"], "float32", [None, 2]),
    ):
        plans = plans_of([soft_dtw(100), sums(100)], Settings(target, dtype, 8))
        assert [schedule.few for plan in plans for schedule in wavefronts(plan)] == expected, (target, dtype)


def test_a_small_table_goes_step_by_step_where_a_tile_has_examples() -> None:
    (plan,) = plans_of([soft_dtw(2)], Settings(WIDE, "float32", 16))
    assert all(schedule.few is not None for schedule in wavefronts(plan))


def test_what_it_says() -> None:
    (plan,) = plans_of([soft_dtw(100)], Settings(WIDE, "float32", 8))
    (few,) = plans_of([sums(100)], Settings(WIDE, "float32", 8))
    (forward,), (backward,) = plan.kernels, few.kernels
    assert forward.schedule == "diagonals of i and j: gather, plain loops"
    assert backward.schedule == (
        "diagonals of i and j of up to 2 examples, else steps of i forwards, steps of j forwards: "
        "gather, plain loops"
    )
    # One loop over diagonals; of the other kernel also the loops over steps, for more examples.
    first = next(s for s in backward.body if isinstance(s, If))
    assert [str(test) for test in first.tests] == ["-batch + 2 >= 0"]
    (diagonal,) = (s for s in forward.body if isinstance(s, Loop))
    assert diagonal.upper[0].affine.constant == 199


def test_rows_go_by_diagonals_too_and_end_with_their_sequences() -> None:
    """What a step computes as a whole row is computed place by place; diagonals end with the rows."""
    gaps, rows = samples()["the best of three with gaps"], samples()["rows of a sequence"]
    plans = plans_of([gaps, rows], Settings(COPIES, "float32", TILE))
    assert [s.diagonals.inner.axis.size for s in wavefronts(plans[0])] == [4, 4]
    forward, backward = wavefronts(plans[1])
    assert forward.describe() == "diagonals of i and j until the longest of n: gather, plain loops"
    assert [str(limit) for limit in forward.diagonals.limits] == ["0", "end + 8"]
    assert [str(limit) for limit in backward.diagonals.limits] == ["-end + 7", "15"]


def test_text_does_not_grow_with_the_table() -> None:
    counts = []
    for size in (40, 400):
        (plan,) = plans_of([with_cotangents(soft_dtw(size))], Settings(WIDE, "float32", 8))
        counts.append([len(list(statements(k.body))) for k in plan.kernels if "diagonals" in k.schedule])
    assert counts[0] == counts[1] and len(counts[0]) == 2


@pytest.mark.parametrize(
    ("read", "weights"), [("i - 1, j", (1, 1)), ("i - 1, j + 1", (2, 1)), ("i - 1, j + 2", (3, 1))]
)
def test_diagonals_are_as_steep_as_what_is_read_asks_for(read: str, weights: tuple[int, int]) -> None:
    program = reading(read)
    (plan,) = plans_of([program], Settings(COPIES, "float32", TILE))
    (schedule,) = wavefronts(plan)
    assert schedule.diagonals.weights == weights
    assert np.allclose(found(program, COPIES, 3)["y"], run(program, random_inputs(program, 3), batch=3)["y"])


@pytest.mark.parametrize("read", ["i - 1, j + 3", "i - 1, 6 - j"])
def test_what_no_diagonal_has_behind_it_goes_step_by_step(read: str) -> None:
    program = reading(read)
    (plan,) = plans_of([program], Settings(COPIES, "float32", TILE))
    assert not wavefronts(plan)
    assert np.allclose(found(program, COPIES, 3)["y"], run(program, random_inputs(program, 3), batch=3)["y"])


def reading(place: str) -> Program:
    text = f"""
input x: (batch, 5, 7) real
y: (batch, 5, 7) real = sum of "y"
    for b:batch, i:5, j:7: [b, i, j] += x[b, i, j] + tanh(pad(y, 0)[b, {place}]) + 1/2*pad(y, 0)[b, i, j - 1]
outputs y
"""
    return stepwise(parse_program(text))


@pytest.mark.long
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("name", ["soft_dtw", "edit_distance", "affine_gaps"])
def test_formulas_by_diagonals_are_those_of_jax(name: str, steps: int, jax) -> None:
    """VJP, JVP and HVP, through all passes."""

    def computed(program: Program, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        ready = lowered(program, COPIES, "float64")
        names = {tensor.name for tensor in ready.inputs}
        module = interpret_programs([ready], Settings(COPIES, "float64", 2))
        batch = len(given["x1"] if "x1" in given else given["x"])
        return module.run(0, {k: v for k, v in given.items() if k in names}, batch=batch)

    case = case_of(name, steps)
    errors = errors_by_mode(case, computed, jax, prepare=simplified)
    assert max(finding.error for finding in errors.values()) < 1e-9, errors


def check_random(program: Program, target: Target, tile: int) -> None:
    verify(program)
    note(print_program(program))
    derived = with_cotangents(program)
    module = interpret_programs([derived], Settings(target, "float64", tile))
    for plan in module.plans:
        verify_plan(plan)
    for batch in (1, 3):
        values = run(derived, random_inputs(derived, batch), batch=batch)
        computed = module.run(0, given_to(derived, batch), batch=batch)
        for output in derived.outputs:
            assert np.allclose(computed[output], values[output], rtol=1e-9, atol=1e-9), (output, batch)


RANDOM = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
WAYS = st.sampled_from([WIDE, COPIES, IN_PLACE])


@settings(max_examples=8, **RANDOM)
@given(tables(), WAYS, st.sampled_from([1, 2, 4]))
def test_random_tables(program: Program, target: Target, tile: int) -> None:
    check_random(program, target, tile)


@pytest.mark.long
@settings(max_examples=500, **RANDOM)
@given(tables(), WAYS, st.sampled_from([1, 2, 4]))
def test_many_random_tables(program: Program, target: Target, tile: int) -> None:
    check_random(program, target, tile)
