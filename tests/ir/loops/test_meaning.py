"""Kernels that differ in names alone mean the same, and no others do."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import axis
from compiler.ir.loops.grammar import Address, Choose, If, Kernel, Let, Load, Loop, Store
from compiler.ir.loops.meaning import meaning
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import rebuilt, statements
from tests.ir.loops.samples import every_statement, real

HEAD = """kernel {y}: 8 operations an example
schedule "plain"
reads real {x} of {x}
reads real {w} of {w}
writes real {y} of {y}

for {i} in range(0, batch):
    {a} = {x}[3*{i}]
    {b} = {w}[{i} + 1]
    {y}[{i}] = {a}*{b} + {a}
"""
PLAIN = dict(zip("xwyiab", "xwyiab", strict=True))


def kernel(**names: str) -> Kernel:
    return parse_kernel(HEAD.format(**(PLAIN | names)))


@pytest.mark.parametrize(
    "names",
    [
        {"x": "dense_3", "w": "dense_4.kernel", "y": "dense_4"},
        {"a": "z", "b": "a"},  # SymPy has a product in the order of the names
        {"x": "w", "w": "x", "i": "o"},
        {"x": "exp", "w": "range", "a": "log"},
    ],
    ids=str,
)
def test_names_mean_nothing(names: dict[str, str]) -> None:
    assert meaning(kernel(**names)) == meaning(kernel())


def test_what_its_header_says_means_nothing() -> None:
    other = replace(kernel(), origin="dense_7", formula=("y = x",), schedule="register tile", operations=3)
    assert meaning(other) == meaning(kernel())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3*i", "2*i"),
        ("a + a*b", "b + a*b"),
        ("w[i + 1]", "x[i + 1]"),
        ("range(0, batch)", "range(0, 8)"),
        ("y[i] =", "y[i] +="),
        ("reads real w of w", "reads small w of w"),
        ("operations an example", "operations an call"),
    ],
)
def test_another_kernel_means_something_else(old: str, new: str) -> None:
    text = print_kernel(kernel())
    assert old in text
    assert meaning(parse_kernel(text.replace(old, new))) != meaning(kernel())


def test_every_field_of_every_statement_counts() -> None:
    """A statement with any of its numbers, flags and relations changed is another one."""
    given = every_statement()
    changed = 0
    for statement in statements(given.body):
        for field in fields(statement):
            value = getattr(statement, field.name)
            if isinstance(statement, Choose) and field.name == "better":
                other: object = "<" if value == ">" else ">"
            elif isinstance(value, int):
                other = not value if isinstance(value, bool) else value + 1
            else:
                continue
            new = replace(statement, **{field.name: other})
            body = rebuilt(given.body, lambda s, old=statement, new=new: new if s == old else s)
            changed += 1
            assert meaning(replace(given, body=body)) != meaning(given), (statement, field.name)
    assert changed > 20


def test_relations_are_no_names() -> None:
    """A buffer may be called like a relation."""

    def best(better: str, name: str) -> Kernel:
        text = print_kernel(kernel()).replace("y[i] = a + a*b", f"choose a by {better} at 0: b\n    y[i] = a")
        return parse_kernel(text.replace(" x ", f' "{name}" '))

    assert {type(s) for s in statements(best(">", "x").body)} == {Loop, Load, Choose, Store}
    assert meaning(best(">", "x")) != meaning(best("<", "x"))


@pytest.mark.parametrize("other", ["==", "%"])
def test_kinds_of_guards_are_no_names(other: str) -> None:
    """Each is the only one of its kernel, so that numbering them like names would make them one."""
    one = kernel()
    (loop,) = one.body

    def guarded(kind: str) -> Kernel:
        test = Guard(kind, axis("i"), 2)  # type: ignore[arg-type]  # each kind in turn
        return replace(one, body=(replace(loop, body=(If((test,), loop.body),)),))

    assert meaning(guarded(">=")) != meaning(guarded(other))
    assert meaning(guarded(other)) == meaning(guarded(other))


def test_an_own_variable_is_not_the_batch() -> None:
    one = kernel()
    (loop,) = one.body
    inner = replace(one, body=(replace(loop, body=(*loop.body, Let("c", real("a")))),))
    other = replace(
        one, body=(replace(loop, body=(*loop.body, Load("c", Address("x", loop.upper[0].affine)))),)
    )
    assert meaning(inner) != meaning(other)
