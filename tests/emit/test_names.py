"""Names that the text of a module has for itself, and that no tensor may take from it."""

from __future__ import annotations

import re

import pytest

from compiler.emit.cython.names import RESERVED
from compiler.emit.cython.render import render_harness
from compiler.machine.machine import LONGEST_VECTOR_BYTES, Machine
from compiler.machine.registry import all_targets
from compiler.machine.target import Target

LONGEST = Target("longest", Machine(LONGEST_VECTOR_BYTES, 32))
MODEL = {
    **dict.fromkeys(("input_row", "tile", "lanes", "lane_tiles", "tile_bytes", "lane_elements"), 1),
    **dict.fromkeys(("shared_bytes", "crossing_row", "scalar_count", "argument_count"), 1),
    **{"dtype_literal": "'float32'", "tangents": False},
}


@pytest.mark.parametrize("target", [LONGEST, *all_targets().values()], ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_preamble_declares_is_reserved(target: Target, dtype: str) -> None:
    """Every C type and function that Cython is told of, for vectors of every length."""
    text = render_harness([], MODEL, target, dtype)
    declared = text.partition("ctypedef")[2].partition("\n\n")[0]
    names = set(re.findall(r"(\w+)\(", declared)) | set(re.findall(r"ctypedef \w+ (\w+)\n", text))
    assert len(names) > 20 and names <= RESERVED, sorted(names - RESERVED)
