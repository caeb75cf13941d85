"""Traversals of loop nests, derived from the fields of the statements: a new statement needs no line here.

    statements(body)                   every statement, outer before inner
    parts(statement, Affine)           what a statement holds itself of a kind, in the order of its fields
    with_parts(statement, Affine, f)   the statement with f applied to each of these
    with_bodies(statement, f)          the statement with f applied to each body inside it
    rebuilt(body, f)                   the body with f applied to every statement, inner before outer
    names_set(statement)               the local variables to which it gives a value
    with_names(body, names)            the body with other names of these

A field that is declared `Body` holds statements; all others belong to the statement itself. So what
stands inside a loop is no part of the loop. A field that names a local variable says in its type whether
the statement sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, ParamSpec, TypeVar, cast, get_args, get_origin, get_type_hints

import sympy

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.affine_values import affine_expression, variable_of
from compiler.ir.loops.grammar import Address, Body, Limit, Lists, Statement

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Part = TypeVar("Part", Address, Affine, Guard, Limit, sympy.Expr)
_LEAVES = (Affine, str, int, float, bool)
"""Types that nobody looks into."""


def _cached(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`functools.cache`, whose own type holds that a class has no hash."""
    return cast("Callable[Arguments, Result]", cache(function))


@_cached
def _body_fields(kind: type) -> tuple[str, ...]:
    return tuple(name for name, hint in get_type_hints(kind).items() if hint == Body)


@_cached
def _fields_with(kind: type, wanted: type) -> tuple[str, ...]:
    """The fields of a class, other than bodies, that may hold something of the wanted type."""
    hints = get_type_hints(kind).items()
    return tuple(name for name, hint in hints if hint != Body and _may_hold(hint, wanted))


def _may_hold(hint: Any, wanted: type) -> bool:
    if hint is wanted:
        return True
    if hint in _LEAVES:
        return False
    if is_dataclass(hint) and isinstance(hint, type):
        return bool(_fields_with(hint, wanted))
    return any(_may_hold(argument, wanted) for argument in get_args(hint))


def statements(body: Body) -> Iterator[Statement]:
    """Every statement of a nest, outer before inner."""
    for statement in body:
        yield statement
        for name in _body_fields(type(statement)):
            yield from statements(getattr(statement, name))


def parts(node: object, wanted: type[Part]) -> Iterator[Part]:
    """What a statement (or a part of one) holds of a type, not what stands inside its bodies."""
    if isinstance(node, wanted):
        yield node
    elif isinstance(node, tuple):
        for item in node:
            yield from parts(item, wanted)
    elif is_dataclass(node):
        for name in _fields_with(type(node), wanted):
            yield from parts(getattr(node, name), wanted)


def with_parts(node: Any, wanted: type[Part], change: Callable[[Part], Part]) -> Any:
    """The statement (or part of one) with each of its own parts of a type changed."""
    if isinstance(node, wanted):
        return change(node)
    if isinstance(node, tuple):
        return tuple(with_parts(item, wanted, change) for item in node)
    if is_dataclass(node) and not isinstance(node, type):
        names = _fields_with(type(node), wanted)
        changes = {name: with_parts(getattr(node, name), wanted, change) for name in names}
        return replace(node, **changes) if changes else node
    return node


def bodies(statement: Statement) -> tuple[Body, ...]:
    """The bodies inside a statement."""
    return tuple(getattr(statement, name) for name in _body_fields(type(statement)))


def with_bodies(statement: Statement, change: Callable[[Body], Body]) -> Statement:
    """The statement with each body inside it changed."""
    changes: dict[str, Any] = {
        name: change(getattr(statement, name)) for name in _body_fields(type(statement))
    }
    return replace(statement, **changes) if changes else statement


def rebuilt(body: Body, change: Callable[[Statement], Statement]) -> Body:
    """The body with every statement changed, inner before outer."""
    return tuple(change(with_bodies(s, lambda inner: rebuilt(inner, change))) for s in body)


def names_set(statement: Statement) -> tuple[str, ...]:
    """The local variables to which a statement gives a value, in the order of its fields."""
    return _names(statement, "set")


def names_used(statement: Statement) -> tuple[str, ...]:
    """The local variables that a statement names because it needs their values, beside its expressions."""
    return _names(statement, "used")


def _names(node: object, role: str) -> tuple[str, ...]:
    found: list[str] = []
    for name in _naming_fields(type(node), role):
        value = getattr(node, name)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, tuple):
            found += value
        elif is_dataclass(value):
            found += _names(value, role)
    return tuple(found)


@_cached
def _naming_fields(kind: type, role: str) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True).items()
    return tuple(name for name, hint in hints if _may_name(hint, role))


def _may_name(hint: Any, role: str) -> bool:
    if get_origin(hint) is Annotated:
        return role in hint.__metadata__
    if hint in _LEAVES:
        return False
    if is_dataclass(hint) and isinstance(hint, type):
        return bool(_naming_fields(hint, role))
    return hint != Body and any(_may_name(argument, role) for argument in get_args(hint))


def substituted(body: Body, values: Mapping[str, Affine]) -> Body:
    """The body with affine expressions put in for integer variables, wherever one occurs."""

    numbers = {variable_of(name): affine_expression(value) for name, value in values.items()}

    def change(statement: Statement) -> Statement:
        statement = with_parts(statement, Affine, lambda affine: affine.substitute(values))
        return with_parts(statement, sympy.Expr, lambda value: value.xreplace(numbers))

    return rebuilt(body, change)


def with_names(body: Body, names: Mapping[str, str]) -> Body:
    """The body with other names of local variables and lists, wherever one occurs."""
    values = {old: Affine(((new, 1),)) for old, new in names.items()}

    def change(statement: Statement) -> Statement:
        statement = with_parts(statement, Affine, lambda affine: affine.substitute(values))
        return cast(Statement, _with_names(statement, names))

    return rebuilt(body, change)


def _with_names(node: Any, names: Mapping[str, str]) -> Any:
    naming = {*_naming_fields(type(node), "set"), *_naming_fields(type(node), "used")}
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(node)):
        value = getattr(node, name)
        if name in naming and isinstance(value, str):
            changes[name] = names.get(value, value)
        elif name in naming and isinstance(value, tuple):
            changes[name] = tuple(names.get(one, one) for one in value)
        elif isinstance(value, Lists):
            changes[name] = replace(value, name=names.get(value.name, value.name))
        elif isinstance(value, sympy.Basic):
            changes[name] = _with_symbols(value, names)
        elif name in naming and is_dataclass(value):
            changes[name] = _with_names(value, names)
    if isinstance(node, Lists):
        changes["name"] = names.get(node.name, node.name)
    return replace(node, **changes) if changes else node


def _with_symbols(value: sympy.Basic, names: Mapping[str, str]) -> sympy.Basic:
    found = (s for s in value.free_symbols if isinstance(s, sympy.Symbol) and s.name in names)
    return value.xreplace({s: sympy.Symbol(names[s.name], **s.assumptions0) for s in found})
