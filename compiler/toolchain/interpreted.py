"""What of a module the interpreter runs: plain Python, from which Cython would make ten times as much C.

    # Interpreted from here.
    def _quota(root="/"): ...
    # Compiled from here.

Between two such lines stands what is called seldom, or when something is wrong: messages, copies, the search
for processors. It gains nothing from being compiled, and would be half of the C of a small module. So Cython
is given it as a text, which the module hands to the interpreter when it is imported, in some milliseconds.
Every line keeps its number, which tracebacks show. The file beside the module is not changed: Cython can
compile all of it as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from compiler.errors import CompilerBug

BEGIN, END = "# Interpreted from here.", "# Compiled from here."
_QUOTES = "'''"


def with_interpreted_texts(text: str, file: str) -> str:
    """A module's text for Cython; tracebacks call it `file`. Raises CompilerBug for marks without pairs."""
    lines = text.split("\n")
    begun = 0
    for number, line in enumerate(lines, start=1):
        if line not in (BEGIN, END):
            continue
        if (line == BEGIN) == bool(begun):
            raise CompilerBug(f"{file}:{number}: {line!r} is not one of a pair")
        if begun:
            names = _names("\n".join(lines[begun : number - 1]))
            # Cython wants to have seen a name that it compiles a use of.
            declared = " = ".join(dict.fromkeys(names)) + " = None"
            lines[begun - 1] = f"{declared}; exec(compile('\\n' * {begun - 1} + r{_QUOTES}"
            lines[number - 1] = f"{_QUOTES}, {file!r}, 'exec'), globals())"
        begun = 0 if begun else number
    if begun:
        raise CompilerBug(f"{file}:{begun}: {BEGIN!r} is not one of a pair")
    return "\n".join(lines)


def _names(text: str) -> Iterator[str]:
    """What a text of Python defines."""
    if _QUOTES in text:
        raise CompilerBug(f"plain Python holds the quotes that are put around it:\n{text}")
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
