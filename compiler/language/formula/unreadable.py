"""A text that Python cannot parse -> what is wrong with it, in the words of formulas.

    lambda = 2*x     lambda is a Python keyword, and can be no name
    y =              nothing stands behind =
    y = x!           ! is no sign of the formula language
    y = x**          an exponent is missing behind **
    y = x****2       ** and ** stand side by side

Python says "invalid syntax" of all of these.
"""

from __future__ import annotations

import keyword
import re

from compiler.errors import ModelError, lines_of
from compiler.language.formula.problems import formula_error
from compiler.language.formula.syntax import Place

WORDS = frozenset(("if", "else", "and", "or", "not"))
"""Keywords that formulas have too; `True`, `False` and `None` are values to Python."""
DEFINITION = "name[indices] = expression"
VALUE = "a number, a name, or brackets"
_KEYWORD = re.compile(rf"(?<!\w)({'|'.join(k for k in keyword.kwlist if k not in WORDS)})(?!\w)")
_FOREIGN = re.compile(r"[^\w\s()\[\],.:;+\-*/%<>=!#]|!(?!=)")
_WITHOUT_VALUE = re.compile(r"(?<![=<>!])(\+?=)\s*$")
_WITHOUT_NAME = re.compile(r"^\s*\+?=")
_UNFINISHED = re.compile(r"(\*\*|//|[<>=!]=|[-+*/%<>,]|\b(?:if|else|and|or|not)\b)\s*$")
_WITHOUT_EXPONENT = re.compile(r"(?<!\*)\*\*(?=\s*(?:$|[)\],;]))")
_SIDE_BY_SIDE = re.compile(r"(\*\*|//|[*/%])\s*(\*\*|//|[*/%])")


def unreadable(text: str, error: SyntaxError) -> ModelError:
    """The error to raise for a text of which Python raised `error`."""
    number = error.lineno or 1
    lines = lines_of(text)
    line = lines[min(number, len(lines)) - 1].partition("#")[0]

    def said(message: str, start: int, end: int, **details: str | None) -> ModelError:
        return formula_error(
            text, Place(number, start, end), f"the formula cannot be read: {message}", **details
        )

    if isinstance(error, IndentationError):
        column = max((error.offset or 1) - 1, 0)
        advice = "brackets around a value that goes over several lines"
        return said(error.msg, column, column + 1, advice=advice)
    if found := _KEYWORD.search(line):
        message = f"{found[0]} is a Python keyword, and can be no name"
        advice = f"another name, such as {found[0]}_"
        return said(message, *found.span(), expected="a name that Python has no use for", advice=advice)
    if found := _FOREIGN.search(line):
        message = f"{found[0]} is no sign of the formula language"
        expected = "+ - * / ** and brackets between numbers and names"
        advice = f"the formula without {found[0]}, its meaning written with these"
        return said(message, *found.span(), expected=expected, advice=advice)
    if found := _WITHOUT_VALUE.search(line):
        message, advice = f"nothing stands behind {found[1]}", "an expression there, such as 2*x + 1"
        return said(message, *found.span(1), expected=DEFINITION, advice=advice)
    if found := _WITHOUT_NAME.search(line):
        message, advice = "nothing stands before =", "a name there, such as y"
        return said(message, *found.span(), expected=DEFINITION, advice=advice)
    if found := _WITHOUT_EXPONENT.search(line):
        message, advice = "an exponent is missing behind **", "a number or a name there, such as x**2"
        return said(message, *found.span(), expected=VALUE, advice=advice)
    if found := _SIDE_BY_SIDE.search(line):
        first, second = found[1], found[2]
        advice = f"{first} once" if first == second else f"{VALUE} between them, or one of the two"
        message = f"{first} and {second} stand side by side"
        return said(message, *found.span(), expected=f"{VALUE} between them", advice=advice)
    if found := _UNFINISHED.search(line):
        message, advice = f"nothing stands behind {found[1]}", f"{VALUE} there, or the line without it"
        return said(message, *found.span(1), expected=VALUE, advice=advice)
    column = max((error.offset or 1) - 1, 0)
    brackets = any(words in error.msg for words in ("never closed", "unmatched", "does not match"))
    instead = "a bracket that closes for each one that opens" if brackets else None
    return said(error.msg, column, column + 1, expected=DEFINITION, advice=instead)
