"""Names mean nothing: nothing in the compiler takes one apart, starts a comparison with one or ends one.

A tensor's name, a layer's, an axis's is what a person reads. What it is for stands in fields. Text that is
written to be read, by a person or a parser, is taken apart where it is read, and nowhere else: `READERS` are
the places that do nothing else, `ALLOWED` single functions, each with what it takes apart.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

APART = {
    *("startswith", "endswith", "split", "rsplit", "partition", "rpartition"),
    *("removeprefix", "removesuffix", "fullmatch", "match", "search", "findall", "finditer"),
}
"""Methods that take a text apart, or ask how it begins or ends."""
HOLDERS = {"name", "of", "tensor", "buffer", "origin", "variable"}
"""Fields that hold a name."""

READERS = {
    "compiler/language/formula": "formulas that a person has written",
    "compiler/ir/tensor/parser.py": "the text of a program",
    "compiler/ir/loops/parser.py": "the text of a loop nest",
    "compiler/tools": "questions, options and files of a person; texts that are shown",
    "compiler/toolchain": "what the C compiler and the system say; names of files",
    "compiler/values.py": "values on the command line",
    "compiler/frontend/prescan.py": "a model file, before Python runs it",
    "compiler/frontend/isolation.py": "names of Python's modules",
    "compiler/show": "names as letters for a person: alpha, x_1; words of a notation",
}
ALLOWED = {
    "compiler/__init__.py:__getattr__": "names that Python asks a module for",
    "compiler/errors.py:lines_of": "lines of a file",
    "compiler/pipeline.py:parse_switches": "names of passes on the command line",
    "compiler/emit/arrays/backend.py:Backend.reserved": "the words that its own text uses",
    "compiler/emit/arrays/function.py:_before": "comments of its own text",
    "compiler/emit/arrays/function.py:helpers": "what its own text calls",
    "compiler/emit/arrays/loops.py:cython_text": "what its own text calls",
    "compiler/emit/cython/elementary.py:used_functions": "what its own text calls",
    "compiler/emit/cython/names.py:_reserved": "the words that templates use",
    "compiler/emit/cython/rows.py:one_of_each": "what an input is called that has no name",
    "compiler/ir/loops/evaluate.py": "what NumPy calls the inverse of a sine",
    "compiler/ir/loops/text.py:local_text": "numbers with a name, which a text quotes",
    "compiler/ir/tensor/printer.py:print_name": "whether a name can stand in a text without quotes",
    "compiler/language/boundary.py:_name_problems": "a name that is refused, and what it may be called",
    "compiler/language/description.py:Model.fingerprint": "what an input is called that has no name",
    "compiler/language/description.py:Model._name_problems": "a name that Python cannot import",
    "compiler/language/description.py:Model._loss_problems": "a name that is refused",
    "compiler/language/description.py:module_name": "a file's name as a module's",
    "compiler/language/layers/caller.py:caller": "files on Python's stack",
    "compiler/language/layers/formula.py:_highest": "letters of a person's formula, to number the next",
    "compiler/language/layers/formula.py:reserved_problems": "names that are refused",
    "compiler/language/layers/wrappers.py:WeightNormalization.forward": "the parameter that it is about",
    "compiler/language/layers/wrappers.py:_free": "words of a person's formula, to find another",
    "compiler/machine/registry.py:all_targets": "a name of a target that is refused",
    "compiler/pipeline.py": "names of several tensors, of which it takes the first",
    "compiler/schedule/choosing.py:find_schedule": "no text: what a strategy calls its function",
}


def found(tree: ast.AST, path: str) -> Iterator[tuple[str, str]]:
    """Each function that takes something apart, or compares a name with a text, and where."""

    def visit(node: ast.AST, inside: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inside = (*inside, node.name)
        if _takes_apart(node) or _compares(node):
            place = f"{path}:{'.'.join(inside)}" if inside else path
            yield place, f"{path}:{node.lineno}: {ast.unparse(node)}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(tree, ())


def _takes_apart(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in APART
    sliced = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice | ast.Constant)
    return sliced and _is_name(node.value) and not _is_number(node.slice, node.value)


def _is_number(place: ast.expr, value: ast.expr) -> bool:
    """A list of names has elements; one name has none."""
    return isinstance(value, ast.Name) and value.id.endswith("s")


def _compares(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    return any(map(_is_text, sides)) and any(map(_is_name, sides))


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_is_text, node.elts))
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_name(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "name" or node.id.endswith(("_name", "names"))
    return isinstance(node, ast.Attribute) and node.attr in HOLDERS


@cache
def in_the_compiler() -> list[tuple[str, str]]:
    rows = []
    for path in sorted((ROOT / "compiler").rglob("*.py")):
        relative = path.relative_to(ROOT).as_posix()
        rows += found(ast.parse(path.read_text(encoding="utf-8")), relative)
    return rows


def is_reader(place: str) -> bool:
    return any(place.startswith(reader) for reader in READERS)


def test_no_name_is_taken_apart() -> None:
    rows = in_the_compiler()
    assert [text for place, text in rows if place not in ALLOWED and not is_reader(place)] == []


def test_what_is_allowed_is_there() -> None:
    """No row of the tables stands for what is gone."""
    places = {place for place, _ in in_the_compiler()}
    assert [row for row in ALLOWED if row not in places] == []
    assert [row for row in READERS if not any(place.startswith(row) for place in places)] == []


@pytest.mark.parametrize(
    "text",
    [
        "name.startswith('padded')",
        "definition.name.endswith('.winner')",
        "base = access.tensor.rpartition('.')[0]",
        "definition.name == 'gradient'",
        "'loss' != name",
        "program.inputs[0].name in ('x', 'label')",
        "name[:4]",
        "definition.of[0]",
        "re.fullmatch(r'(.*)_2', name)",
    ],
)
def test_a_planted_one_is_found(text: str) -> None:
    assert list(found(ast.parse(f"def f(): return {text}" if "=" not in text[:6] else text), "a.py"))


@pytest.mark.parametrize(
    "text", ["definition.role == 'winner'", "names[1:]", "name == other", "definition.name in program"]
)
def test_what_is_right_is_not(text: str) -> None:
    assert not list(found(ast.parse(text), "a.py"))
