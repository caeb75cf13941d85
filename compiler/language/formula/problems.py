"""Errors that point at the character of a formula."""

from __future__ import annotations

from compiler.errors import ModelError, Problem, lines_of
from compiler.language.formula.syntax import Place


def formula_error(
    text: str,
    place: Place | None,
    message: str,
    *,
    expected: str | None = None,
    found: str | None = None,
    advice: str | None = None,
) -> ModelError:
    """The error to raise for a mistake at `place` of the formula `text`."""
    excerpt = None if place is None else caret_excerpt(text, place)
    return ModelError(Problem(message, expected=expected, found=found, advice=advice, excerpt=excerpt))


def caret_excerpt(text: str, place: Place) -> str:
    """The line of the formula with carets below the place, indented by four.

    y[b] = x[b, j]
                ^
    """
    lines = lines_of(text)
    line = lines[min(place.line, len(lines)) - 1]
    width = max(1, min(place.end, len(line)) - place.column)
    return f"    {line}\n    {' ' * place.column}{'^' * width}"
