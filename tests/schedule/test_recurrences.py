"""Circles in loops over their steps, and their cotangents, which run the other way: every machine model and
dtype in the interpreter of loop nests; what the loops look like; random circles."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Fill, If, Load, Loop, Statement
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import bodies, statements
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.plan.stages import stages
from compiler.plan.tiling import cheapest_tile
from compiler.schedule.settings import Settings
from tests.harness import compile_programs, plans_of
from tests.machines import MODELS, native
from tests.schedule.building import random_inputs
from tests.schedule.recurrence_samples import TEXTS, program_of, with_cotangents
from tests.schedule.running import interpret_programs
from tests.schedule.verifying import verify_plan

WIDE = MODELS["intel-avx512"]
DTYPES = {"float64": 1e-11, "float32": 2e-4}
BATCHES = (1, 5)
TILE = 4


@cache
def samples() -> dict[str, Program]:
    return {name: with_cotangents(program_of(name)) for name in TEXTS}


@cache
def wanted(name: str, batch: int) -> dict[str, np.ndarray]:
    program = samples()[name]
    values = run(program, random_inputs(program, batch), batch=batch)
    return {output: np.asarray(values[output]) for output in program.outputs}


def given_to(program: Program, batch: int) -> dict[str, np.ndarray]:
    names = {tensor.name for tensor in program.inputs}
    return {name: value for name, value in random_inputs(program, batch).items() if name in names}


def error(found: np.ndarray, value: np.ndarray) -> float:
    assert found.shape == value.shape
    return np.abs(found - value).max(initial=0) / max(1, np.abs(value).max(initial=0))


@pytest.mark.parametrize(
    ("target", "dtype"),
    [
        # Each machine has one of them in `make test`.
        pytest.param(m, dtype, marks=[pytest.mark.long] * (n % 2 != k), id=f"{m.name}-{dtype}")
        for n, m in enumerate(MODELS.values())
        for k, dtype in enumerate(DTYPES)
    ],
)
def test_every_circle_and_its_cotangents(target: Target, dtype: str) -> None:
    wrong = []
    for name, program in samples().items():
        module = interpret_programs([program], Settings(target, dtype, TILE))
        for batch in BATCHES:
            found = module.run(0, given_to(program, batch), batch=batch)
            errors = (error(found[output], value) for output, value in wanted(name, batch).items())
            if not (worst := max(errors)) <= DTYPES[dtype]:
                wrong.append(f"{name}, batch {batch}: off by {worst:.1e}")
    assert not wrong, "\n".join(wrong)


def test_accesses_are_proven_and_kernels_read_back() -> None:
    for program in samples().values():
        for machine in (WIDE, MODELS["avx2"]):
            (plan,) = plans_of([program], Settings(machine, "float32", TILE))
            verify_plan(plan)
            for kernel in plan.kernels:
                assert parse_kernel(print_kernel(kernel)) == kernel


def test_a_circle_is_one_kernel() -> None:
    (plan,) = plans_of([program_of("recurrent network")], Settings(WIDE, "float32", TILE))
    (kernel,) = plan.kernels
    assert {buffer.name for buffer in kernel.buffers if buffer.written} == {"s", "h"}
    assert kernel.schedule == (
        "steps of t forwards: gather, register tile: 4 b by 2 x 16 lanes of u; gather, plain loops"
    )


def test_text_does_not_grow_with_the_steps() -> None:
    text = TEXTS["cells and gates"]
    longer = text.replace("batch, 4,", "batch, 784,").replace("t:4", "t:784")
    short, long = (
        [len(list(statements(k.body))) for k in plan.kernels if k.schedule.startswith("steps of")]
        for plan in (
            plans_of([with_cotangents(stepwise(parse_program(t)))], Settings(WIDE, "float32", TILE))[0]
            for t in (text, longer)
        )
    )
    assert short == long and len(short) == 2


def inside_tests(body: tuple[Statement, ...], steps: frozenset[str], depth: int = 0) -> int:
    """The tests of steps alone that stand in a loop over anything else."""
    found = 0
    for statement in body:
        over_steps = isinstance(statement, Loop) and statement.variable in steps
        if isinstance(statement, If):
            found += depth > 0 and all(test.affine.axes <= steps for test in statement.tests)
        inner = depth + (isinstance(statement, Loop) and not over_steps)
        found += sum(inside_tests(one, steps, inner) for one in bodies(statement))
    return found


def test_inner_loops_ask_nothing_of_the_step() -> None:
    for program in samples().values():
        (plan,) = plans_of([program], Settings(WIDE, "float32", TILE))
        for kernel in plan.kernels:
            if kernel.schedule.startswith("steps of"):
                steps = {word.split(" ")[0] for word in kernel.schedule.split(":")[0].split("steps of ")[1:]}
                assert inside_tests(kernel.body, frozenset(steps)) == 0


def test_steps_that_a_test_leaves_out_are_known() -> None:
    """Where t is not the last step it is an earlier one, so nothing asks whether there is a later step."""
    text = """
input x: (batch, 6, 5) real
y: (batch, 6, 5) real = sum of "y"
    for b:batch, t:6, u:5 if t - 5 == 0: [b, t, u] += x[b, t, u]
    for b:batch, t:6, u:5 if -t + 4 >= 0: [b, t, u] += y[b, t + 1, u]*x[b, t, u]
outputs y
"""
    (plan,) = plans_of([parse_program(text)], Settings(WIDE, "float32", TILE))
    (kernel,) = plan.kernels
    assert sum(isinstance(statement, If) for statement in statements(kernel.body)) == 1


def test_weights_are_read_and_examples_computed_in_every_step() -> None:
    """So a tile has room for many examples: 640 kB of weights are read 300 times for each tile."""
    text = TEXTS["recurrent network"].replace(", 5, 19", ", 300, 400").replace("(19, 19)", "(400, 400)")
    program = stepwise(parse_program(text.replace("t:5", "t:300").replace(":19", ":400")))
    (plan,) = plans_of([program], Settings(WIDE, "float32", 1))
    (call,) = plan.phases[0].tile
    assert call.schedule.rounds == 300
    assert call.schedule.cycles_for(WIDE.machine, 8) > 4 * call.schedule.cycles_for(WIDE.machine, 1)
    assert cheapest_tile(plan, WIDE.machine, "float32") == 16


def test_loops_ask_nothing_where_no_read_is_outside() -> None:
    """Nearly everywhere: at the edges alone a read is tested."""
    (plan,) = plans_of([program_of("padded reads")], Settings(WIDE, "float32", TILE))
    (kernel,) = plan.kernels
    branches = [s for s in statements(kernel.body) if isinstance(s, If) and len(s.tests) == 2]
    assert [str(test) for test in branches[0].tests] == ["i - 1 >= 0", "j - 1 >= 0"]
    loads = [[s for s in statements(body) if isinstance(s, Load)] for body in bodies(branches[0])]
    assert [any(load.address.inside for load in one) for one in loads] == [False, True]


def test_a_reduction_runs_over_what_its_guards_allow() -> None:
    """Its sum is one in blocks, whose first point begins the accumulators, as without guards."""
    text = """
input x: (batch, 90, 16) real
input h: (batch, 90, 16) real
w: (16, 16) real = sum of "w"
    for b:batch, t:90, u:16, v:16 if t - 1 >= 0: [v, u] += h[b, t - 1, v]*x[b, t, u]
outputs w
"""
    program = parse_program(text)
    (plan,) = plans_of([program], Settings(WIDE, "float32", TILE))
    (kernel,) = plan.kernels
    loops = [s for s in statements(kernel.body) if isinstance(s, Loop) and s.variable.startswith("t")]
    assert loops and all(loop.upper[0].affine.constant in (0, 89) for loop in loops)
    given = random_inputs(program, 5)
    found = interpret_programs([program], Settings(WIDE, "float64", TILE)).run(0, given, batch=5)["w"]
    assert error(found, run(program, given, batch=5)["w"]) < 1e-12


def test_what_follows_a_product_stays_in_its_registers() -> None:
    (plan,) = plans_of([program_of("linear units")], Settings(WIDE, "float32", TILE))
    (kernel,) = plan.kernels
    assert "the rest in registers" in kernel.schedule
    # Where there is no step before, the product is a zero, and nothing is stored for it.
    assert {buffer.name for buffer in kernel.buffers if buffer.written} == {"h"}


def test_a_winner_is_found_with_its_max() -> None:
    (plan,) = plans_of([samples()["best path"]], Settings(WIDE, "float32", TILE))
    writes = [{b.tensor for b in kernel.buffers if b.written} for kernel in plan.kernels]
    assert {"best", "best.winner", "a"} in writes


def test_what_is_cleared_is_cleared_once() -> None:
    for program in samples().values():
        (plan,) = plans_of([program], Settings(WIDE, "float32", TILE))
        for kernel in plan.kernels:
            inner = [s for loop in kernel.body for body in bodies(loop) for s in statements(body)]
            assert not [s for s in inner if isinstance(s, Fill)]


def test_a_circle_runs_in_one_phase() -> None:
    """Behind what its members wait for, all of them."""
    program = program_of("what a mean of the batch begins")
    found = stages(program)
    assert found["mean"].phase == 0
    assert (found["y"].phase, found["y"].kind) == (1, "tile")


def test_a_sum_over_the_batch_in_a_circle_is_a_bug() -> None:
    text = """
input x: (batch, 4) real
m: (4) real = sum of "m"
    for b:batch, t:4 if t - 1 >= 0: [t] += y[b, t - 1]
y: (batch, 4) real = sum of "y"
    for b:batch, t:4: [b, t] += x[b, t] + m[t]
outputs y
"""
    with pytest.raises(CompilerBug, match="a circle through a sum over the batch"):
        stages(parse_program(text))


@pytest.fixture(scope="module")
def compiled():
    names = (
        *("recurrent network", "best path", "alignment", "a loop inside a step", "backwards"),
        *("greatest of all steps and units", "smallest of all places of a grid"),
    )
    programs = [samples()[name] for name in names]
    return names, compile_programs(programs, Settings(native(), "float64", 2), extra_flags=("-O0",))


def test_in_c(compiled) -> None:
    names, module = compiled
    for number, name in enumerate(names):
        found = module.run(number, given_to(samples()[name], 5), batch=5)
        for output, value in wanted(name, 5).items():
            assert error(found[output], value) < 1e-10, (name, output)


VALUES = ("x[b, t, u]", "tanh({})", "{}*x[b, t, u]", "1/2*{}", "max({}, 0)", "{}**2", "exp(-{}**2)")


@st.composite
def circles(draw: st.DrawFn) -> Program:
    """Up to three definitions that read each other at earlier steps, and those before them at the same."""
    steps, width, way = (
        draw(st.integers(1, 4)),
        draw(st.sampled_from([1, 3, 17])),
        draw(st.sampled_from([1, -1])),
    )
    names = [f"y{k}" for k in range(draw(st.integers(1, 3)))]
    lines = [f"input x: (batch, {steps}, {width}) real", f"parameter w: ({width}, {width}) real"]
    for k, name in enumerate(names):
        lines.append(f'{name}: (batch, {steps}, {width}) real = sum of "layer"')
        lines.append(f"    for b:batch, t:{steps}, u:{width}: [b, t, u] += 1/3*x[b, t, u]")
        for _ in range(draw(st.integers(1, 3))):
            read = draw(st.integers(0, len(names) - 1))
            back = draw(st.integers(1 if read >= k else 0, 2))
            place = f"t {'-' if way > 0 else '+'} {back}" if back else "t"
            guard = f"t - {back} >= 0" if way > 0 else f"{steps - 1 - back} - t >= 0"
            guard = f" if {guard}" if back else ""
            if draw(st.booleans()):
                lines.append(
                    f"    for b:batch, t:{steps}, u:{width}, v:{width}{guard}: "
                    f"[b, t, u] += 1/9*w[v, u]*y{read}[b, {place}, v]"
                )
            else:
                value = draw(st.sampled_from(VALUES)).format(f"y{read}[b, {place}, u]")
                lines.append(f"    for b:batch, t:{steps}, u:{width}{guard}: [b, t, u] += {value}")
    lines.append(f"outputs {', '.join(names)}")
    return stepwise(parse_program("\n".join(lines)))


def check_random(program: Program, machine: str, tile: int, fuse: bool) -> None:
    verify(program)
    note(print_program(program))
    derived = with_cotangents(program)
    module = interpret_programs([derived], Settings(MODELS[machine], "float64", tile, fuse=fuse))
    for batch in (1, 3):
        values = run(derived, random_inputs(derived, batch), batch=batch)
        found = module.run(0, given_to(derived, batch), batch=batch)
        for output in derived.outputs:
            assert error(found[output], values[output]) < 1e-9, (output, machine, tile, batch)


RANDOM = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
MACHINES = st.sampled_from(sorted(MODELS))


@settings(max_examples=10, **RANDOM)
@given(circles(), MACHINES, st.sampled_from([1, 2, 4]), st.booleans())
def test_random_circles(program: Program, machine: str, tile: int, fuse: bool) -> None:
    check_random(program, machine, tile, fuse)


@pytest.mark.long
@settings(max_examples=500, **RANDOM)
@given(circles(), MACHINES, st.sampled_from([1, 2, 4]), st.booleans())
def test_many_random_circles(program: Program, machine: str, tile: int, fuse: bool) -> None:
    check_random(program, machine, tile, fuse)
