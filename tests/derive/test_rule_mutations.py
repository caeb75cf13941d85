"""Each operator, number and choice in compiler/derive/rules.py is changed once, and some rung goes red.

The mutants are made from the source, so a rule that is added is mutated too. What only raises an error is
left alone: messages have tests of their own.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from compiler.derive import extrema as extrema_module
from compiler.derive import jvp as jvp_module
from compiler.derive import rules
from compiler.derive import vjp as vjp_module
from compiler.errors import CompilerBug, ModelError
from tests.derive.cases import interpret
from tests.derive.rungs import adjoint_identity, derived, taylor_slope
from tests.derive.test_mutations import CASES

RULES = ("vjp_terms", "jvp_term", "at_winner", "winner_definition")
FAILURES = (CompilerBug, ModelError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""A program that cannot be derived or run is as red as one that is wrong."""

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
STRINGS = {"argmax": "argmin"}

EQUIVALENT = {
    "partial == 0": "a term that is 0 adds nothing",
    "body == 0": "a tangent that is 0 adds nothing, and one that is not is made either way",
}
"""Comparisons whose change may leave the derivative what it was: they spare work."""


def mutants() -> Iterator[tuple[str, ast.Module]]:
    """A name that says what was changed, and the whole changed module."""
    tree = ast.parse(Path(rules.__file__).read_text(encoding="utf-8"))
    silent = {id(inner) for node in ast.walk(tree) for inner in _unmutated(node)}
    nodes = list(ast.walk(tree))
    places = [n for n, node in enumerate(nodes) if id(node) not in silent]
    for place in places:
        # Most nodes have nothing to change: only where one has is the whole copied.
        if not _mutate(copy.deepcopy(nodes[place])):
            continue
        changed = copy.deepcopy(tree)
        node = next(node for n, node in enumerate(ast.walk(changed)) if n == place)
        before = ast.unparse(node)
        _mutate(node)
        yield f"line {node.lineno}: {before} -> {ast.unparse(node)}", changed


def _unmutated(node: ast.AST) -> Iterator[ast.AST]:
    """Annotations, equivalent comparisons, what only raises an error, zip's `strict` too; all below them."""
    inside: list[ast.AST] = []
    if isinstance(node, ast.Compare) and ast.unparse(node) in EQUIVALENT:
        inside.append(node)
    if isinstance(node, ast.If) and all(isinstance(line, ast.Raise) for line in node.body):
        inside.append(node)
    if isinstance(node, ast.keyword) and node.arg == "strict":
        inside.append(node.value)
    if isinstance(node, ast.FunctionDef):
        inside += [argument for argument in node.args.args]
        inside += [node.returns] if node.returns else []
    if isinstance(node, ast.AnnAssign):
        inside.append(node.annotation)
    for part in inside:
        yield from ast.walk(part)


def _mutate(node: ast.AST) -> bool:
    """Change one node in place; False if there is nothing in it to change."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        node.ops[0] = OPERATORS[type(node.ops[0])]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value = node.value + 1
    elif isinstance(node, ast.Constant) and node.value in STRINGS:
        node.value = STRINGS[node.value]
    elif isinstance(node, ast.IfExp):
        node.body, node.orelse = node.orelse, node.body
    elif isinstance(node, ast.Attribute) and node.attr in ("indices", "target"):
        node.attr = "target" if node.attr == "indices" else "indices"
    elif isinstance(node, ast.Call) and ast.unparse(node.args[-1:] and node.args[-1]) == "term.guards":
        node.args[-1] = ast.Tuple([], ast.Load())
    else:
        return False
    return True


MUTANTS = dict(mutants())


def executed(tree: ast.Module) -> ModuleType:
    module = ModuleType("mutated_rules")
    exec(compile(ast.fix_missing_locations(tree), "mutated rules", "exec"), module.__dict__)
    return module


@pytest.fixture(autouse=True)
def derived_anew() -> Iterator[None]:
    """What other rules have derived counts for nothing."""
    derived.cache_clear()
    yield
    derived.cache_clear()


def is_red(name: str) -> bool:
    try:
        case = CASES[name]
        return adjoint_identity(case, interpret).error >= 1e-12 or taylor_slope(case, interpret).error >= 0.1
    except FAILURES:
        return True


def test_there_are_mutants_of_every_rule() -> None:
    tree = ast.parse(Path(rules.__file__).read_text(encoding="utf-8"))
    for function in filter(lambda node: isinstance(node, ast.FunctionDef), tree.body):
        lines = range(function.lineno, function.end_lineno + 1)
        mutated = any(int(name.split()[1].rstrip(":")) in lines for name in MUTANTS)
        assert mutated, function.name


@pytest.mark.parametrize("name", MUTANTS)
def test_a_changed_rule_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        mutated = executed(MUTANTS[name])
    except FAILURES:
        return
    for module in (vjp_module, jvp_module, extrema_module):
        for rule in RULES:
            if hasattr(module, rule):
                monkeypatch.setattr(module, rule, getattr(mutated, rule))
    assert any(map(is_red, CASES)), name
