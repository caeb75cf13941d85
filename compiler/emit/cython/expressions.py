"""Prints scalar expressions and index expressions as Cython.

Every number is written in the module's own precision (`<real>0.25`), because a bare double literal would
promote the whole expression and keep the C compiler from vectorising it, and because Cython divides
integers as C does, where `1 / 3` is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import sympy

from compiler.emit.cython.vectors import RELATIONS
from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Atom, FloorDiv, Mod
from compiler.ir.loops.affine_values import affine_sides
from compiler.ir.scalar.bfloat16 import LowPrecision, Neighbours, Pair, Products, Rounded
from compiler.ir.scalar.choices import Absolute, Extremum, Scalar, Select, Sign
from compiler.ir.scalar.conditions import Both, Comparison, Either, Equal, Less, Negated, NotEqual
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.program import Guard

FUNCTIONS = {
    "exp": "real_exp",
    "log": "real_log",
    "expm1": "real_expm1",
    "log1p": "real_log1p",
    "tanh": "real_tanh",
    "sin": "real_sin",
    "cos": "real_cos",
    "tan": "real_tan",
    "asin": "real_asin",
    "acos": "real_acos",
    "atan": "real_atan",
    "sinh": "real_sinh",
    "cosh": "real_cosh",
    "erf": "real_erf",
    "erfc": "real_erfc",
    "abs": "real_abs",
    "max": "real_maximum",
    "min": "real_minimum",
    "sign": "real_sign",
    "pow": "real_pow",
    Rounded.name: "bfloat16_of",
    Pair.name: "bfloat16_two",
}


def guard_text(guard: Guard) -> str:
    """A test as a Cython condition."""
    if guard.kind == "%":
        return f"index_mod({affine_text(guard.affine)}, {guard.modulus}) == 0"
    return f"{affine_text(guard.affine)} {guard.kind} 0"


def affine_text(affine: Affine) -> str:
    """An index expression; divisions round towards minus infinity through helpers."""
    text = ""
    for atom, coefficient in affine.terms:
        sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
        name = _atom_text(atom)
        text += sign + (name if abs(coefficient) == 1 else f"{abs(coefficient)} * {name}")
    if not text:
        return str(affine.constant)
    if affine.constant:
        text += f" {'-' if affine.constant < 0 else '+'} {abs(affine.constant)}"
    return text


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, str):
        return atom
    if isinstance(atom, FloorDiv):
        return f"index_div({affine_text(atom.numerator)}, {atom.divisor})"
    if isinstance(atom, Mod):
        return f"index_mod({affine_text(atom.numerator)}, {atom.divisor})"
    raise CompilerBug(f"a read survived scheduling: {atom}")


def expression_text(value: sympy.Expr) -> str:
    """A SymPy expression over local names as Cython."""
    return _expression(value)[0]


ATOM, POWER, PRODUCT, SUM, SELECT = range(5)


def _expression(value: sympy.Basic) -> tuple[str, int]:
    """Text and how loosely it binds."""
    if value.is_Symbol:
        return value.name, ATOM
    if value.is_number and not value.has(sympy.Function):
        return number_text(value), ATOM
    if value.is_Add:
        return _sum(value), SUM
    if value.is_Mul:
        return _product(value), PRODUCT
    if value.is_Pow or isinstance(value, sympy.exp):
        return _power(value)
    if isinstance(value, Select):
        return _choice(*value.args), ATOM
    if isinstance(value, Extremum) and _is_clip(value):
        return _choice(*value.choice), ATOM
    if isinstance(value, Together):
        return f"({expression_text(value.args[0])})", ATOM
    name = type(value).__name__ if not hasattr(value.func, "name") else value.func.name
    if name in FUNCTIONS:
        return f"{FUNCTIONS[name]}({', '.join(expression_text(a) for a in value.args)})", ATOM
    raise CompilerBug(f"no Cython form for {type(value).__name__} in {value}")


def _is_clip(value: Extremum) -> bool:
    """Whether this compares a name with a number. A longer value would be written twice, and nested ones 2ⁿ
    times; so it is the argument of a call instead."""
    first, second = value.args
    return (first.is_Symbol and second.is_number) or (first.is_number and second.is_Symbol)


def _choice(condition: sympy.Basic, then: sympy.Expr, otherwise: sympy.Expr) -> str:
    """A conditional expression: fmaxf would be a call, and does not vectorise."""
    return f"({_bind(then, SUM)} if {condition_text(condition)} else {_bind(otherwise, SUM)})"


def condition_text(condition: sympy.Basic) -> str:
    """A condition over local names as Cython, whose comparisons are C's."""
    if isinstance(condition, Comparison):
        left, sign, right = condition.sides
        integers = affine_sides(left, right)
        if integers is not None:
            return f" {sign} ".join(map(affine_text, integers))
        return f"{_bind(left, SUM)} {sign} {_bind(right, SUM)}"
    if isinstance(condition, Negated):
        return f"not ({condition_text(condition.args[0])})"
    if isinstance(condition, Both | Either):
        word = " and " if isinstance(condition, Both) else " or "
        return word.join(f"({condition_text(part)})" for part in condition.args)
    raise CompilerBug(f"no Cython form for the condition {condition}")


def _bind(value: sympy.Basic, level: int) -> str:
    text, own = _expression(value)
    return f"({text})" if own > level else text


def number_text(value: sympy.Expr) -> str:
    if value is sympy.oo or value == float("inf"):
        return "INFINITY"
    if value is -sympy.oo or value == float("-inf"):
        return "-INFINITY"
    if value.is_Integer and abs(int(value)) < 2**24:
        return f"<real>{int(value)}" if value >= 0 else f"(-<real>{-int(value)})"
    number = float(value)
    return f"<real>{number!r}" if number >= 0 else f"(-<real>{-number!r})"


def _sum(value: sympy.Add) -> str:
    text = ""
    # The order of SymPy's arguments depends on hashes; the printed form does not.
    for argument in sorted(value.args, key=_positive_first):
        negative = argument.could_extract_minus_sign() and text
        part = _bind(-argument if negative else argument, PRODUCT if text else SUM)
        text += (" - " if negative else " + ") + part if text else part
    return text


def _positive_first(argument: sympy.Expr) -> tuple[bool, str]:
    return argument.could_extract_minus_sign(), sympy.sstr(argument)


def _product(value: sympy.Mul) -> str:
    over: list[str] = []
    under: list[str] = []
    negative = False
    for argument in sorted(value.args, key=lambda a: (not a.is_number, sympy.sstr(a))):
        if argument == -1:
            negative = True
        elif argument.is_Pow and argument.exp.is_number and argument.exp.is_negative:
            under.append(_bind(sympy.Pow(argument.base, -argument.exp), POWER))
        else:
            over.append(_bind(argument, POWER if over or negative else PRODUCT))
    text = " * ".join(over) or "<real>1"
    if under:
        text += f" / {under[0]}" if len(under) == 1 else f" / ({' * '.join(under)})"
    return f"-{text}" if negative else text


def _power(value: sympy.Expr) -> tuple[str, int]:
    if isinstance(value, sympy.exp):
        return f"real_exp({expression_text(value.args[0])})", ATOM
    base, exponent = value.base, value.exp
    if exponent == sympy.Rational(1, 2):
        return f"real_sqrt({expression_text(base)})", ATOM
    if exponent.is_number and exponent.is_negative:
        return f"<real>1 / {_bind(sympy.Pow(base, -exponent), POWER)}", PRODUCT
    if exponent.is_Integer and 2 <= exponent <= 8:
        factor = _bind(base, ATOM)
        return " * ".join([factor] * int(exponent)), PRODUCT
    return f"real_pow({expression_text(base)}, {expression_text(exponent)})", ATOM


def vector_text(value: sympy.Expr, vectors: Collection[str], suffix: str) -> str:
    """`value` over local names as a vector; `vectors` are the names of those that are vectors already.

    C has no `a if condition else b` for vectors, and no square root, so each is a call: `0 if x <= 0 else x`
    is `where_le(x, splat(<real>0), splat(<real>0), x)`."""
    calls: dict[sympy.Expr, sympy.Symbol] = {}

    def visit(part: sympy.Expr) -> sympy.Expr:
        """The part with each choice and root replaced by a symbol whose name is the text of its call."""
        if isinstance(part, LowPrecision):
            # What a scalar is rounded to is computed once, and not in every lane.
            alone = not any(symbol.name in vectors for symbol in part.free_symbols)
            return part if alone else call(low_precision_text(part, vectors, suffix))
        if isinstance(part, Scalar) and not isinstance(part, Together):
            return call(_vector_choice(*_as_choice(part), operand, suffix))
        if (
            part.is_Pow
            and abs(part.exp) == sympy.S.Half
            and any(s.name in vectors for s in part.free_symbols)
        ):
            root = call(f"roots{suffix}({operand(part.base)})")
            return root if part.exp == sympy.S.Half else 1 / root
        return part.func(*map(visit, part.args)) if part.args else part

    def call(text: str) -> sympy.Symbol:
        symbol = sympy.Symbol(text, real=True)
        calls[symbol] = symbol
        return symbol

    def operand(part: sympy.Expr) -> str:
        changed = visit(part)
        known = any(symbol in calls or symbol.name in vectors for symbol in changed.free_symbols)
        text = expression_text(changed)
        return text if known else f"splat{suffix}({text})"

    return operand(value)


VECTOR_FUNCTIONS = {
    Rounded: "bfloat16_round",
    Pair: "bfloat16_pair",
    Neighbours: "bfloat16_neighbours",
    Products: "bfloat16_products",
}
"""Of vectors of factors and of pairs."""


def low_precision_text(value: LowPrecision, vectors: Collection[str], suffix: str, onto: str = "") -> str:
    """The call of a function of vectors, products added `onto` another one. The bits of a scalar, which may
    be a pair, are repeated as they are."""
    texts = []
    for part in value.args:
        known = any(symbol.name in vectors for symbol in part.free_symbols)
        text = vector_text(part, vectors, suffix) if known else expression_text(part)
        texts.append(text if known else f"bfloat16_repeat{suffix}({text})")
    name = "bfloat16_add_products" if onto else VECTOR_FUNCTIONS[type(value)]
    return f"{name}{suffix}({', '.join([onto, *texts] if onto else texts)})"


def _as_choice(value: Scalar) -> tuple[sympy.Basic, sympy.Expr, sympy.Expr]:
    """(condition, then, otherwise) of any scalar that vectors have no function for."""
    if isinstance(value, Select):
        return value.args
    if isinstance(value, Extremum):
        condition, then, otherwise = value.choice
        # Of two that are no numbers either can be NaN.
        both = not any(argument.is_number for argument in value.args)
        return (Either(condition, NotEqual(then, then)) if both else condition), then, otherwise
    if isinstance(value, Absolute):
        # Not by x <= 0, since the negative of 0 is -0; and that of -0 is found by x == 0.
        (x,) = value.args
        return Less(x, 0), -x, Select(Equal(x, 0), 0, x)
    if isinstance(value, Sign):
        (x,) = value.args
        return Less(0, x), sympy.S.One, Select(Less(x, 0), -1, x)
    raise CompilerBug(f"no vector form for {value}")


def _vector_choice(
    condition: sympy.Basic,
    then: sympy.Expr,
    otherwise: sympy.Expr,
    operand: Callable[[sympy.Expr], str],
    suffix: str,
) -> str:
    """Calls with one comparison each: of joined conditions, one after the other.

    x if c and d else y   is   (x if d else y) if c else y;   x if not c else y   is   y if c else x."""

    def chosen(condition: sympy.Basic, then: str, otherwise: str) -> str:
        if isinstance(condition, Negated):
            return chosen(condition.args[0], otherwise, then)
        if isinstance(condition, Both | Either):
            for part in reversed(condition.args):
                if isinstance(condition, Both):
                    then = chosen(part, then, otherwise)
                else:
                    otherwise = chosen(part, then, otherwise)
            return then if isinstance(condition, Both) else otherwise
        if not isinstance(condition, Comparison):
            raise CompilerBug(f"no vector form for the condition {condition}")
        left, sign, right = condition.sides
        return f"where_{RELATIONS[sign]}{suffix}({operand(left)}, {operand(right)}, {then}, {otherwise})"

    return chosen(condition, operand(then), operand(otherwise))
