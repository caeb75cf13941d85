"""What docs/derive.md shows is what is printed."""

from __future__ import annotations

import contextlib
import io
import shlex
from pathlib import Path

import pytest

from compiler.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "derive.md"


def shown() -> list[tuple[list[str], list[str]]]:
    """Each command of the page, and the lines below it."""
    found = []
    for block in PAGE.read_text(encoding="utf-8").split("```")[1::2]:
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


def test_every_line_of_the_page_is_printed() -> None:
    commands = shown()
    assert len(commands) > 3
    for arguments, lines in commands:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(arguments) == 0
        out = printed.getvalue().splitlines()
        parts = "\n".join(lines).split("\n…\n") if "…" in lines else ["\n".join(lines)]
        for part in parts:
            part = part.removeprefix("…\n").removesuffix("\n…").strip("\n")
            assert part in "\n".join(out), f"{arguments}\n{part}\nin\n{printed.getvalue()}"
