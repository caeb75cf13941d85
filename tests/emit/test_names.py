"""Names that the text of a module has for itself, and that no tensor may take from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compiler.emit.cython.names import RESERVED
from compiler.emit.cython.render import render
from compiler.ir.module.grammar import Memory
from compiler.machine.machine import LONGEST_VECTOR_BYTES, Machine
from compiler.machine.registry import all_targets
from compiler.machine.target import Target

TESTS = Path(__file__).parents[1]
LONGEST = Target("longest", Machine(LONGEST_VECTOR_BYTES, 32))
MEMORY = Memory(1, 1, 1, 1, 1, 1, 1, 1, 1)
GIVEN = {
    "names": (),
    "tile": 1,
    "inputs": (),
    "labels": (),
    "gathers": (),
    "tangents": False,
    "cotangents": False,
    "example_states": 0,
}
"""What the harness of the tests asks for, of no program."""


@pytest.mark.parametrize("target", [LONGEST, *all_targets().values()], ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_preamble_declares_is_reserved(target: Target, dtype: str) -> None:
    """Every C type and function that Cython is told of, for vectors of every length."""
    text = render("harness.pyx.jinja", (), MEMORY, target, dtype, (), folders=[TESTS], **GIVEN)
    declared = text.partition("ctypedef")[2].partition("\n\n")[0]
    names = set(re.findall(r"(\w+)\(", declared)) | set(re.findall(r"ctypedef \w+ (\w+)\n", text))
    assert len(names) > 20 and names <= RESERVED, sorted(names - RESERVED)
