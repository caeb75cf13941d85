"""Mistakes in a model file that would stop it from running, found all at once without running it.

    a name of the compiler that does not exist     from chainrule import Conv3D
    a name that is bound nowhere                   Dens(10)
    a call that does not fit                       Conv2D(32, kernel=3)

Each is reported with its place, and the tree is changed so that a placeholder takes the place of what is
missing.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from compiler.errors import Problem, Span, lines_of
from compiler.language.layers.base import Placeholder

FACES = ("chainrule", "compiler")
"""The packages that model files import from: the same names. A file that has the second may go on with it."""
_MAKER = "__chainrule_placeholder__"


def prescan(tree: ast.Module, source: str, file: str) -> tuple[list[Problem], dict[str, object]]:
    """The problems of a file's names and calls, and what must be defined before it runs.

    Changes `tree`: a name that cannot be imported is taken out, a call that does not fit makes a
    placeholder instead.
    """
    scan = _Scan(source, file)
    scan.imports(tree)
    scan.unbound_names(tree)
    _Calls(scan).visit(tree)
    ast.fix_missing_locations(tree)
    return scan.problems, {**scan.placeholders, _MAKER: Placeholder}


Placed = ast.expr | ast.alias | ast.keyword
"""What has a place in the file."""


class _Scan:
    """What was found in one file. `known` maps the file's names to what they are imported as."""

    def __init__(self, source: str, file: str):
        self.lines, self.file = lines_of(source), file
        self.problems: list[Problem] = []
        self.placeholders: dict[str, object] = {}
        self.known: dict[str, object] = {}

    def report(self, node: Placed, message: str, *, width: int = 0, **details: str | None) -> None:
        line = self.lines[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode())
        stripped = line.lstrip()
        indent = " " * (column - (len(line) - len(stripped)))
        excerpt = f"    {stripped.rstrip()}\n    {indent}{'^' * max(width, 1)}"
        self.problems.append(
            Problem(message, Span(self.file, node.lineno, column + 1), excerpt=excerpt, **details)
        )

    def imports(self, tree: ast.Module) -> None:
        """Check what is imported from the compiler, and take out what it does not have."""
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.level:
                continue
            if node.module is None or not _is_ours(node.module):
                continue
            module = importlib.import_module(node.module)
            for alias in list(node.names):
                name = alias.asname or alias.name
                if alias.name == "*":
                    self.known |= {public: getattr(module, public) for public in _public(module)}
                elif hasattr(module, alias.name):
                    self.known[name] = getattr(module, alias.name)
                else:
                    advice = _close(alias.name, _public(module))
                    self.report(
                        alias, f"{node.module} has no {alias.name}", width=len(alias.name), advice=advice
                    )
                    self.placeholders[name] = Placeholder(alias.name.lower())
                    node.names.remove(alias)
            if not node.names:
                # An import of nothing is not valid; importing an attribute that always exists is harmless.
                node.names.append(ast.alias("__name__", "__chainrule_nothing__"))

    def unbound_names(self, tree: ast.Module) -> None:
        """Report each name that nothing in the file binds, where it first occurs."""
        bound = set(_bound_names(tree)) | set(self.placeholders) | set(self.known) | set(dir(builtins))
        if _imports_everything(tree):
            return
        compiler = importlib.import_module("compiler")
        public = compiler.__all__
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
                advice = _close(node.id, {*public, *(name for name in bound if not hasattr(builtins, name))})
                if node.id in public:
                    advice = f"from {_face(tree)} import {node.id}"
                    self.known[node.id] = getattr(compiler, node.id)
                self.report(node, f"the name {node.id} is not defined", width=len(node.id), advice=advice)
                self.placeholders[node.id] = self.known.get(node.id, Placeholder(node.id.lower()))
                bound.add(node.id)


class _Calls(ast.NodeTransformer):
    """Checks every call of a name that is imported from the compiler against its signature."""

    def __init__(self, scan: _Scan):
        self.scan = scan

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name):
            return node
        name, target = node.func.id, self.scan.known.get(node.func.id)
        spread = any(isinstance(a, ast.Starred) for a in node.args) or any(
            k.arg is None for k in node.keywords
        )
        if target is None or not callable(target) or spread or not self.misfits(node, name, target):
            return node
        maker = ast.Name(_MAKER, ast.Load())
        call = ast.Call(maker, [ast.Constant(name.lower())], [])
        return ast.copy_location(call, node)

    def misfits(self, node: ast.Call, name: str, target: Callable[..., object]) -> bool:
        """Reports what does not fit, and says whether anything does not."""
        signature = _signature(target)
        parameters = signature.parameters
        before = len(self.scan.problems)
        named = {given.arg: given for given in node.keywords if given.arg is not None}
        shown = f"{name}{_signature_text(parameters.values())}"
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        for argument, given in ({} if takes_any else named).items():
            if argument not in parameters or _is_variadic(parameters[argument]):
                advice = _close(argument, [p for p in parameters if not _is_variadic(parameters[p])])
                message = f"{name} has no argument {argument}"
                self.scan.report(given, message, width=len(argument), expected=shown, advice=advice)
        if len(self.scan.problems) == before:
            try:
                signature.bind(*node.args, **{argument: given.value for argument, given in named.items()})
            except TypeError as error:
                shown = f"{name}{_signature_text(parameters.values(), by_name='*')}"
                self.scan.report(node, f"{name}: {error}", width=len(name), expected=shown)
        return len(self.scan.problems) > before


def _signature(target: Callable[..., object]) -> inspect.Signature:
    """What a person may write: of a description, not the fields that the compiler fills."""
    signature = inspect.signature(target)
    fields = dataclasses.fields(target) if dataclasses.is_dataclass(target) else ()
    own = {field.name for field in fields if not field.repr}
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name not in own])


def _signature_text(parameters: Iterable[inspect.Parameter], by_name: str = "") -> str:
    """The arguments as a person would write them: `(filters, kernel_size, stride=1, …)`.

    `by_name`, if any, stands before those that are given by name alone."""
    shown = []
    for parameter in parameters:
        if by_name and parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            shown.append(by_name)
            by_name = ""
        if _is_variadic(parameter):
            stars = "**" if parameter.kind is inspect.Parameter.VAR_KEYWORD else "*"
            shown.append(f"{stars}{parameter.name}")
        elif parameter.default is inspect.Parameter.empty:
            shown.append(parameter.name)
        else:
            shown.append(f"{parameter.name}={parameter.default!r}")
    return f"({', '.join(shown)})"


def _is_variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _is_ours(module: str | None) -> bool:
    """Whether this is a module of the compiler that exists; another is an error when the file runs."""
    if module is None or module.split(".")[0] not in FACES:
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _face(tree: ast.Module) -> str:
    """The package that this file imports names from: the first of them, unless it uses the other alone."""
    used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return next((face for face in FACES if face in used), FACES[0])


def _public(module: ModuleType) -> list[str]:
    names = [name for name in vars(module) if not name.startswith("_")]
    return list(getattr(module, "__all__", names))


def _close(name: str, known: Iterable[str]) -> str | None:
    known = sorted(known)
    exact = [other for other in known if other.lower() == name.lower()]
    close = exact or difflib.get_close_matches(name, known, n=1)
    return close[0] if close else None


def _imports_everything(tree: ast.Module) -> bool:
    """Whether another module's names are imported wholesale, so that nothing can be said about names."""
    return any(
        isinstance(node, ast.ImportFrom)
        and not _is_ours(node.module)
        and any(a.name == "*" for a in node.names)
        for node in ast.walk(tree)
    )


def _bound_names(tree: ast.Module) -> Iterator[str]:
    """Every name that is bound anywhere in the file, in whatever scope, and the module's own."""
    yield from ("__file__", "__name__", "__doc__")
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name.split(".")[0] for alias in names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.ExceptHandler(name=str() as name):
                yield name
            case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name):
                yield name
            case ast.MatchMapping(rest=str() as name):
                yield name
