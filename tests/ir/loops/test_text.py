"""A kernel's text is readable, and reads back as exactly the same kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import FloorDiv, Mod, atom_of, axis, constant
from compiler.ir.loops.affine_values import IndexDiv
from compiler.ir.loops.grammar import Address, Choose, Each, If, Kernel, Let, Limit, Lists, Load, Loop, Store
from compiler.ir.loops.parser import parse_kernel, parse_statements
from compiler.ir.loops.text import print_body_of, print_kernel
from compiler.ir.scalar.choices import Absolute, Maximum, Select
from compiler.ir.scalar.conditions import Both, Equal, Less
from tests.ir.loops.samples import every_statement, real

h, p = axis("h"), axis("p")
x, y = real("x_0"), real("y_0")
W = sympy.Symbol("w_0", integer=True)
INTEGER = Load("w_0", Address("w", constant(0)), integer=True)


def test_every_statement_reads_back() -> None:
    kernel = every_statement()
    assert parse_kernel(print_kernel(kernel)) == kernel


@pytest.mark.parametrize(
    "head",
    [
        {"shared": True},
        {"per_example": False, "origin": ""},
        {"name": 'a "b" [c]', "origin": 'line\n"quoted"', "formula": ()},
    ],
    ids=str,
)
def test_heads_read_back(head: dict) -> None:
    kernel = replace(every_statement(), **head)
    assert parse_kernel(print_kernel(kernel)) == kernel


@pytest.mark.parametrize(
    "statement",
    [
        Load("x", Address("x", h, (), float("-inf"))),
        Load("x", Address("a.b c|d]", h, (Guard("==", atom_of(Mod(h, 2))), Guard("%", h - p, 3)), 0.1)),
        Load("lambda", Address("for", atom_of(FloorDiv(2 * h - 1, 4)) * -3 + atom_of(Mod(h, 2)))),
        Let("pi", sympy.pi * real("pi") + real("E") * sympy.E),
        Let("x", sympy.Rational(1, 3) * x / (1 + y) - sympy.Float(0.1), 8, update=True),
        Let("x", Maximum(x, 0) * Absolute(y)),
        Let("x", sympy.oo),
        Choose("acc", x + y, "<", None, 2 * h),
        Store(Address("y", h), sympy.S.Zero, 16, accumulate=True),
        Each(Lists("l", 1, 4, 0), constant(0), "_", (), ()),
        Each(Lists("l", 1, 4, 0), constant(0), None, (), ()),
        If((), (Let("x", x),), (), "nonzero"),
        If((Guard(">=", h),), (Let("x", x),), (Let("x", y), If((), (Let("y", x),), (), "x"))),
        Loop("h", (Limit(h - 1, 2), Limit(p)), (Limit(constant(4), 2), Limit(p * 2)), (), 4, True),
    ],
    ids=repr,
)
def test_odd_statements_read_back(statement: object) -> None:
    lists = (statement.lists,) if isinstance(statement, Each) else ()
    body = (*lists, statement)
    assert parse_statements(print_body_of(body)) == body


def test_integers_in_expressions_read_back() -> None:
    value = Select(Both(Equal(W, 0), Less(x, IndexDiv(W, 2)), evaluate=False), x, y)
    body = (INTEGER, Let("x", value))
    assert parse_statements(print_body_of(body)) == body


@pytest.mark.parametrize(
    "text", ["nothing", "for h in range(0):", "x = a[b", "collect nowhere[0]: x", "if h > 0:"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_statements(text)


def test_a_head_is_needed() -> None:
    with pytest.raises(ValueError, match="expected `kernel"):
        parse_kernel("for h in range(0, 4):\n")


def test_names_stand_as_they_are_where_they_can() -> None:
    assert print_body_of((Let("acc_0", x * y, 8),)) == "acc_0<8> = x_0*y_0"
    assert isinstance(every_statement(), Kernel)
