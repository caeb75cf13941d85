"""What docs/derive.md and the pages of docs/learn show is what is printed, and their exercises pass."""

from __future__ import annotations

import contextlib
import io
import shlex
from pathlib import Path

import pytest

from compiler.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "derive.md"
LESSONS = sorted((DOCS / "learn").glob("[0-9]*.md"))


def shown(page: Path) -> list[tuple[list[str], list[str]]]:
    """Each command of the page, and the lines below it."""
    found = []
    for block in page.read_text(encoding="utf-8").split("```")[1::2]:
        first, *lines = block.strip("\n").splitlines()
        if first.startswith("$ chainrule "):
            found.append((shlex.split(first)[2:], lines))
    return found


def test_the_report_of_a_wrong_gradient_is_the_one_of_the_page() -> None:
    blocks = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    example = next(b.removeprefix("python\n") for b in blocks if "assert_gradients(my_vjp" in b)
    report = next(b.strip("\n") for b in blocks if b.startswith("\nAssertionError: "))
    with pytest.raises(AssertionError) as caught:
        exec(example, {})
    assert f"AssertionError: {caught.value}" == report


@pytest.mark.parametrize("page", [PAGE, *LESSONS], ids=lambda page: page.stem)
def test_every_line_of_the_page_is_printed(page: Path) -> None:
    commands = shown(page)
    assert commands
    for arguments, lines in commands:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(arguments) == 0
        for part in "\n".join(["", *lines, ""]).split("\n…\n"):
            assert part.strip("\n") in printed.getvalue(), f"{arguments}\n{part}\nin\n{printed.getvalue()}"


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.stem)
def test_the_answer_to_each_exercise_passes(page: Path) -> None:
    blocks = page.read_text(encoding="utf-8").split("```")[1::2]
    answers = [block.removeprefix("python\n") for block in blocks if block.startswith("python\n")]
    assert answers
    for answer in answers:
        assert "assert_gradients(" in answer
        exec(answer, {})


def test_every_lesson_is_listed() -> None:
    listed = (DOCS / "learn" / "README.md").read_text(encoding="utf-8")
    assert all(f"({page.name})" in listed for page in LESSONS)
