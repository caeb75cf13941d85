"""The two kinds of error: `ModelError` is the user's to mend, `CompilerBug` is ours.

A `ModelError` carries every `Problem` found in a file, not the first alone, and each problem says
where it is (file, line, column), which layer, what was expected, what was found and what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_ENDS = re.compile(r"\r\n?|\n")


def lines_of(text: str) -> list[str]:
    """The lines of a source text as Python's parser counts them; `str.splitlines` knows other ends too."""
    return LINE_ENDS.split(text)


@dataclass(frozen=True, order=True)
class Span:
    """A place in a source file; `line` and `column` count from 1, column 0 means "the whole line"."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a model description."""

    message: str
    span: Span | None = None
    layer: str | None = None
    expected: str | None = None
    found: str | None = None
    advice: str | None = None
    excerpt: str | None = None

    def __str__(self) -> str:
        where = f"{self.span}: " if self.span else ""
        who = f"{self.layer}: " if self.layer else ""
        lines = [f"{where}{who}{self.message}"]
        if self.excerpt:
            lines.append(self.excerpt)
        for label, text in (("expected", self.expected), ("found", self.found), ("try", self.advice)):
            if text:
                lines.append(f"    {label + ':':<10}{text}")
        return "\n".join(lines)


class ModelError(Exception):
    """The description of a model, a layer or a command cannot be compiled; the user can mend it."""

    def __init__(self, *problems: Problem | str):
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ToolchainError(ModelError):
    """This machine lacks a C compiler, or Python's headers; nothing is wrong with the model."""


class CompilerBug(Exception):
    """The compiler broke one of its own invariants; the user can do nothing about it but report it."""

    def __init__(self, message: str):
        super().__init__(f"internal error in chainrule, please report it: {message}")
