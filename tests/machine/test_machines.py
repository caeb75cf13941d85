"""The machine models that tests compile for: what each is, code for it anywhere, C compilers in disguise."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.machine import x86
from compiler.machine.machine import Machine
from compiler.machine.registry import native_target, processors
from tests.conftest import NATIVE_FOLDERS
from tests.machines import MODELS, TARGETS, processor
from tests.passes.test_selected import case
from tests.schedule.building import build, disagreements, pullback

ROOT = Path(__file__).parents[2]


def test_the_models() -> None:
    """Intel's and AMD's 64-byte vectors differ in the unit, so in what pays; the others are the targets."""
    units = {name: (m.machine.vector_bytes, m.machine.unit_bytes) for name, m in MODELS.items()}
    assert units["intel-avx512"] == (64, 64) and units["amd-avx512"] == (64, 32)
    assert units["amd-avx512-wide"] == (64, 64)
    for name, (target, _) in processors().items():
        own, named = MODELS[name], TARGETS[target.name]
        usual = replace(own.machine, unit_bytes=64, level1_bytes=named.machine.level1_bytes)
        assert replace(own, name=named.name, machine=usual) == named
    assert {target.name for target, _ in processors().values()} == set(TARGETS)


@pytest.mark.parametrize(
    ("macros", "unit", "level1"),
    [((), 64, 32), (("__znver3__",), 32, 32), (("__znver4__",), 32, 32)]
    + [(("__AVX512VP2INTERSECT__", name), 64, 48) for name in ("__znver3__", "__znver4__", "__znver5__")]
    + [(("__AVX512VP2INTERSECT__",), 64, 32)],
)
def test_which_model_a_compiler_describes(macros: tuple[str, ...], unit: int, level1: int) -> None:
    """Zen 3 has no AVX-512: a compiler that says so and has it is older than the processor. Of AMD's, those
    with VP2INTERSECT are Zen 5 and later; Intel had it too."""
    machine = native_target(frozenset((*x86.AVX512, *macros))).machine
    assert (machine.vector_bytes, machine.unit_bytes, machine.level1_bytes) == (64, unit, level1 * 1024)


def test_what_is_left_over_is_computed_in_the_shortest_vector() -> None:
    """Of the vectors that there are: 16 bytes and their doubles, whatever the longest is."""
    long = Machine(vector_bytes=256, registers=32, unit_bytes=16)
    assert [long.slots(extent, 64) for extent in (1, 4, 5, 9, 17, 33, 64)] == [1, 1, 2, 4, 8, 16, 16]
    assert long.slots(65, 64) == (16 + 1) / 2
    assert Machine(vector_bytes=16, registers=16, unit_bytes=16).slots(1, 4) == 1


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-11), pytest.param("float32", 1e-4, marks=pytest.mark.long)]
)
def test_vectors_that_the_processor_has_not(dtype: str, tolerance: float) -> None:
    """Code for the longest vectors, whole, partial and masked, by a C compiler that knows none such."""
    bare = replace(TARGETS["x86-64-v4"], flags=())
    pairs = [pullback(case(channels)) for channels in (1, 5)]
    module = build(pairs, bare, dtype, 4)
    assert "_partial(" in module.source and "where_uint8" in module.source
    found = disagreements(module, pairs, (3,), tolerance)
    assert not found, found


NATIVE = """
import os, sys
from pathlib import Path
from tests.machines import disguise, native, processor
disguise(sys.argv[1], Path(sys.argv[2]))
print(native().machine, processor().machine)
"""


@pytest.mark.skipif(not processor().flags, reason="the C compiler has no -march=native to replace")
@pytest.mark.parametrize("name", MODELS)
def test_a_disguise(name: str, tmp_path: Path) -> None:
    """`native` is the model, and what the processor can do is still known."""
    plain = {key: value for key, value in os.environ.items() if key not in ("CC", "CHAINRULE_TEST_CC")}
    command = [sys.executable, "-c", NATIVE, name, str(tmp_path)]
    done = subprocess.run(
        command, env=plain | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    model = MODELS[name]
    assert done.stdout.strip() == f"{model.machine} {processor().machine}"


def test_machines_are_asked_for_in_one_place() -> None:
    """Every other test that compiles gets a named machine, or `native` as this run has it."""
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    words = ("target_for(", "described_target(")
    asking = {path for path in texts if any(word in texts[path] for word in words)}
    assert {path.relative_to(ROOT / "tests").as_posix() for path in asking} == {
        "machines.py",
        "machine/test_machines.py",
        "machine/test_new_target.py",
        "toolchain/test_measured.py",  # what it asks is no processor's
    }
    own = {ROOT / "tests" / "workshop.py", Path(__file__)}
    compiling = {path for path in texts if "compile_file(" in texts[path]} - own
    others = [path for path in compiling if not any(map(path.is_relative_to, NATIVE_FOLDERS))]
    assert not others, "tests/conftest.py marks what compiles for `native` by its folder"
