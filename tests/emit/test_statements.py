"""Each statement of a loop nest as Cython: one kernel of all of them, whose text stands here."""

from __future__ import annotations

import os
from pathlib import Path

from compiler.emit.cython.printer import print_kernel
from tests.ir.loops.samples import every_statement

GOLDEN = Path(__file__).parent / "every_statement.txt"


def printed() -> str:
    """Parameters, variables and lines, for vectors of 4 and of 2 lanes."""
    kernel = print_kernel(every_statement(), (2, 4))
    return "\n".join([*kernel.parameters, *kernel.variables, *kernel.lines]) + "\n"


def test_every_statement() -> None:
    if "UPDATE_GOLDEN" in os.environ:
        GOLDEN.write_text(printed(), encoding="utf-8")
    assert printed() == GOLDEN.read_text(encoding="utf-8")
