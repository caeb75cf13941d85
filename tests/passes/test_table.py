"""The one table of passes: what reads it, and that a pass is its file and its row."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from compiler.cli import main
from compiler.driver import Driver, Step
from compiler.errors import CompilerBug, ModelError
from compiler.ir.tensor.program import Program, Rewrite
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.modes import MODES
from compiler.module_source import ModuleSource, compile_to_source
from compiler.pipeline import PASSES, Pass, parse_step, parse_switches, plain, steps_of, switchable
from compiler.pricing import costs_nothing
from compiler.tools.pass_table import listing, markdown, record, shown
from tests.machines import TARGETS

PAGE = Path(__file__).parents[2] / "docs/passes.md"


def model() -> Model:
    return Sequential([Input(3), Dense(2)], loss=MeanSquaredError(), optimizer=SGD())


def compiled(
    passes: tuple[Pass, ...] = PASSES, without: frozenset[str] = frozenset(), **more
) -> ModuleSource:
    machine = TARGETS["scalar"]
    return compile_to_source(model(), machine, "float32", "digest", without=without, passes=passes, **more)


def test_every_row_says_what_it_does_and_whether_it_can_be_left_out() -> None:
    assert [name for name, n in Counter(row.name for row in PASSES).items() if n > 1] == []
    for row in PASSES:
        assert row.help and bool(row.without) != bool(row.needed), row.name
        assert (row.function is None) == (row.part == "schedule"), row.name


def test_rows_stand_in_the_order_in_which_programs_go_through_them() -> None:
    """For every program of a module; products of two and more derivatives go back, to be derived again."""
    again = {"hvp": 1, "input_hvp": 1, "fisher": 1, "gauss_newton": 2}
    order = {name: number for number, name in enumerate(steps_of())}
    steps = compiled(modes=MODES).steps
    assert {step.name for step in steps} == order.keys()
    for program in {step.program for step in steps}:
        taken = [order[step.name] for step in steps if step.program == program]
        falls = sum(later < earlier for earlier, later in pairwise(taken))
        assert falls == again.get(program, 0), program


# The documentation.


def problems(page: str, passes: tuple[Pass, ...]) -> list[str]:
    """Where the page of the passes is not that of the table."""
    found = [] if markdown(passes) in page else ["the table is another one"]
    sections = re.findall(r"^## (.+)$", page, re.MULTILINE)
    names = [row.name for row in passes]
    found += [f"there is no section {name}" for name in names if name not in sections]
    found += [f"there is no pass {name}" for name in sections if name not in names]
    if not found and sections != names:
        found.append("the sections stand in another order")
    return found


def test_the_page_of_the_passes() -> None:
    """The same names, in the same order, with the same help, and a section for each."""
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_GOLDEN"):
        page = re.sub(r"^\| pass \|.*?\n(?=\n)", lambda _: markdown(PASSES) + "\n", page, flags=re.M | re.S)
        PAGE.write_text(page, encoding="utf-8")
    assert problems(page, PASSES) == []
    moved = (*PASSES[1:], PASSES[0])
    assert problems(page, moved) == ["the table is another one"]
    assert problems(page.replace(markdown(PASSES), markdown(moved)), moved) == [
        "the sections stand in another order"
    ]
    assert problems(page, PASSES[1:])[1:] == ["there is no pass commute"]


# A new pass.


def backwards(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """An artificial pass: the terms of every sum in reverse order."""
    changed = [replace(d, terms=d.terms[::-1]) for d in program.definitions]
    names = [d.name for d in program.definitions if len(d.terms) > 1]
    rewrites = (Rewrite("backwards", name, name, "for the sake of it") for name in names)
    return program.with_definitions(changed), tuple(rewrites)


ROW = Pass(
    "backwards",
    "lowering",
    "terms of sums in reverse order",
    plain(backwards),
    without="terms in the order in which they were found",
)


def inserted(row: Pass, before: str) -> tuple[Pass, ...]:
    position = [other.name for other in PASSES].index(before)
    return (*PASSES[:position], row, *PASSES[position:])


TABLE = inserted(ROW, "pack")


def test_a_pass_is_its_file_and_its_row() -> None:
    """It runs in its place for every program, is recorded and shown; nothing else has heard of it."""
    shown_after: list[str] = []

    def after(step: Step) -> None:
        if step.name == parse_step("backwards", TABLE):
            shown_after.append(shown(step))

    source = compiled(TABLE, after=after)
    names = [step.name for step in source.steps if step.program == "gradient"]
    assert names[names.index("backwards") - 1 :][:3] == ["transpose", "backwards", "pack"]
    programs = {step.program for step in source.steps}
    assert len(shown_after) == len(programs) == len(source.plans)
    assert shown_after[0].startswith("# gradient, after backwards (")
    assert "[backwards] dense_1\n    -> dense_1\n    because for the sake of it" in shown_after[0]
    assert source.text != compiled().text
    lines = [line.split() for line in record(source.steps).splitlines()]
    (line,) = (words for words in lines if words[:2] == ["gradient", "backwards"])
    assert int(line[2]) > 0 and line[3] == line[4]


def test_it_can_be_left_out() -> None:
    assert "backwards" in switchable(TABLE)
    off = parse_switches("backwards", TABLE)
    source = compiled(TABLE, off)
    assert all(step.name != "backwards" for step in source.steps)
    assert source.text.replace("\n# passes left out: backwards", "") == compiled().text
    with pytest.raises(ModelError, match="no such pass"):
        parse_switches("backwards")
    needed = inserted(replace(ROW, without="", needed="a law"), "pack")
    with pytest.raises(ModelError, match=r"backwards cannot be left out \(a law\)"):
        parse_switches("backwards", needed)


def test_it_is_in_the_help_and_asked_for_in_the_documentation() -> None:
    assert "backwards    terms of sums in reverse order" in listing(TABLE)
    assert "without it terms in the order in which they were found" in listing(TABLE)
    page = PAGE.read_text(encoding="utf-8")
    assert problems(page, TABLE) == ["the table is another one", "there is no section backwards"]
    written = page.replace(markdown(PASSES), markdown(TABLE)).replace(
        "## pack\n", "## backwards\n\n## pack\n"
    )
    assert problems(written, TABLE) == []


def test_it_is_verified() -> None:
    """A pass that breaks a program is stopped where it breaks it."""

    def broken(program: Program) -> tuple[Program, tuple[Rewrite, ...]]:
        return program.with_definitions(program.definitions[::-1]), ()

    with pytest.raises(CompilerBug, match="is read before it is defined"):
        compiled(inserted(replace(ROW, function=plain(broken)), "pack"))


# The record, and the command line.


def test_the_record_is_the_same_every_time() -> None:
    text = record(compiled().steps)
    assert text == record(compiled().steps)
    assert text.splitlines()[0].split() == ["program", "pass", "rewrites", "before", "after"]
    assert record(compiled().steps, times=True).splitlines()[0].split()[-1] == "ms"


def test_the_command_line_lists_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passes"]) == 0
    assert capsys.readouterr().out == listing(PASSES) + "\n"
    for option, words in (("--dump-after", "bounds"), ("--without", "winograd")):
        with pytest.raises(SystemExit):
            main(["compile", "m.py", option, "nothing"])
        assert words in capsys.readouterr().err


def test_a_driver_knows_its_table() -> None:
    driver = Driver(costs_nothing, frozenset(["fuse"]))
    assert driver.has("tile") and not driver.has("fuse") and not driver.has("nothing")
    with pytest.raises(CompilerBug, match="there is no pass nothing"):
        driver.one("nothing", "a", Program((), (), ()))
