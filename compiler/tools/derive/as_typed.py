"""What is wrong with a formula, said of it as it was typed.

Scalars have no brackets for a person, and an empty pair for the formula language, whose messages show them:

    y[] = foo(x[])            y = foo(x)
          ^^^^^^^^                ^^^^^^
"""

from __future__ import annotations

from dataclasses import replace

from compiler.errors import ModelError, Problem

EMPTY = "[]"


def as_typed(error: ModelError, text: str) -> ModelError:
    """The same error without the empty brackets, if the text has none."""
    return error if EMPTY in text else ModelError(*map(_of_problem, error.problems))


def _of_problem(problem: Problem) -> Problem:
    return replace(
        problem,
        message=problem.message.replace(EMPTY, ""),
        expected=_without(problem.expected),
        found=_without(problem.found),
        advice=_without(problem.advice),
        excerpt=None if problem.excerpt is None else _excerpt(problem.excerpt),
    )


def _without(words: str | None) -> str | None:
    return None if words is None else words.replace(EMPTY, "")


def _excerpt(excerpt: str) -> str:
    """A line and the carets below it, which move with what they point at."""
    line, _, carets = excerpt.partition("\n")
    start, end = carets.find("^"), len(carets)
    if start < 0:
        return excerpt
    first, last = len(line[:start].replace(EMPTY, "")), len(line[:end].replace(EMPTY, ""))
    return f"{line.replace(EMPTY, '')}\n{' ' * first}{'^' * max(1, last - first)}"
