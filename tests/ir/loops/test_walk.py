"""Traversals reach every statement and every part of one, as the grammar's own fields say."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from compiler.emit.cython.printer import FORMS
from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.loops.grammar import Address, Limit, Statement
from compiler.ir.loops.walk import (
    bodies,
    names_set,
    names_used,
    parts,
    rebuilt,
    statements,
    substituted,
    with_parts,
)
from tests.ir.loops.samples import every_statement

KERNEL = every_statement()
KINDS = get_args(Statement)


def found(node: object, wanted: tuple[type, ...]) -> list[object]:
    """Everything of these types below a node, found without the grammar's help."""
    below = list(node) if isinstance(node, tuple) else []
    if is_dataclass(node):
        below = [getattr(node, field.name) for field in fields(node)]
    here = [node] if isinstance(node, wanted) else []
    return here if here and wanted == (Affine,) else here + [x for item in below for x in found(item, wanted)]


def test_the_sample_holds_every_statement() -> None:
    assert {type(statement) for statement in statements(KERNEL.body)} == set(KINDS)


def test_every_statement_has_a_form_in_cython() -> None:
    assert set(FORMS) == set(KINDS)


@pytest.mark.parametrize("wanted", [Address, Affine, Guard, Limit], ids=lambda kind: kind.__name__)
def test_every_part_is_reached_once(wanted: type) -> None:
    reached = [part for statement in statements(KERNEL.body) for part in parts(statement, wanted)]
    assert sorted(map(repr, reached)) == sorted(map(repr, found(KERNEL.body, (wanted,))))


def test_nothing_changes_where_nothing_is_changed() -> None:
    assert rebuilt(KERNEL.body, lambda s: with_parts(s, Affine, lambda affine: affine)) == KERNEL.body


def test_a_body_is_no_part_of_the_statement_around_it() -> None:
    for statement in statements(KERNEL.body):
        inside = [inner for body in bodies(statement) for inner in body]
        assert not any(isinstance(part, KINDS) for part in parts(statement, Address)), inside


def test_a_variable_is_replaced_wherever_it_occurs() -> None:
    changed = substituted(KERNEL.body, {"b": axis("z")})
    axes = [affine.axes for s in statements(changed) for affine in parts(s, Affine)]
    assert not any("b" in names for names in axes) and any("z" in names for names in axes)


def test_names_that_are_set_and_used() -> None:
    by_kind = {type(s).__name__: (names_set(s), names_used(s)) for s in statements(KERNEL.body)}
    assert by_kind["Loop"] == (("h",), ())
    assert by_kind["Mask"] == (("x_v0",), ("x_v0",))
    assert by_kind["Pick"] == (("best",), ("x_v0", "x_v1"))
    assert by_kind["Choose"] == (("best", "number"), ("best", "number"))
    assert by_kind["Lanes"] == (("total",), ("x_v2_of_2",))
    assert by_kind["Collect"] == ((), ("factor",))
    assert by_kind["Each"][0] == ("i",)
    spans = [names_used(s) for s in statements(KERNEL.body) if getattr(s, "span", None)]
    assert spans == [("entry_block",), ("entry_block",)]
