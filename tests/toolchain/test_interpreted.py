"""Plain Python in a module: what of it the interpreter runs, under which names and at which lines."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import ModuleType

import pytest

from compiler import CompilerBug
from compiler.toolchain import translation
from compiler.toolchain.interpreted import BEGIN, END, with_interpreted_texts
from tests.workshop import Built

GOLDEN = Path(__file__).parents[1] / "golden" / "tiny.pyx"
SECTION = f"""\
first = 1
{BEGIN}
def wrong(text):
    raise ValueError(f"{{text}}: \\n")


class Kept(dict):
    pass


SIZE, = NUMBERS = (3,)
{END}
last = wrong
"""


def test_a_section_is_a_text_whose_lines_keep_their_numbers() -> None:
    text = with_interpreted_texts(SECTION, "small.pyx")
    assert text.count("\n") == SECTION.count("\n")
    variables: dict[str, object] = {}
    exec(text, variables)
    assert variables["SIZE"] == 3 and variables["NUMBERS"] == (3,) and variables["last"]
    with pytest.raises(ValueError) as caught:
        variables["wrong"]("x")  # type: ignore[operator]  # a function
    assert str(caught.value) == "x: \n"
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    line = SECTION.split("\n").index('    raise ValueError(f"{text}: \\n")') + 1
    assert (frame.filename, frame.lineno, frame.name) == ("small.pyx", line, "wrong")


def test_names_are_declared_for_what_is_compiled() -> None:
    declared = with_interpreted_texts(SECTION, "small.pyx").split("\n")[1].split(";")[0]
    assert declared == "wrong = Kept = NUMBERS = None"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"{BEGIN}\n", "1: .* not one of a pair"),
        (f"x = 1\n{END}\n", "2: .* not one of a pair"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", "2: .* not one of a pair"),
        (f"{BEGIN}\nx = '''y'''\n{END}\n", "quotes"),
    ],
)
def test_what_is_no_section(text: str, word: str) -> None:
    with pytest.raises(CompilerBug, match=word):
        with_interpreted_texts(text, "small.pyx")


def test_a_text_without_sections_stays() -> None:
    assert with_interpreted_texts("x = 1\n", "small.pyx") == "x = 1\n"


def test_a_module_gives_the_interpreter_what_is_called_seldom(built: Built) -> None:
    """The file beside it is not changed, and its lines are those that a traceback shows."""
    module: ModuleType = built("small")
    text = Path(module.__file__ or "").with_name("small.pyx").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    function = module._quota
    line = text.split("\n")[function.__code__.co_firstlineno - 1]
    assert line == 'def _quota(root="/"):' and function.__code__.co_filename == "small.pyx"
    assert function.__module__ == module.__name__


def test_cython_can_compile_all_of_it(tmp_path: Path) -> None:
    source = tmp_path / "tiny.pyx"
    source.write_text(GOLDEN.read_text())
    translation._translate(source, tmp_path / "whole.c")
    assert (tmp_path / "whole.c").stat().st_size > translation.translate(source).stat().st_size * 1.5
