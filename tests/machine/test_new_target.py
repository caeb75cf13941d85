"""A target is one file: what is made in this one is listed, recognised, compiled for and run.

Vectors that this processor has not are computed in shorter ones by the C compiler, so kernels for any length
of them run here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from compiler.cli import main
from compiler.errors import CompilerBug, ModelError
from compiler.language.description import Model
from compiler.machine import targets
from compiler.machine.machine import Machine
from compiler.machine.registry import all_targets, native_target, processors
from compiler.machine.target import Target
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import Options, target_for
from tests.machine.networks import built, digits, disagreements, lowered_programs, tiny
from tests.workshop import ROOT, SMALL, compile_quickly, import_module

FILE = '''"""Vectors of 32 bytes like AVX2's, and twice as many registers for them."""

from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

MACHINE = Machine(vector_bytes=32, registers=32)
PROCESSOR = Processor("roomy-1", (("__AVX2__", "__FMA__", "__ROOMY__"),), MACHINE)
TARGET = Target("roomy", MACHINE, processors=(PROCESSOR,))
'''

ROOMY = Machine(vector_bytes=32, registers=32)
LONG = Machine(vector_bytes=128, registers=32, unit_bytes=128)
LONGEST = Machine(vector_bytes=512, registers=8, unit_bytes=32)
NEW = {
    "roomy": Target("roomy", ROOMY),
    "long": Target("long", LONG),
    "longest": Target("longest", LONGEST),
}


@pytest.fixture
def one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one more file of targets."""
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "roomy.py").write_text(FILE)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, f"{targets.__name__}.roomy", raising=False)
    return folder


def test_it_is_listed_and_recognised(one_file: Path, capsys: pytest.CaptureFixture) -> None:
    names = list(all_targets())
    assert names == ["x86-64-v4", "x86-64-v4-bf16", "roomy", "x86-64-v3", "neon", "x86-64-v2", "scalar"]
    assert target_for("roomy", find_toolchain()).machine == ROOMY
    assert "roomy-1" in processors()
    known = frozenset({"__SSE2__", "__AVX2__", "__FMA__", "__ROOMY__"})
    assert native_target(known).machine == ROOMY
    assert native_target(known - {"__ROOMY__"}).machine == all_targets()["x86-64-v3"].machine
    with pytest.raises(SystemExit):
        main(["compile", "--help"])
    assert ", ".join(names) in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ModelError, match="roomy"):
        target_for("no such", find_toolchain())


def test_it_is_compiled_for(one_file: Path, tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    out = tmp_path / "generated"
    compiled = compile_quickly(tmp_path / "small.py", Options(out, target="roomy"))
    assert import_module(compiled.module).TARGET == "roomy"


def test_two_of_one_name(one_file: Path) -> None:
    (one_file / "again.py").write_text(FILE)
    with pytest.raises(CompilerBug, match="one name"):
        all_targets()


ORDINARY = {("roomy", "float32", tiny), ("long", "float64", tiny)}
"""What is run in `make test`; the rest in `make long`."""
EVERY = [
    pytest.param(
        *row, marks=[pytest.mark.long] * (row not in ORDINARY), id=f"{row[0]}-{row[1]}-{row[2].__name__}"
    )
    for row in product(NEW, ("float32", "float64"), (tiny, digits))
]


@pytest.mark.parametrize(("name", "dtype", "model"), EVERY)
def test_values(name: str, dtype: str, model: Callable[[], Model]) -> None:
    target = NEW[name]
    programs = lowered_programs(model(), target, dtype)
    module = built(programs, target, dtype)
    found = disagreements(module, programs)
    assert not found, found


def test_the_documentation_lists_every_target() -> None:
    """README's table of options, and its paragraph on targets."""
    listed = f"`--target T` | compile, train, evaluate, bench | `native`, `{'`, `'.join(all_targets())}` |"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paragraph = text.partition("## Targets and dtypes")[2].partition("##")[0]
    assert listed in text
    assert all(f"`{name}`" in paragraph for name in all_targets())


@pytest.mark.parametrize("size", [8, 24, 48, 1024])
def test_vectors_that_cannot_be(size: int) -> None:
    with pytest.raises(CompilerBug):
        Machine(vector_bytes=size, registers=16)


def test_the_table_of_lengths() -> None:
    """Each half of the next, 16 bytes at least; a machine without vectors has one value at a time."""
    assert [LONG.lengths(dtype) for dtype in ("float32", "float64")] == [(4, 8, 16, 32), (2, 4, 8, 16)]
    assert Machine(16, 16).lengths("float32") == (4,)
    assert Machine(0, 16).lengths("float64") == (1,)
