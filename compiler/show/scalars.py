"""Scalar bodies and index expressions as notation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import sympy
from sympy.logic.boolalg import BooleanAtom

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, Atom, FloorDiv, Read
from compiler.ir.scalar.choices import Power as OwnPower
from compiler.ir.scalar.choices import Scalar, Select
from compiler.ir.scalar.conditions import Both, Comparison, Either
from compiler.ir.scalar.conditions import Negated as NotThat
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.program import Access
from compiler.show.names import Called
from compiler.show.notation import (
    Call,
    Choice,
    Indexed,
    Junction,
    Name,
    Negated,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Relation,
    Root,
    Sum,
    Whole,
)

CONSTANTS = {sympy.pi: "pi", sympy.E: "e", sympy.oo: "inf", sympy.nan: "nan"}
Symbols = Mapping[sympy.Symbol, Node]
"""What stands for a body's symbols."""


def axis_name(name: str) -> Name:
    """An axis: a letter, or a word."""
    return Name(name, name)


def affine(index: Affine, called: Called) -> Node:
    """An index: `2h + p - 1`."""
    terms = [_times(coefficient, _atom(atom, called)) for atom, coefficient in index.terms]
    if index.constant or not terms:
        terms.append(integer(index.constant))
    # What is added stands before what is taken away.
    return total(sorted(terms, key=lambda term: isinstance(term, Negative)))


def integer(value: int) -> Node:
    """A whole number with its sign."""
    return Number(str(value)) if value >= 0 else Negative(Number(str(-value)))


def _times(coefficient: int, node: Node) -> Node:
    size = abs(coefficient)
    product = node if size == 1 else Product((Number(str(size)), node))
    return product if coefficient > 0 else Negative(product)


def _atom(atom: Atom, called: Called) -> Node:
    if isinstance(atom, str):
        return axis_name(atom)
    if isinstance(atom, Read):
        return access(Access(atom.tensor, atom.indices), called)
    above, below = affine(atom.numerator, called), integer(atom.divisor)
    return Whole("//" if isinstance(atom, FloorDiv) else "%", above, below)


def access(read: Access, called: Called) -> Node:
    """An element of a tensor; of one that holds 0, 1, 2, … its index."""
    if read.tensor in called.iota:
        return affine(read.indices[0], called)
    outside = None if read.outside is None else body(sympy.nsimplify(read.outside), {})
    return Indexed(called[read.tensor], tuple(affine(i, called) for i in read.indices), outside)


def guard(condition: Guard, called: Called) -> Node:
    """A condition on axes: `h >= p`, what is subtracted being brought to the other side."""
    if condition.kind == "%":
        remainder = Whole("%", affine(condition.affine, called), integer(condition.modulus))
        return Relation(remainder, "==", Number("0"))
    left = Affine.build({a: c for a, c in condition.affine.terms if c > 0}, max(condition.affine.constant, 0))
    right = left - condition.affine
    return Relation(affine(left, called), condition.kind, affine(right, called))


def total(terms: list[Node]) -> Node:
    """A sum, or its only summand."""
    return terms[0] if len(terms) == 1 else Sum(tuple(terms))


def product(factors: list[Node]) -> Node:
    """A product, or its only factor."""
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def body(expression: sympy.Basic, symbols: Symbols) -> Node:
    """A scalar expression, with nodes in place of its symbols."""
    if expression in symbols:
        return symbols[expression]
    if isinstance(expression, BooleanAtom):
        return Name(str(bool(expression)), str(bool(expression)))
    if expression in CONSTANTS:
        return Name(CONSTANTS[expression], CONSTANTS[expression])
    if isinstance(expression, sympy.Symbol):
        return axis_name(expression.name)
    if isinstance(expression, sympy.Number):
        return _number(expression)
    for kind, build in _BUILDERS.items():
        if isinstance(expression, kind):
            return build(expression, symbols)
    name = expression.name if isinstance(expression, Scalar) else expression.func.__name__
    return Call(name, tuple(body(argument, symbols) for argument in expression.args))


def _number(number: sympy.Number) -> Node:
    if number < 0:
        return Negative(_number(-number))
    if not number.is_finite:
        return Name("inf", "inf")
    if isinstance(number, sympy.Float):
        return Number(repr(float(number)))
    return Number(str(number)) if number.q == 1 else Quotient(Number(str(number.p)), Number(str(number.q)))


def _sum(expression: sympy.Add, symbols: Symbols) -> Node:
    parts = [body(argument, symbols) for argument in expression.args]
    numbers = [argument.is_Number for argument in expression.args]
    # Numbers stand behind other summands, and minus signs last: `3x + 2`, `1 - y`.
    order = sorted(range(len(parts)), key=lambda k: (isinstance(parts[k], Negative), numbers[k]))
    return Sum(tuple(parts[k] for k in order))


def _product(expression: sympy.Mul, symbols: Symbols) -> Node:
    above: list[Node] = []
    below: list[Node] = []
    negative = False
    for factor in expression.args:
        if isinstance(factor, sympy.Rational):
            negative ^= bool(factor < 0)
            if abs(factor.p) != 1:
                above.append(Number(str(abs(factor.p))))
            if factor.q != 1:
                below.append(Number(str(factor.q)))
        elif _is_denominator(factor):
            below.append(body(sympy.Pow(factor.base, -factor.exp), symbols))
        else:
            part = body(factor, symbols)
            negative ^= isinstance(part, Negative)
            above.append(part.inside if isinstance(part, Negative) else part)
    whole: Node = product(above or [Number("1")])
    if below:
        whole = Quotient(whole, product(below))
    return Negative(whole) if negative else whole


def _is_denominator(factor: sympy.Expr) -> bool:
    return isinstance(factor, sympy.Pow) and bool(factor.exp.is_Rational) and bool(factor.exp < 0)


def _power(expression: sympy.Pow, symbols: Symbols) -> Node:
    base, exponent = expression.args
    if _is_denominator(expression):
        return Quotient(Number("1"), body(sympy.Pow(base, -exponent), symbols))
    if exponent == sympy.S.Half:
        return Root(body(base, symbols))
    return Power(body(base, symbols), body(exponent, symbols))


def _choice(expression: Select, symbols: Symbols) -> Node:
    cases = []
    rest: sympy.Basic = expression
    while isinstance(rest, Select):
        condition, then, rest = rest.args
        cases.append((body(then, symbols), body(condition, symbols)))
    return Choice(tuple(cases), body(rest, symbols))


def _comparison(expression: Comparison, symbols: Symbols) -> Node:
    left, sign, right = expression.sides
    return Relation(body(left, symbols), sign, body(right, symbols))


def _joined(expression: Both | Either, symbols: Symbols) -> Node:
    word: Literal["and", "or"] = "and" if isinstance(expression, Both) else "or"
    return Junction(word, tuple(body(part, symbols) for part in expression.args))


_BUILDERS: dict[type, Callable[..., Node]] = {
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.Pow: _power,
    OwnPower: lambda expression, symbols: Power(*(body(part, symbols) for part in expression.args)),
    Select: _choice,
    Comparison: _comparison,
    Both: _joined,
    Either: _joined,
    NotThat: lambda expression, symbols: Negated(body(expression.args[0], symbols)),
    Together: lambda expression, symbols: body(expression.args[0], symbols),
}
