"""What docs/derive.md and the pages of docs/learn show is what is printed, and their exercises pass."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tools.site import differences, on_page_markdown, shown

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "derive.md"
LESSONS = sorted((DOCS / "learn").glob("[0-9]*.md"))


def test_the_report_of_a_wrong_gradient_is_the_one_of_the_page() -> None:
    blocks = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    example = next(b.removeprefix("python\n") for b in blocks if "assert_gradients(my_vjp" in b)
    report = next(b.strip("\n") for b in blocks if b.startswith("\nAssertionError: "))
    with pytest.raises(AssertionError) as caught:
        exec(example, {})
    assert f"AssertionError: {caught.value}" == report


@pytest.mark.parametrize("page", [PAGE, *LESSONS], ids=lambda page: page.stem)
def test_every_line_of_the_page_is_printed(page: Path) -> None:
    markdown = page.read_text(encoding="utf-8")
    assert any(arguments[0] == "derive" for arguments, _ in shown(markdown))
    assert not list(differences(markdown))


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
    assert re.findall(r"^\d+\. .*\(([^)]+)\)", listed, re.MULTILINE) == [page.name for page in LESSONS]


def test_every_page_is_on_the_site() -> None:
    menu = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(re.findall(r"- (\S+\.md)$", menu, re.MULTILINE)) == pages, "the menu is `nav` of mkdocs.yml"
    assert "index.md" in menu


def test_the_site_is_not_built_of_what_is_not_printed() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="x.md"))
    right = '```\n$ chainrule derive "y = x²"\n…\ndy/dx = 2x\n```\n'
    assert on_page_markdown(right, page=page) == right
    with pytest.raises(ValueError, match=r"(?s)x\.md shows what is not printed.*dy/dx = 3x"):
        on_page_markdown(right.replace("= 2x", "= 3x"), page=page)
