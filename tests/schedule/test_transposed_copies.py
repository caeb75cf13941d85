"""Copies after which another axis is contiguous, by squares that are transposed in registers."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.emit.cython.vectors import transpose_steps
from compiler.ir.loops.grammar import Transpose
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import statements
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.transposed_copy import TransposedCopy
from tests.harness import compile_programs, plans_of
from tests.machines import TARGETS, every_model, targets
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs
from tests.schedule.verifying import verify_plan

SIZES = ((16, 16), (17, 16), (16, 33), (37, 50), (3, 40))


def copy(rows: int, columns: int) -> Program:
    """Of every example a matrix is copied by columns; a tensor of three axes in another order."""
    return parse_program(f"""
input x: (batch, {rows}, {columns}) real
input k: (5, {rows}, {columns}) real
y: (batch, {columns}, {rows}) real = sum of "y"
    for b:batch, i:{rows}, j:{columns}: [b, j, i] += x[b, i, j]
p: ({columns}, 5, {rows}) real = sum of "p"
    for n:5, i:{rows}, j:{columns}: [j, n, i] += k[n, i, j]
outputs y, p
""")


@every_model
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_copies(sizes: tuple[int, int], target: Target) -> None:
    """On every machine every value is at its place: in squares, beside and below them; where no square has
    room there are plain loops."""
    program, settings = copy(*sizes), Settings(target, "float32", 4)
    (plan,) = plans_of([program], settings)
    calls = [c for phase in plan.phases for c in (*phase.before, *phase.tile)]
    (rows, columns), lanes = sizes, target.machine.lanes("float32")
    # n and i are one axis where they are copied: they lie together before and behind.
    room = {"y": min(rows, columns), "p": min(5 * rows, columns)}
    for call in calls:
        squares = room[call.kernel.name] >= lanes > 1
        assert isinstance(call.schedule, TransposedCopy) == squares
        assert any(isinstance(s, Transpose) for s in statements(call.kernel.body)) == squares
        assert parse_kernel(print_kernel(call.kernel)) == call.kernel
    verify_plan(plan)
    given = random_inputs(program, 3, np.float32)
    found, right = (
        interpret_programs([program], settings).run(0, given, batch=3),
        run(program, given, batch=3),
    )
    for name in ("y", "p"):
        np.testing.assert_array_equal(found[name], right[name].astype(np.float32))


@targets(1)
def test_copies_in_c(target: Target) -> None:
    program = copy(37, 50)
    module = compile_programs([program], Settings(target, "float32", 4), extra_flags=("-O0",))
    given = random_inputs(program, 3, np.float32)
    found, right = module.run(0, given, batch=3), run(program, given, batch=3)
    for name in ("y", "p"):
        np.testing.assert_array_equal(found[name], right[name].astype(np.float32))


@pytest.mark.parametrize("length", [2, 4, 8, 16])
def test_steps_of_a_square(length: int) -> None:
    """Rows become columns, whatever stands in them."""
    rows = list(np.arange(length * length).reshape(length, length))
    for step in transpose_steps(length):
        first, second = step.rows
        both = np.concatenate([rows[first], rows[second]])
        rows[first], rows[second] = both[list(step.near)], both[list(step.far)]
    np.testing.assert_array_equal(rows, np.arange(length * length).reshape(length, length).T)


def test_what_is_no_copy() -> None:
    """What computes something, reads where values say, is guarded, or has integers."""
    texts = ["2*x[b, i, j]", "x[b, n[b, j], j]", "m[b, i, j]"]
    for text in texts:
        program = parse_program(f"""
input x: (batch, 32, 32) real
input m: (batch, 32, 32) index < 9
input n: (batch, 32) index < 32
y: (batch, 32, 32) real = sum of "y"
    for b:batch, i:32, j:32: [b, j, i] += {text}
outputs y
""")
        (plan,) = plans_of([program], Settings(TARGETS["x86-64-v4"], "float32", 4))
        calls = [call for phase in plan.phases for call in phase.tile]
        assert calls
        assert not any(isinstance(call.schedule, TransposedCopy) for call in calls)
