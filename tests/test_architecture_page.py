"""docs/architecture.md says what the code does: its rooms are there, and its example is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

from compiler.frontend.parse import load_model
from compiler.ir.tensor.printer import print_program
from compiler.module_source import compile_to_source
from tests.machines import TARGETS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

LINE = """
from compiler import SGD, Formula, GlorotUniform, Input, MeanSquaredError, Sequential

layer = {formula}
model = Sequential([Input(8), layer], loss=MeanSquaredError(), optimizer=SGD(0.1))
"""


def test_every_room_is_in_the_table() -> None:
    table = set(re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.MULTILINE))
    rooms = {path.parent for path in (ROOT / "compiler").glob("*/__init__.py")} - {ROOT / "compiler" / "ir"}
    rooms |= {path.parent for path in (ROOT / "compiler" / "ir").glob("*/__init__.py")}
    assert table == {room.relative_to(ROOT / "compiler").as_posix() for room in rooms}


def test_every_room_says_what_may_not_enter() -> None:
    """Three lines: what it is, what comes in and goes out, what may not enter."""
    for room in re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.MULTILINE):
        words = (ROOT / "compiler" / room / "__init__.py").read_text(encoding="utf-8").split('"""')[1]
        assert "In: " in words and "Out: " in words and "enter" in words, room


def test_the_formula_that_is_followed(tmp_path: Path) -> None:
    """Every line that is shown is a line of what the stages give."""
    section = PAGE[PAGE.index("## One formula") : PAGE.index("## Phases, tiles, lanes")]
    blocks = re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL)
    (formula,) = (text for language, text in blocks if language == "python")
    (tmp_path / "line.py").write_text(LINE.format(formula=formula.strip()))
    programs: list[str] = []
    source = compile_to_source(
        load_model(tmp_path / "line.py"),
        TARGETS["x86-64-v3"],
        "float32",
        "digest",
        lambda step: programs.append(print_program(step.result)),
    )
    given = {line for text in (*programs, source.text) for line in text.splitlines()}
    shown = [text.splitlines() for language, text in blocks if not language]
    *checked, machine_code = shown
    assert len(checked) == 5 and any("vfmadd" in line for line in machine_code)
    assert [line for block in checked for line in block if line not in given] == []
