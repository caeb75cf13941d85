"""What ends a line for `str.splitlines` and not for Python's parser is no line of a formula."""

import pytest

from compiler.errors import ModelError, lines_of
from compiler.language.formula.parser import parse_formula

FORMULA = "m[b] = max[i](x[b, i])\ny[b, i] = arctan(x[b, i]) if i ≥ 1 else m[b]"


@pytest.mark.parametrize("character", list("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r\x00\ud800"), ids=repr)
def test_a_strange_character_is_refused_in_words_wherever_it_stands(character):
    for place in range(len(FORMULA) + 1):
        try:
            parse_formula(FORMULA[:place] + character + FORMULA[place:])
        except ModelError as error:
            assert str(error)


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\r\nb"])
def test_lines(text):
    assert lines_of(text) == ["a", "b"]
    assert lines_of("a\x0bb") == ["a\x0bb"]
