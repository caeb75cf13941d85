"""The order of the house, held by reading the sources: who may import whom, and a few forbidden habits.

The tables are the rules and the place to extend them. Sources are parsed, not imported: a forbidden import is
found in a function too. The second half plants violations in a small tree, and sees the checker find each.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.house import (
    GENERATED_MAY_IMPORT,
    LONGEST_FILE,
    MAY_IMPORT,
    OUTSIDE,
    UNSAFE_LOADERS,
)

ROOT = Path(__file__).resolve().parent.parent

SOURCE_FOLDERS = ("chainrule", "compiler", "runtime", "models", "benchmarks", "tests")
GENERATED_MODULES = ("generated/*.pyx", "tests/golden/**/*.pyx")
OURS = {*SOURCE_FOLDERS, "generated"}


@dataclass(frozen=True)
class Source:
    """One parsed Python file."""

    path: str
    """Relative to the root of the tree, with slashes."""
    module: str
    text: str
    tree: ast.Module


@dataclass(frozen=True)
class Import:
    """One imported name, absolute: `from compiler import ir` is `compiler.ir`."""

    target: str
    line: int

    @property
    def package(self) -> str:
        """The top-level package."""
        return self.target.partition(".")[0]


def read_sources(root: Path) -> Iterator[Source]:
    """All Python sources below `root`, in order of their paths."""
    paths = [path for folder in SOURCE_FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    for path in [*paths, *root.glob("setup.py")]:
        relative = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        parts = relative.parent.parts if path.name == "__init__.py" else relative.with_suffix("").parts
        yield Source(relative.as_posix(), ".".join(parts), text, ast.parse(text, str(path)))


@cache
def own_sources() -> tuple[Source, ...]:
    """Those of this project: to read them takes longer than any rule does."""
    return tuple(read_sources(ROOT))


def find_imports(source: Source) -> Iterator[Import]:
    """Every import, wherever it stands, and `import_module("name")` with a written name."""
    package = source.module if source.path.endswith("__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif (
            isinstance(node, ast.Call) and name_of(node.func) in ("import_module", "__import__") and node.args
        ):
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Import(argument.value, node.lineno)


def name_of(expression: ast.expr) -> str:
    """The last name of `a.b.c`, or "" for anything else."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def is_within(name: str, component: str) -> bool:
    """Whether a dotted name is the component or lies inside it."""
    return name == component or name.startswith(component + ".")


def component_of(name: str) -> str:
    """The component that a module or an imported name belongs to, or "" if the table has none."""
    return max((row for row in MAY_IMPORT if is_within(name, row)), key=len, default="")


def check_order(source: Source) -> Iterator[str]:
    """The table MAY_IMPORT. Tests may import what they like."""
    if is_within(source.module, "tests"):
        return
    own = component_of(source.module)
    if own == "compiler" and source.module != "compiler":
        yield f"{source.path}: {source.module} has no row in MAY_IMPORT: say there what it may import"
        return
    for found in find_imports(source):
        target = component_of(found.target) or found.package
        if found.package in OURS and target not in (own, *MAY_IMPORT[own]):
            yield f"{source.path}:{found.line}: {own} may not import {target}"


def check_outside_packages(source: Source) -> Iterator[str]:
    """The table OUTSIDE."""
    if not any(is_within(source.module, top) for top in ("chainrule", "compiler", "runtime")):
        return
    for found in find_imports(source):
        if found.package in OURS or found.package in sys.stdlib_module_names:
            continue
        if not any(is_within(source.module, place) for place in OUTSIDE.get(found.package, ())):
            yield f"{source.path}:{found.line}: {source.module} may not import {found.package}"


def check_exceptions(source: Source) -> Iterator[str]:
    """No handler that takes every error: it hides the ones nobody thought of."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = ["" if one is None else name_of(one) for one in caught]
            # To clean up after anything, Ctrl-C included, and pass it on is what BaseException is for.
            passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if None in caught or "Exception" in names or ("BaseException" in names and not passed_on):
                yield f"{source.path}:{node.lineno}: this handler catches everything"
        elif isinstance(node, ast.Call) and name_of(node.func) == "suppress":
            yield from (
                f"{source.path}:{node.lineno}: this suppresses everything"
                for argument in node.args
                if name_of(argument) in ("Exception", "BaseException")
            )


def check_unsafe_loading(source: Source) -> Iterator[str]:
    """No file may run code when it is read."""
    for found in find_imports(source):
        if found.package in UNSAFE_LOADERS:
            yield f"{source.path}:{found.line}: {found.package} runs code from the file it reads"
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and ast.unparse(node.value) != "False"
        ):
            yield f"{source.path}:{node.value.lineno}: allow_pickle runs code from the file it reads"


def check_length(source: Source) -> Iterator[str]:
    """The bound LONGEST_FILE."""
    lines = source.text.count("\n")
    if lines > LONGEST_FILE:
        yield f"{source.path}: {lines} lines are more than {LONGEST_FILE}"


def check_ignored_types(source: Source) -> Iterator[str]:
    """What a type checker is not to look at has a reason beside it."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"# type: ignore(\[[^\]]*\])?\s*$", line):
            yield f"{source.path}:{number}: types are ignored without a reason"


CYTHON_STRING_OR_COMMENT = re.compile(r'""".*?"""' + r"|'''.*?'''|#[^\n]*", re.DOTALL)
CYTHON_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\S+)[ \t]+c?import\b|c?import[ \t]+([^\n]+))", re.MULTILINE)


def check_generated_modules(root: Path) -> Iterator[str]:
    """A generated module stands on NumPy and on what comes with Cython and C, and on nothing of ours."""
    for path in [path for pattern in GENERATED_MODULES for path in sorted(root.glob(pattern))]:
        code = CYTHON_STRING_OR_COMMENT.sub("", path.read_text(encoding="utf-8"))
        for one, several in CYTHON_IMPORT.findall(code):
            names = [one] if one else [part.split()[0] for part in several.split(",") if part.strip()]
            for name in names:
                if name.partition(".")[0] not in GENERATED_MAY_IMPORT:
                    yield f"{path.relative_to(root).as_posix()}: a generated module may not import {name}"


def check_packages(root: Path) -> Iterator[str]:
    """A folder of modules without __init__.py works in a checkout and is missing once installed."""
    for top in ("chainrule", "compiler", "runtime"):
        for folder in sorted({path.parent for path in (root / top).rglob("*.py")}):
            if not (folder / "__init__.py").is_file():
                yield f"{folder.relative_to(root).as_posix()}: there is no __init__.py"


TREE_RULES = (check_generated_modules, check_packages)
SOURCE_RULES = (
    *(check_order, check_outside_packages, check_exceptions, check_unsafe_loading, check_length),
    check_ignored_types,
)


def check_tree(root: Path) -> list[str]:
    """Every violation of every rule."""
    found = [message for source in read_sources(root) for rule in SOURCE_RULES for message in rule(source)]
    return found + [message for rule in TREE_RULES for message in rule(root)]


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_sources_obey(rule: Callable[[Source], Iterator[str]]) -> None:
    violations = [message for source in own_sources() for message in rule(source)]
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("rule", TREE_RULES, ids=lambda rule: rule.__name__)
def test_tree_obeys(rule: Callable[[Path], Iterator[str]]) -> None:
    violations = list(rule(ROOT))
    assert not violations, "\n".join(violations)


def test_every_name_in_the_tables_has_a_row() -> None:
    named = {name for row in MAY_IMPORT.values() for name in row} - {"generated"}
    assert named <= MAY_IMPORT.keys()
    assert {component_of(place) for places in OUTSIDE.values() for place in places} <= MAY_IMPORT.keys()


OBEDIENT = {
    "compiler/__init__.py": "from compiler.errors import ModelError\n",
    "compiler/errors.py": "class ModelError(Exception): ...\n",
    "compiler/ir/affine/expression.py": "from ...errors import ModelError\nimport sympy\n",
    "compiler/derive/vjp.py": "from . import jvp\nfrom compiler.ir.affine import expression\n",
    "compiler/module_source.py": "import compiler.derive.vjp, compiler.emit.cython.render\n",
    "compiler/cli.py": "def main():\n    from runtime import trainer\n    from compiler import pipeline\n",
    "runtime/trainer.py": "import numpy as np\ntry: np.load('x', allow_pickle=False)\nexcept OSError: ...\n",
    "runtime/files.py": "try: ...\nexcept BaseException:\n    raise\n",
    "generated/mnist.pyx": '"""\nimport sympy\n"""\nfrom libc.math cimport expf  # import x\nimport numpy\n',
}

# The file, what is written into it, and a piece of the message.
PLANTED = [
    ("runtime/data.py", "from compiler.ir.affine import x", "may not import compiler.ir"),
    ("runtime/data.py", "import_module('compiler.cli')", "may not import compiler.cli"),
    ("runtime/data.py", "def load():\n    from compiler import errors", "may not import compiler.errors"),
    ("runtime/data.py", "import sympy", "may not import sympy"),
    ("runtime/data.py", "import torch", "may not import torch"),
    ("compiler/derive/a.py", "import compiler.emit.cython.render", "may not import compiler.emit"),
    ("compiler/passes/a.py", "from ..schedule import nest", "may not import compiler.schedule"),
    ("compiler/passes/__init__.py", "from ..derive import vjp", "may not import compiler.derive"),
    ("compiler/schedule/a.py", "from compiler import passes", "may not import compiler.passes"),
    ("compiler/emit/cython/a.py", "from compiler.derive.vjp import x", "may not import compiler.derive"),
    (
        "compiler/emit/cython/a.py",
        "from compiler.module_source import x",
        "may not import compiler.module_source",
    ),
    ("compiler/emit/cython/names.py", "import sympy", "may not import sympy"),
    ("compiler/toolchain/build.py", "from sympy import S", "may not import sympy"),
    ("compiler/ir/a.py", "import compiler.passes", "may not import compiler.passes"),
    (
        "compiler/ir/a.py",
        "from compiler.language.formula import x",
        "may not import compiler.language.formula",
    ),
    (
        "compiler/language/formula/a.py",
        "import compiler.language.layers",
        "may not import compiler.language.layers",
    ),
    (
        "compiler/language/layers/a.py",
        "from compiler.language.description import x",
        "may not import compiler.language.description",
    ),
    ("compiler/language/losses/a.py", "from compiler.derive import x", "may not import compiler.derive"),
    ("compiler/__init__.py", "from compiler.cli import main", "may not import compiler.cli"),
    ("compiler/novelty.py", "", "compiler.novelty has no row"),
    ("models/mnist.py", "from compiler.derive import vjp", "may not import compiler.derive"),
    ("compiler/frontend/parse.py", "try: ...\nexcept Exception: ...", "catches everything"),
    ("compiler/frontend/parse.py", "try: ...\nexcept (OSError, BaseException): ...", "catches everything"),
    ("tests/test_a.py", "try: ...\nexcept: ...", "catches everything"),
    ("runtime/data.py", "with contextlib.suppress(Exception): ...", "suppresses everything"),
    ("runtime/data.py", "import pickle", "pickle runs code"),
    ("tests/test_a.py", "from pickle import loads", "pickle runs code"),
    ("runtime/data.py", "numpy.load('x', allow_pickle=True)", "allow_pickle runs code"),
    ("compiler/frontend/parse.py", "x = 1\n" * 351, "351 lines are more than 350"),
    ("compiler/frontend/parse.py", "x = 1  # type: ignore[misc]", "without a reason"),
    ("generated/mnist.pyx", "import runtime", "may not import runtime"),
    ("generated/mnist.pyx", "import numpy as np, sympy", "may not import sympy"),
    ("tests/golden/dense/dense.pyx", "from compiler.ir cimport a", "may not import compiler.ir"),
]


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a small tree, and an empty __init__.py beside each that stands without."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return root


def test_an_obedient_tree_passes(tmp_path: Path) -> None:
    assert check_tree(plant(tmp_path, OBEDIENT)) == []


def test_a_folder_that_is_no_package_is_found(tmp_path: Path) -> None:
    (plant(tmp_path, OBEDIENT) / "compiler/derive/__init__.py").unlink()
    assert check_tree(tmp_path) == ["compiler/derive: there is no __init__.py"]


def test_an_empty_tree_passes(tmp_path: Path) -> None:
    assert check_tree(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "text", "message"), PLANTED, ids=lambda value: value[:40].replace("\n", " ")
)
def test_a_planted_violation_is_found(tmp_path: Path, path: str, text: str, message: str) -> None:
    violations = check_tree(plant(tmp_path, OBEDIENT | {path: text}))
    assert len(violations) == 1
    assert path in violations[0]
    assert message in violations[0]
