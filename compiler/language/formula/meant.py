"""A text that is no formula -> the formula that was meant, where it is written in another notation.

    y[b, i] = 3x[b, i]²                    y[b, i] = 3*x[b, i]**2
    y[b, i] = sin x(b, i) if x ≤ 1 …       y[b, i] = sin(x…
    y[b, i] = x[b, i] > 0 ? 1 : 2          y[b, i] = 1 if x[b, i] > 0 else 2

Nothing here judges: the parser asks when it cannot read a text, and shows what comes out only if it can
read that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from compiler.language.formula.notations import CHARACTERS, FRACTIONS, FUNCTIONS, OPERATORS, SUPERSCRIPTS
from compiler.language.formula.syntax import FUNCTION_NAMES, OWN_NAMES, REDUCTIONS

_TOKEN = re.compile(
    r"\s+|(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][+-]?\d+)?|[^\W\d]\w*"
    r"|\*\*|//|<=|>=|==|!=|\+=|-=|&&|\|\||<>|=>|=<|:=|\.\.\.|."
)
_NUMBER = re.compile(r"[\d.]*\d[\d.]*([eE][+-]?\d+)?")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_MODULES = re.compile(r"(?<![A-Za-z_])(np|numpy|math|jnp|torch|tf|sympy|sp)\s*\.\s*(?=[A-Za-z])")
_NAMED_AXIS = re.compile(r"(?<![^\W\d])(sum|prod|max|min|mean)_(?:\{(\w+)\}|(\w+))\s*")
_DECIMAL_COMMA = re.compile(r"(?<![\w\].])(\d+),(\d+)(?=\s*[*/])")
KEYWORDS = frozenset(("if", "else", "and", "or", "not", "in", "is", "for", "lambda"))
CALLED = frozenset((*FUNCTION_NAMES, *FUNCTIONS, "max", "min", *OWN_NAMES))
_OPEN = {"(": ")", "[": "]", "{": "}"}


def meant(line: str) -> str:
    """One line, with everything that is known from other notations written as the formula language does."""
    code, mark, comment = line.partition("#")
    for step in STEPS:
        code = step(code)
    return code.rstrip() + (f"  {mark}{comment}" if mark else "")


def _characters(text: str) -> str:
    text = re.sub(r"\b(sin|cos|tan)⁻¹", r"a\1", text)
    text = _SUPERSCRIPT.sub(lambda found: _power(found[0].translate(SUPERSCRIPTS)), text)
    for character, written in FRACTIONS.items():
        text = re.sub(rf"(\d+){character}", rf"(\1 + {written[1:-1]})", text)
        text = re.sub(rf"(?<=[\w)\]])\s*{character}", f"*{written}", text).replace(character, written)
    for character, written in CHARACTERS.items():
        text = text.replace(character, written)
    return re.sub(r"sqrt +\(", "sqrt(", unicodedata.normalize("NFKC", text))


def _power(exponent: str) -> str:
    return f"**({exponent})" if exponent.startswith("-") else f"**{exponent}"


def _spellings(text: str) -> str:
    """What other languages put before a function, beside a sum, or for a decimal point."""
    text = _MODULES.sub("", text)
    text = re.sub(r"(?<![^\W\d])Σ\s*(?=[\[_])", "sum", text)
    text = re.sub(r"(?<![^\W\d])Π\s*(?=[\[_])", "prod", text)
    text = re.sub(r"^(\s*\w+\s*\[[^\[\]]*\]\s*)<-", r"\1=", text)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    axes = {found[2] or found[3] for found in _NAMED_AXIS.finditer(text)}
    text = _NAMED_AXIS.sub(lambda found: f"{found[1]}[{found[2] or found[3]}] ", text)
    for axis in sorted(axes):
        # What has the axis below it is read at it: x_i is no name of one number then.
        text = re.sub(rf"(?<![^\W\d])([^\W\d]\w*)_(?:{axis}\b|\{{{axis}\}})", rf"\1[{axis}]", text)
    return text


def _operators(text: str) -> str:
    """Operators by their own names. The first `=` or `==` of a line defines; one in a condition compares."""
    written: list[str] = []
    defined = condition = False
    for token in _tokens(text):
        here = OPERATORS.get(token, token)
        if here in ("=", "==", "+=") and not defined:
            here, defined = here.replace("==", "="), True
        elif here == "=" and condition:
            here = "=="
        condition = condition or token == "if"
        # Marked, so that no name that ends in `or` is taken for one.
        written.append(f"\0{here}\0" if here in ("and", "or", "not") else here)
    return re.sub(r" *\0(and|or|not)\0 *", r" \1 ", "".join(written))


def _brackets(text: str) -> str:
    """Indices in one pair of square brackets, on the left side too."""
    text = re.sub(r"(\w)\{([^{}]*)\}", r"\1[\2]", text)
    text = re.sub(r"\[[^\[\]]*\]", lambda found: found[0].replace(";", ","), text)
    text = re.sub(r"\{([^{}]*)\}", r"(\1)", text)
    text = re.sub(r"^(\s*\w+)\(([^()]*)\)(\s*\+?=)", r"\1[\2]\3", text)
    return re.sub(r"\b(?!(?:sum|max|min|mean|prod)\b)(\w+)\[([^\[\]]*)\]\[([^\[\]]*)\]", r"\1[\2, \3]", text)


def _bars(text: str) -> str:
    """The absolute value. A bar ends what the last one began that stands in the same bracket."""
    written: list[str] = []
    open_: list[str] = []
    for token in _tokens(text):
        if token == "|":
            if open_[-1:] and open_[-1][0] == "|":
                written.append(open_.pop()[1:])
            else:
                # Of log|x| too: what stands before is called with the absolute value.
                called = next((t for t in reversed(written) if not t.isspace()), "") in CALLED
                written.append("(abs(" if called else "abs(")
                open_.append("|))" if called else "|)")
            continue
        if token in _OPEN:
            open_.append(token)
        elif token in _OPEN.values() and open_:
            open_.pop()
        written.append(token)
    return "".join(written)


def _question(text: str) -> str:
    """`condition ? then : otherwise`, with nothing around it."""
    found = re.fullmatch(r"(.*?\+?=(?!=)\s*)(.+?)\s*\?\s*(.+?)\s*:\s*(.+)", text)
    return text if found is None else f"{found[1]}{found[3]} if {found[2]} else {found[4].rstrip()}"


def _leading_if(text: str) -> str:
    """`if condition: then else otherwise`, and with `then`."""
    found = re.fullmatch(r"(.*?=(?!=)\s*)if\s+(.+?)\s*(?::|\bthen\b)\s*(.+?)[\s;:]*\belse\b:?\s*(.+)", text)
    return text if found is None else f"{found[1]}{found[3]} if {found[2]} else {found[4].rstrip()}"


def _side_by_side(text: str) -> str:
    """Two values with nothing between them: an argument without its parentheses, indices, or a product."""
    tokens, position = _tokens(text), -1
    while (after := _next(tokens, position := position + 1)) is not None:
        left, right = tokens[position], tokens[after]
        indexed = tokens[_start(tokens, position) - 1] if left == "]" else ""
        # What is called that is no function is said where functions are looked up.
        called = right == "(" and (indexed or _is_name(left))
        if not (_ends_value(left) and _begins_value(right)) or (_is_number(left) and _is_number(right)):
            continue
        if called:
            continue
        if left in CALLED or indexed in REDUCTIONS:
            end = (_end_of_product if indexed else _end_of_value)(tokens, after)
            space = 1 if tokens[end - 1].isspace() else 0
            tokens[end - space : end - space] = [")"]
            tokens[position + 1 : after] = ["("]
        else:
            listed = _is_name(left) and _is_name(right) and _inside_indices(tokens, position)
            tokens[position + 1 : after] = [", "] if listed else ["*"]
    return "".join(tokens)


STEPS: tuple[Callable[[str], str], ...] = (
    *(_characters, _spellings, _question, _leading_if, _operators, _brackets, _bars, _side_by_side),
)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _next(tokens: Sequence[str], position: int) -> int | None:
    """The place of the next token that is no space."""
    return next((k for k in range(position + 1, len(tokens)) if not tokens[k].isspace()), None)


def _ends_value(token: str) -> bool:
    return token in (")", "]") or _is_name(token) or _is_number(token)


def _begins_value(token: str) -> bool:
    return token == "(" or _is_name(token) or _is_number(token)


def _is_name(token: str) -> bool:
    return token.isidentifier() and token not in KEYWORDS


def _is_number(token: str) -> bool:
    return _NUMBER.fullmatch(token) is not None


def _inside_indices(tokens: Sequence[str], position: int) -> bool:
    """Whether the innermost bracket around a place is a square one."""
    depth = 0
    for token in reversed(tokens[:position]):
        depth += (token in _OPEN.values()) - (token in _OPEN)
        if depth < 0:
            return token == "["
    return False


def _start(tokens: Sequence[str], closing: int) -> int:
    """Where the bracket was opened that is closed at a place; 1 if nowhere, or there."""
    depth = 0
    for k in range(closing, -1, -1):
        depth += (tokens[k] in _OPEN.values()) - (tokens[k] in _OPEN)
        if depth == 0:
            return max(k, 1)
    return 1


def _end_of_value(tokens: Sequence[str], start: int) -> int:
    """Behind one value: a number, a name with its indices or arguments, what stands in brackets."""
    end = start + 1
    if tokens[start] in _OPEN:
        return _behind_bracket(tokens, start)
    while end < len(tokens) and tokens[end] in _OPEN:
        end = _behind_bracket(tokens, end)
    return end


def _end_of_product(tokens: Sequence[str], start: int) -> int:
    """Behind what a sum without parentheses reaches over: as far as the next + or -."""
    end = start
    while end < len(tokens):
        token = tokens[end]
        if token in _OPEN:
            end = _behind_bracket(tokens, end)
        elif token in (*"+-,;)]}=:", "==", "<", ">", "<=", ">=", "!=", *KEYWORDS):
            break
        else:
            end += 1
    return end


def _behind_bracket(tokens: Sequence[str], opening: int) -> int:
    depth = 0
    for k in range(opening, len(tokens)):
        depth += (tokens[k] in _OPEN) - (tokens[k] in _OPEN.values())
        if depth == 0:
            return k + 1
    return len(tokens)
