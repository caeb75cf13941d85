"""One of each: what `ir/tensor` does for all is spelled out by hand nowhere else.

Each rule is a way of writing that has a home; the second half plants it elsewhere, and sees it found.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.test_architecture import ROOT, Source, name_of, own_sources


@dataclass(frozen=True)
class Home:
    """What is written in `homes` alone; everywhere else the advice is to be followed."""

    rule: str
    homes: tuple[str, ...]
    found: Callable[[ast.AST], bool]
    advice: str
    planted: str
    innocent: str


def builds_a_program(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) == "Program"


def replaces_definitions(node: ast.AST) -> bool:
    keywords = node.keywords if isinstance(node, ast.Call) and name_of(node.func) == "replace" else []
    return any(keyword.arg == "definitions" for keyword in keywords)


def rebuilds_around_a_name(node: ast.AST) -> bool:
    """`definitions += parts if definition.name == name else [definition]`"""
    if not isinstance(node, ast.IfExp) or not isinstance(node.test, ast.Compare):
        return False
    by_name = isinstance(node.test.left, ast.Attribute) and node.test.left.attr == "name"
    return by_name and isinstance(node.orelse, ast.List) and len(node.orelse.elts) == 1


def asks_for_the_batch(node: ast.AST) -> bool:
    """`any(a.extent is None for a in …)`, `next(… if a.extent is None)`, `None in shape`."""
    if isinstance(node, ast.Call) and name_of(node.func) in ("any", "next") and node.args:
        (inner, *_) = node.args
        if isinstance(inner, ast.GeneratorExp):
            tests = [inner.elt, *(test for part in inner.generators for test in part.ifs)]
            return any(isinstance(test, ast.Compare) and _is_batch_test(test) for test in tests)
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        (container,) = node.comparators
        named = container.value if isinstance(container, ast.Subscript) else container
        named = named.func if isinstance(named, ast.Call) else named
        return _is_none(node.left) and name_of(named) in ("shape", "shapes")
    return False


def _is_batch_test(test: ast.Compare) -> bool:
    of_extent = isinstance(test.left, ast.Attribute) and test.left.attr == "extent"
    return of_extent and isinstance(test.ops[0], ast.Is) and _is_none(test.comparators[0])


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def names_axes_by_hand(node: ast.AST) -> bool:
    """`{old: axis(new) for old, new in …}`, `{index.single_axis: place for …}`."""
    if not isinstance(node, ast.DictComp):
        return False
    key, value = node.key, node.value
    renames = isinstance(value, ast.Call) and name_of(value.func) == "axis" and _only_names(value.args)
    kept = renames and ast.unparse(value.args[0]) == ast.unparse(key)
    return (renames and not kept and isinstance(key, ast.Name)) or name_of(key) == "single_axis"


def _only_names(nodes: list[ast.expr]) -> bool:
    return all(isinstance(node, ast.Name) for node in nodes)


def substitutes_in_each(node: ast.AST) -> bool:
    """`tuple(index.substitute(places) for index in term.target)`, and the same for guards."""
    if not isinstance(node, ast.GeneratorExp | ast.ListComp):
        return False
    return any(
        isinstance(call, ast.Call) and name_of(call.func) == "substitute" for call in ast.walk(node.elt)
    )


def reads_among_others(node: ast.AST) -> bool:
    """`body.xreplace({s: reads.symbol(a) for s, a in term.reads})`, or the same said first."""
    value = node.value if isinstance(node, ast.DictComp) else None
    into = isinstance(value, ast.Call) and ast.unparse(value.func) == "reads.symbol"
    return into and isinstance(value.args[0], ast.Name)


def numbers_a_name(node: ast.AST) -> bool:
    """`while name in taken: name = f"{wanted}{number}"`"""
    if not isinstance(node, ast.While) or not isinstance(node.test, ast.Compare):
        return False
    return isinstance(node.test.ops[0], ast.In) and any(isinstance(n, ast.JoinedStr) for n in ast.walk(node))


TENSOR = "compiler/ir/tensor/"
PROGRAM = f"{TENSOR}program.py"
HOMES = (
    Home(
        "a program is built",
        (TENSOR, "compiler/frontend/joining.py"),
        builds_a_program,
        "change a program by ir/tensor/editing and prune: extended, mapped, joined, part_of, …",
        "Program(inputs, definitions, program.outputs)",
        "program.with_definitions(definitions)",
    ),
    Home(
        "all definitions are replaced",
        (PROGRAM,),
        replaces_definitions,
        "program.with_definitions, or what ir/tensor/editing has",
        "program.replace(definitions=tuple(d))",
        "program.replace(outputs=names)",
    ),
    Home(
        "one definition is replaced",
        (f"{TENSOR}editing.py",),
        rebuilds_around_a_name,
        "replaced, replaced_all of ir/tensor/editing",
        "for d in program.definitions: result += parts if d.name == name else [d]",
        "origin = one if d.name == name else other",
    ),
    Home(
        "something has a batch axis",
        (f"{TENSOR}axes.py",),
        asks_for_the_batch,
        "runs_over_batch, batch_axis, has_batch of ir/tensor/axes",
        "any(a.extent is None for term in d.terms for a in term.axes)",
        "[a for a in axes if a.extent is None]",
    ),
    Home(
        "a shape has a batch",
        (f"{TENSOR}axes.py",),
        asks_for_the_batch,
        "has_batch of ir/tensor/axes",
        "None not in program.shape(name)",
        "None in names",
    ),
    Home(
        "axes are renamed, or put at places",
        (f"{TENSOR}rename.py",),
        names_axes_by_hand,
        "rename_axes, renaming, moved, at_places of ir/tensor/rename",
        "{index.single_axis: place for index, place in zip(target, places)}",
        "{name: axis(name) + low for name, low in lows}",
    ),
    Home(
        "axes are renamed",
        (f"{TENSOR}rename.py",),
        names_axes_by_hand,
        "rename_axes, renaming of ir/tensor/rename",
        "{old: axis(new) for old, new in names.items()}",
        "{old: new for old, new in names.items()}",
    ),
    Home(
        "indices are substituted in",
        (f"{TENSOR}rename.py",),
        substitutes_in_each,
        "substitute_axes, substitute_access, substitute_all, substitute_guards of ir/tensor/rename",
        "tuple(index.substitute(places) for index in term.target)",
        "affine.substitute({name: axis(name) + 1})",
    ),
    Home(
        "a body is read among other reads",
        (PROGRAM, f"{TENSOR}rename.py"),
        reads_among_others,
        "Reads.body_of, or body_among of ir/tensor/rename",
        "second.body.xreplace({s: reads.symbol(a) for s, a in second.reads})",
        "{s: symbol(s.name) for s, a in second.reads}",
    ),
    Home(
        "a name is numbered",
        (f"{TENSOR}names.py", f"{TENSOR}axes.py", "compiler/emit/cython/"),
        numbers_a_name,
        "Names and fresh of ir/tensor/names, AxisNames of ir/tensor/axes",
        "while name in taken:\n    name = f'{wanted}{number}'",
        "while name in waiting:\n    name = waiting[name]",
    ),
)  # fmt: skip
OTHERS = ("compiler/language/", "compiler/simplify/signs.py")
"""Not of tensor programs: names of layers, and of symbols that stand for hidden parts of a body."""


def violations(source: Source, home: Home) -> Iterator[str]:
    """Where the source spells out what has a home elsewhere."""
    if not source.path.startswith("compiler/") or source.path.startswith((*home.homes, *OTHERS)):
        return
    for node in ast.walk(source.tree):
        if home.found(node):
            yield f"{source.path}:{node.lineno}: {home.rule} by hand; use {home.advice}"


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.rule)
def test_each_has_one_home(home: Home) -> None:
    found = [message for source in own_sources() for message in violations(source, home)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.rule)
def test_a_second_writing_is_found(home: Home) -> None:
    def written(path: str, text: str) -> list[str]:
        return list(violations(Source(path, "", text, ast.parse(text)), home))

    (message,) = written("compiler/passes/a.py", home.planted)
    assert message.startswith("compiler/passes/a.py:1: ") and home.advice in message
    assert written("compiler/passes/a.py", home.innocent) == []
    for place in home.homes:
        assert written(place if place.endswith(".py") else f"{place}a.py", home.planted) == []


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.rule)
def test_every_home_is_there(home: Home) -> None:
    assert all((ROOT / place).exists() for place in home.homes)
