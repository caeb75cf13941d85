"""A backend for modules takes a file, and a text that the file prints calls of: plain C runs a step.

What it needs stands in the module's IR. Nothing of `compiler/emit/cython` is read, and nothing of the
compiler is changed. Its results are those of the interpreter of routines, for each routine of a step.
"""

from __future__ import annotations

import ast
import ctypes
import subprocess
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from compiler.ir.loops.grammar import Statement
from compiler.ir.module.entry_point import with_duty
from compiler.ir.module.grammar import Area
from compiler.ir.module.interpret import Given, run_routine
from compiler.module_source import ModuleSource, compile_to_source
from compiler.toolchain.build import find_toolchain
from tests.emit import plain_c
from tests.ir.module.test_interpret import areas, network
from tests.machines import TARGETS

DUTIES = ("initial_values", "prediction", "evaluation", "training", "update")


@pytest.fixture(scope="module")
def source() -> ModuleSource:
    return compile_to_source(network(), TARGETS["scalar"], "float64", "digest")


@pytest.fixture(scope="module")
def library(source: ModuleSource, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The routines as a shared library: no Cython, and no headers of Python's."""
    memory = source.module.memory
    texts = [
        plain_c.routine_text(routine, ("input", "label"), memory.lanes, memory.lane_elements)
        for routine in source.module.routines
    ]
    file = tmp_path_factory.mktemp("plain") / "module.c"
    file.write_text("\n".join([plain_c.HEAD, *texts]))
    command = [*find_toolchain().command, "-O1", "-shared", "-fPIC", str(file), "-lm", "-o"]
    subprocess.run([*command, str(file.with_suffix(".so"))], check=True)
    return ctypes.CDLL(str(file.with_suffix(".so")))


def run_in_c(library: ctypes.CDLL, source: ModuleSource, name: str, given: Given) -> None:
    """As `run_routine` does: what a routine gives is in the areas of `given` then."""
    memory = source.module.memory
    rooms: dict[Area, np.ndarray] = {
        "tile": np.zeros(memory.tile_bytes, np.uint8),
        "shared": np.zeros(max(memory.shared_bytes, source.module.initialize_bytes), np.uint8),
        "batch": np.zeros(memory.batch_elements * given.batch),
        "lane": np.zeros(memory.lanes * memory.lane_elements),
        **given.areas,
    }
    pointers = [rooms[area].ctypes.data if area in rooms else None for area in plain_c.AREAS]
    inputs = [given.arrays[name].ctypes.data for name in ("input", "label")]
    function = getattr(library, name)
    function.restype = None
    function(
        (ctypes.c_void_p * len(pointers))(*pointers),
        (ctypes.c_void_p * 2)(*inputs),
        *(ctypes.c_long(given.batch), ctypes.c_uint32(given.seed), ctypes.c_uint32(given.step)),
    )


@pytest.mark.parametrize("duty", DUTIES)
def test_plain_c_computes_what_the_interpreter_does(
    duty: Any, source: ModuleSource, library: ctypes.CDLL
) -> None:
    """Initial values, forward passes, loss and gradients, the update of all parameters."""
    module, entry = source.module, with_duty(source.entries, duty)
    routine = module.routines[source.entries.index(entry)]
    rng = np.random.default_rng(0)
    examples = 2 * routine.tile * module.memory.lanes + 1
    batch = module.storage.parameters.size if duty == "update" else examples
    values = {row.name: rng.normal(size=row.shape) for row in module.signature.of("parameter", "state")}
    arrays = {
        "input": rng.normal(size=(batch, 6, 6, 2)),
        "label": rng.integers(3, size=batch).astype(np.int32),
    }
    found, expected = (areas(source, batch, values) for _ in range(2))
    for flat in (found, expected):
        flat["state"][: module.storage.first_state] = 0.01
        flat["total"][: module.storage.parameters.size] = 0.5 if duty == "update" else 0
    run_in_c(library, source, routine.name, Given(batch, arrays, found, seed=4, step=2))
    memory = module.memory
    run_routine(routine, memory, Given(batch, arrays, expected, seed=4, step=2), np.float64)
    for area, flat in expected.items():
        np.testing.assert_allclose(found[area], flat, rtol=1e-9, atol=1e-12, err_msg=area)
    start = areas(source, batch, values)
    assert any((found[area] != start[area]).any() for area in found), "something was computed"


def test_every_statement_has_a_form() -> None:
    assert {*get_args(Statement)} == {*plain_c.FORMS}


def test_a_backend_reads_the_ir_and_no_other_backend() -> None:
    tree = ast.parse(Path(plain_c.__file__).read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [module for module in modules if module and module.startswith("compiler.")]
    assert ours and all(module.startswith("compiler.ir.") for module in ours)
