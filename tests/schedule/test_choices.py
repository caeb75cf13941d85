"""Choices as C: every scalar node of the language, at special values, in plain loops and in vectors."""

from __future__ import annotations

from textwrap import dedent

import numpy as np

from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.harness import compile_programs
from tests.machines import targets

SPECIAL = (0.0, -0.0, 1e-45, -1e-45, 1e-30, 1.0, -2.0, 3e38, -3e38, np.inf, -np.inf, np.nan)
COLUMNS = 19
"""A vector of the longest type, and some lanes left over."""
NODES = {
    "max({0}, {1})": np.maximum,
    "min({0}, {1})": np.minimum,
    "max({0}, 0)": lambda a, b: np.maximum(a, 0),
    "min(1, {0})": lambda a, b: np.minimum(a, 1),
    "abs({0})": lambda a, b: np.abs(a),
    "sign({0})": lambda a, b: np.sign(a),
    "{1} if {0} != {0} else {0}": lambda a, b: np.where(a != a, b, a),
    "{0} if {0} == {1} else 2": lambda a, b: np.where(a == b, a, 2),
    "{0} if {0} < {1} else {1}": lambda a, b: np.where(a < b, a, b),
    "{0} if not {0} <= {1} else 3": lambda a, b: np.where(~(a <= b), a, 3),
    "{0} if {0} > {1} and {1} > 0 else 4": lambda a, b: np.where((a > b) & (b > 0), a, 4),
    "{0} if {0} >= {1} or {1} != {1} else -1e30": lambda a, b: np.where(
        (a >= b) | (b != b), a, np.float32(-1e30)
    ),
    "max(abs({0}), abs({1}))": lambda a, b: np.maximum(np.abs(a), np.abs(b)),
}


def loops() -> Program:
    """Each node in a loop of its own."""
    lines = [f"input x: (batch, {COLUMNS}) real", f"input z: (batch, {COLUMNS}) real"]
    for number, node in enumerate(NODES):
        lines.append(f"y{number}: (batch, {COLUMNS}) real = sum")
        lines.append(f"    for b:batch, i:{COLUMNS}: [b, i] += {node.format('x[b, i]', 'z[b, i]')}")
    return parse_program("\n".join([*lines, f"outputs {', '.join(f'y{n}' for n in range(len(NODES)))}"]))


def behind_a_contraction(node: str) -> Program:
    """The node of what a register tile has just computed: w[0, i]·x[b, 0] with w = 1."""
    text = f"""
        input x: (batch, 1) real
        input z: (batch, {COLUMNS}) real
        parameter w: (1, {COLUMNS}) real

        own: (batch, {COLUMNS}) real = sum
            for b:batch, i:{COLUMNS}, j:1: [b, i] += w[j, i]*x[b, j]

        y: (batch, {COLUMNS}) real = sum
            for b:batch, i:{COLUMNS}: [b, i] += {node.format("own[b, i]", "z[b, i]")}

        outputs y
        """
    return parse_program(dedent(text))


def points() -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL], np.float32)
    shape = (len(pairs), COLUMNS)
    return tuple(np.ascontiguousarray(np.broadcast_to(pairs[:, k : k + 1], shape)) for k in range(2))


@targets(("x86-64-v4", "scalar"))
def test_values(target: Target) -> None:
    programs = [loops(), *map(behind_a_contraction, NODES)]
    for program in programs:
        verify(program)
    module = compile_programs(programs, Settings(target, "float32", 8), extra_flags=("-O2",))
    x, z = points()
    looped = module.run(0, {"x": x, "z": z})
    ones = np.ones((1, COLUMNS), np.float32)
    for number, (node, expected) in enumerate(NODES.items()):
        with np.errstate(all="ignore"):
            right = np.broadcast_to(expected(x, z), x.shape)
        tiled = module.run(number + 1, {"x": x[:, :1].copy(), "z": z, "w": ones})["y"]
        for found in (looped[f"y{number}"], tiled):
            np.testing.assert_array_equal(found, right, err_msg=f"{node} on {target.name}")
            if node.startswith("abs"):
                assert not np.signbit(found[~np.isnan(found)]).any()
