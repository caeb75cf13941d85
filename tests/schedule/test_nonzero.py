"""Matrix products that leave out zeros of what they are given: the same bits as with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.machine.target import Target
from compiler.schedule.nonzero import LONGEST_LIST
from compiler.schedule.settings import Settings
from tests.harness import CompiledPrograms, compile_programs, plans_of
from tests.machines import TARGETS, every_model, shared_out
from tests.schedule.building import random_inputs
from tests.schedule.running import InterpretedPrograms, interpret_programs

ROWS, COLUMNS = 37, 300
PROGRAM = parse_program(f"""
input x: (batch, {ROWS}) real
input kernel: ({ROWS}, {COLUMNS}) real
input gradient: (batch, {COLUMNS}) real
y: (batch, {COLUMNS}) real = sum of "y"
    for b:batch, o:{COLUMNS}, i:{ROWS}: [b, o] += kernel[i, o]*x[b, i]
x.kept: (batch, {ROWS}) real = sum of "x"
    for b:batch, i:{ROWS}: [b, i] += x[b, i]
kernel.cotangent: ({ROWS}, {COLUMNS}) real = sum of "y"
    for b:batch, o:{COLUMNS}, i:{ROWS}: [i, o] += gradient[b, o]*x.kept[b, i]
outputs y, kernel.cotangent
""")
OUTPUTS = PROGRAM.outputs


def some_zero(x: np.ndarray) -> np.ndarray:
    """Whole rows, whole columns and single values are zero, some of them negative zeros."""
    x = np.where(np.random.default_rng(2).random(x.shape) < 0.7, 0.0, x)
    x[::3] = -0.0
    x[:, 5:20] = 0
    return x


CASES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "some": some_zero,
    "all": np.zeros_like,
    "all but the last": lambda x: np.where(np.arange(x.size).reshape(x.shape) == x.size - 1, 1.0, 0.0),
}


ROOM = 1 << 20
"""Bytes of a second-level cache in which what is summed over the batch stays, so that nothing is packed."""


def with_room(target: Target, room: int = ROOM) -> Target:
    """The machine with such a second-level cache."""
    return replace(target, machine=replace(target.machine, level2_bytes=room))


@cache
def interpreted(target: Target, zeros: bool) -> InterpretedPrograms:
    return interpret_programs([PROGRAM], Settings(with_room(target), "float64", 16, zeros=zeros))


@cache
def compiled(target: Target, zeros: bool) -> CompiledPrograms:
    settings = Settings(target, "float64", 16, zeros=zeros)
    return compile_programs([PROGRAM], settings, extra_flags=("-O0",))


def inputs(batch: int, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    values = random_inputs(PROGRAM, batch)
    return values | {"x": change(values["x"])}


@shared_out(CASES, 2)
def test_bits(target: Target, part: list[str]) -> None:
    """Left out or multiplied: the same bits, and what the interpreter of the program computes."""
    module, plain = interpreted(target, True), interpreted(target, False)
    assert any("where the input is not 0" in kernel.schedule for kernel in module.plans[0].kernels)
    assert not any("where the input is not 0" in kernel.schedule for kernel in plain.plans[0].kernels)
    for case in part:
        for batch in (1, 18):
            given = inputs(batch, CASES[case])
            wanted = run(PROGRAM, given, batch=batch)
            expected = plain.run(0, given, batch=batch)
            found = module.run(0, given, batch=batch)
            for name in OUTPUTS:
                assert found[name].tobytes() == expected[name].tobytes(), (case, batch, name)
                np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, atol=1e-12)


def test_bits_of_threads() -> None:
    """Left out or multiplied, one thread or three."""
    module, plain = (compiled(TARGETS["x86-64-v4"], zeros) for zeros in (True, False))
    given = inputs(45, some_zero)
    expected = plain.run(0, given)
    for threads in (1, 3):
        found = module.run(0, given, threads=threads)
        for name in OUTPUTS:
            assert found[name].tobytes() == expected[name].tobytes(), (threads, name)


@every_model
def test_what_is_listed(target: Target) -> None:
    """Both products where their operands stay in the second-level cache. An operand of a sum over the whole
    batch that does not is packed into panels instead, and a panel has all points."""
    for room, wanted in ((ROOM, ["y", "kernel.cotangent"]), (ROOM // 2, ["y"])):
        (plan,) = plans_of([PROGRAM], Settings(with_room(target, room), "float64", 16))
        assert [k.name for k in plan.kernels if "where the input is not 0" in k.schedule] == wanted
        packed = [k.name for k in plan.kernels if "over panels" in k.schedule]
        assert packed == [name for name in ("kernel.cotangent",) if name not in wanted]


def test_a_nan_is_listed() -> None:
    """It is not taken for a zero, and reaches what it must."""
    module = interpreted(TARGETS["x86-64-v4"], True)
    given = inputs(9, np.zeros_like)
    given["x"][4, 7] = np.nan
    found = module.run(0, given)
    assert np.isnan(found["y"][4]).all() and not found["y"][[0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert (
        np.isnan(found["kernel.cotangent"][7]).all() and np.isnan(found["kernel.cotangent"]).sum() == COLUMNS
    )


def test_a_batch_longer_than_a_list() -> None:
    module, plain = (compiled(TARGETS["x86-64-v4"], zeros) for zeros in (True, False))
    for batch in (LONGEST_LIST, LONGEST_LIST + 1):
        given = inputs(batch, some_zero)
        found, expected = module.run(0, given), plain.run(0, given)
        for name in OUTPUTS:
            # A list's blocks are of its own entries: such sums differ by rounding.
            assert np.allclose(found[name], expected[name], rtol=1e-5, atol=1e-5), (batch, name)
