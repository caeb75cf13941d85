"""Signs that stand for a function, without the brackets that one has: √x, π, sin²(x), e^x.

    √x·y            sqrt(x)*y           of the one factor that follows
    sin²(x)         sin(x)**2
    1/(1 + e^(-x))  1/(1 + exp(-x))     where nothing else is called e

What could mean two things is refused, with both ways to write it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from compiler.errors import ModelError, Problem
from compiler.language.formula.check import KNOWN_FUNCTIONS
from compiler.language.formula.syntax import REDUCTIONS

EULER = "e"
_CONSTANTS = {"π": "pi", "∞": "inf"}
_POWER_OF_FUNCTION = re.compile(
    rf"(?<![^\W\d])({'|'.join(KNOWN_FUNCTIONS)})\s*\*\*\s*(\d+|\(-?\d+\))\s*(\()?"
)
_FACTOR = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|[^\W\d]\w*")
_LETTER = re.compile(r"[^\W\d]")
_RAISED = re.compile(r"\s*\*\*")
_BASE = re.compile(r"[)\s]*\*\*\s*")
_BRACKETS = {"(": ")", "[": "]"}


def with_constants(line: str) -> str:
    """π and ∞ by name, as factors of their own: 2πr is 2*pi*r."""
    for sign, name in _CONSTANTS.items():
        line = re.sub(rf"(?<=[\w)\]]){sign}", f"*{sign}", line)
        line = re.sub(rf"{sign}(?=[^\W_]|\(|√)", f"{sign}*", line).replace(sign, name)
    return line


def with_roots(line: str) -> str:
    """Each √ as sqrt( ) of the factor that follows. Raises ModelError where that is none, or has a power."""
    for _ in range(line.count("√")):
        start = line.rindex("√")
        rest = line[start + 1 :].lstrip()
        end = _factor_end(rest)
        factor = rest[:end]
        if not factor:
            raise _refused("√ needs a number, a name or brackets behind it", "√(…)")
        if _RAISED.match(rest, end):
            raise _refused("√ of a power can mean two things", f"√({factor}²) or (√{factor})²")
        root = f"sqrt{factor}" if factor[0] == "(" else f"sqrt({factor})"
        before = line[:start]
        times = "*" if re.search(r"[\w\])]$", before) else ""
        after = "*" if _LETTER.match(rest, end) else ""
        line = f"{before}{times}{root}{after}{rest[end:]}"
    return line


def _factor_end(text: str) -> int:
    """Where the factor at the start ends: a number, a name with its brackets, or brackets."""
    match = _FACTOR.match(text)
    end = match.end() if match else 0
    if match and not _LETTER.match(text):
        return end
    while end < len(text) and text[end] in _BRACKETS:
        end = _closed(text, end)
    return end


def _closed(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`; the end of the text where none does."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in "([") - (text[place] in ")]")
        if depth == 0:
            return place + 1
    return len(text)


def with_powers_of_functions(line: str) -> str:
    """sin**2(x) as sin(x)**2. Raises ModelError without brackets, and for -1, which may mean the inverse."""
    place = 0
    while match := _POWER_OF_FUNCTION.search(line, place):
        function, power, bracket = match.groups()
        if "-" in power:
            inverse = f", or a{function}(x)" if f"a{function}" in KNOWN_FUNCTIONS else ""
            message = f"{function} to a negative power can mean two things"
            raise _refused(message, f"1/{function}(x){inverse}")
        if bracket is None:
            raise _refused(f"{function} needs brackets around its argument", f"{function}(x)**{power}")
        end = _closed(line, match.start(3))
        call = f"{function}{line[match.start(3) : end]}"
        line = f"{line[: match.start()]}{call}**{power}{line[end:]}"
        place = match.start() + len(function)
    return line


def with_exponentials(text: str, tree: ast.Module) -> str:
    """The text with its innermost e**… as exp(…); the same where there is none, or where e is a tensor or
    an axis of the formula. Raises ModelError where e may be a number or a variable."""
    powers = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and _is_power_of_e(n)]
    if not powers or EULER in _declared(tree):
        return text
    last = powers[-1]
    if not any(isinstance(n, ast.Name | ast.Attribute) for n in ast.walk(last.right)):
        number = ast.unparse(last.right)
        raise _refused(
            f"{EULER} to the power of a number can mean two things",
            f"exp({number}) for the exponential; {EULER}[]**({number}) for a variable",
        )
    bases = {n.left for n in powers}
    if any(isinstance(n, ast.Name) and n.id == EULER and n not in bases for n in ast.walk(tree)):
        raise _refused(
            f"{EULER} is read by itself and as the base of a power",
            f"exp(…) for the exponential, exp(1) for the number, {EULER}[] for a variable",
        )
    lines = text.splitlines(keepends=True)
    before, base_end, end = (
        _offset(lines, line, column)
        for line, column in (
            (last.lineno, last.col_offset),
            (last.left.end_lineno, last.left.end_col_offset),
            (last.end_lineno, last.end_col_offset),
        )
    )
    exponent = _BASE.sub("", text[base_end:end], count=1)
    whole = exponent.startswith("(") and _closed(exponent, 0) == len(exponent)
    return f"{text[:before]}exp{exponent if whole else f'({exponent})'}{text[end:]}"


def _is_power_of_e(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Pow) and isinstance(node.left, ast.Name) and node.left.id == EULER


def _declared(tree: ast.Module) -> set[str]:
    """Names that are defined, read with brackets, or axes."""
    return set(_declarations(tree))


def _declarations(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id
        elif isinstance(node, ast.Subscript):
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def _offset(lines: list[str], line: int | None, column: int | None) -> int:
    """The place in the text; Python counts the columns in bytes."""
    number = (line or 1) - 1
    return sum(map(len, lines[:number])) + len(lines[number].encode()[: column or 0].decode())


def refuse_function(name: str) -> None:
    """Raises ModelError for the name of a function that is read, or defined, like a variable."""
    if name in KNOWN_FUNCTIONS:
        raise _refused(f"{name} is a function, and no variable", f"{name}(x), with brackets")
    if name in REDUCTIONS:
        raise _refused(f"{name} is a reduction, and no variable", f"{name}[i](x[i])")


def _refused(message: str, advice: str) -> ModelError:
    return ModelError(Problem(message, advice=advice))
