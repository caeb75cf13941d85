"""A model file -> its `Model`, or every problem of the file at once.

A model file is Python code, and loading it runs it: load only files that you would run. Before it runs, the
file is read for mistakes that would stop it (see compiler/prescan.py); what they touch is replaced by
placeholders, so that the rest is still checked.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import sys
import traceback
import types
from pathlib import Path

from compiler.description import Model
from compiler.errors import ModelError, Problem, Span
from compiler.prescan import prescan


def load_model(path: str | Path) -> Model:
    """The model that the file at `path` describes: its variable `model`, or the only Model in it.

    A model without a name gets the file's. Raises ModelError with all problems: of the file itself, of
    names and calls in it, of its layers' arguments and shapes.
    """
    path = Path(path)
    source = _source_of(path)
    tree = _syntax_tree(source, path)
    found, placeholders = prescan(tree, source, str(path))
    problems = list(found)
    namespace = _run(tree, path, placeholders, problems)
    model = _model_in(namespace, path, problems)
    if model is not None:
        with _UserCode(path, problems):
            problems += model.problems
    if problems:
        raise ModelError(*_in_file_order(problems))
    return model


def _source_of(path: Path) -> str:
    if path.is_dir():
        raise ModelError(Problem(f"{path} is a directory", expected="a Python file with a model in it"))
    if not path.exists():
        known = sorted(str(other) for other in path.parent.glob("*.py")) if path.parent.is_dir() else []
        close = difflib.get_close_matches(str(path), known, n=1)
        advice = str(path) + ".py" if str(path) + ".py" in known else close[0] if close else None
        raise ModelError(
            Problem(f"there is no file {path}", expected="a Python file with a model in it", advice=advice)
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ModelError(Problem(f"{path} is not a text file", expected="Python source in UTF-8")) from None
    except OSError as error:
        raise ModelError(Problem(f"{path} cannot be read: {error.strerror}")) from None


def _syntax_tree(source: str, path: Path) -> ast.Module:
    try:
        return ast.parse(source, filename=str(path))
    except SyntaxError as error:
        span = Span(str(path), error.lineno or 1, error.offset or 0)
        raise ModelError(
            Problem(f"Python cannot read this: {error.msg}", span, excerpt=_excerpt(error))
        ) from None
    except ValueError as error:
        raise ModelError(Problem(f"Python cannot read {path}: {error}")) from None


def _excerpt(error: SyntaxError) -> str | None:
    if not error.text:
        return None
    return f"    {error.text.rstrip()}\n    {' ' * max((error.offset or 1) - 1, 0)}^"


def _run(
    tree: ast.Module, path: Path, placeholders: dict[str, object], problems: list[Problem]
) -> dict[str, object]:
    """The file's names after running it. The file may import its neighbours."""
    module = types.ModuleType(f"chainrule_model_{path.stem}")
    module.__file__ = str(path)
    module.__dict__.update(placeholders)
    # Dataclasses look their module up by name, and so does pickling.
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with _UserCode(path, problems):
            exec(compile(tree, str(path), "exec"), module.__dict__)
    finally:
        sys.path.remove(str(path.resolve().parent))
        del sys.modules[module.__name__]
    return dict(module.__dict__)


class _UserCode:
    """Runs code of the user's: whatever error it raises becomes a problem that says where.

    An error after problems that are already known is likely to be their consequence, and is left out.
    """

    def __init__(self, path: Path, problems: list[Problem]):
        self.path, self.problems = path, problems

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> bool:
        if isinstance(error, ModelError):
            self.problems += error.problems
        elif isinstance(error, SystemExit):
            self.problems.append(
                Problem("the file ends the program", self.span(trace), found=f"exit({error.code!r})")
            )
        elif isinstance(error, Exception):
            if not self.problems:
                message = f"running the file raised {kind.__name__}" + (f": {error}" if str(error) else "")
                self.problems.append(Problem(message, self.span(trace)))
        else:
            return error is None
        return True

    def span(self, trace) -> Span:
        """The innermost line of the user's file that was running."""
        lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == str(self.path)]
        return Span(str(self.path), lines[-1] if lines else 1)


def _model_in(namespace: dict[str, object], path: Path, problems: list[Problem]) -> Model | None:
    models = {name: value for name, value in namespace.items() if isinstance(value, Model)}
    chosen = namespace.get("model")
    if not isinstance(chosen, Model):
        distinct = list({id(model): model for model in models.values()}.values())
        if len(distinct) > 1:
            found = ", ".join(sorted(models))
            problems.append(
                Problem(f"{path} has several models", expected="one of them called model", found=found)
            )
            return None
        chosen = distinct[0] if distinct else None
    if chosen is None:
        if not problems:
            expected = "model = Sequential([…], loss=…, optimizer=…)"
            problems.append(Problem(f"there is no model in {path}", expected=expected))
        return None
    return chosen if chosen.name is not None else chosen.named(_module_name(path))


def _module_name(path: Path) -> str:
    """The file's stem, made a name that a module can have."""
    name = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in path.stem)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"model_{name}"


def _in_file_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0))
