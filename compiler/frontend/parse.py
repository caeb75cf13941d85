"""A model file -> its `Model`, or every problem of the file at once.

A model file is Python code, and loading it runs it: load only files that you would run. Before it runs, the
file is read for mistakes that would stop it (see prescan.py); what they touch is replaced by placeholders,
so that the rest is still checked.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import io
import os
import sys
import tokenize
import traceback
import types
from pathlib import Path

from compiler.errors import ModelError, Problem, Span
from compiler.frontend.isolation import isolated
from compiler.frontend.prescan import prescan
from compiler.language.description import Model, module_name
from runtime.files import kind_of, open_regular
from runtime.signals import Stopped

LONGEST_SOURCE = 2**20
"""Bytes. Reading Python takes a hundred times the memory of its text, and no model needs so much."""
LONGEST_EXPRESSION = 50_000
"""Tokens of one logical line that Python 3.10 reads without harm."""


def load_model(path: str | Path) -> Model:
    """The model that the file at `path` describes: its variable `model`, or the only Model in it.

    A model without a name gets the file's. Raises ModelError with all problems: of the file itself, of
    names and calls in it, of its layers' arguments and shapes.
    """
    path = Path(path)
    source = _source_of(path)
    folder = path.resolve().parent
    try:
        tree = _syntax_tree(source, path)
        found, placeholders = prescan(tree, source, str(path))
    except (RecursionError, MemoryError) as error:
        raise ModelError(
            Problem(
                f"{path} is nested more deeply than Python can follow",
                found=str(error),
                advice="a loop, or a list of values instead of one long expression",
            )
        ) from None
    problems = list(found)
    with isolated(folder):
        namespace = _run(tree, path, placeholders, problems)
    model = _model_in(namespace, path, problems)
    if model is not None:
        with isolated(folder), _UserCode(path, problems):
            problems += model.problems
            if not problems:
                # Asks initializers and regularizers, which may be the file's own, for their constants.
                model.fingerprint()
    if problems or model is None:
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
        if not path.is_file():
            raise ModelError(
                Problem(f"{path} is {kind_of(path.stat())}", expected="a Python file with a model in it")
            )
        with open_regular(path) as handle:
            text = handle.read(LONGEST_SOURCE + 1)
            size = os.fstat(handle.fileno()).st_size
    except OSError as error:
        raise ModelError(Problem(f"{path} cannot be read: {error.strerror}")) from None
    if len(text) > LONGEST_SOURCE:
        raise ModelError(
            Problem(
                f"{path} is too long for a model file",
                expected=f"at most {LONGEST_SOURCE:,} bytes",
                found=f"{size:,} bytes",
            )
        )
    return _decoded(text, path)


def _decoded(text: bytes, path: Path) -> str:
    """The text as Python would read it: with the encoding that its first lines or a byte order mark name."""
    try:
        return importlib.util.decode_source(text)
    except UnicodeDecodeError:
        expected = "Python source in UTF-8, or in the encoding that its first line names"
        raise ModelError(Problem(f"{path} is not a text file", expected=expected)) from None
    except SyntaxError as error:
        raise ModelError(Problem(f"Python cannot read this: {error.msg}", Span(str(path), 1))) from None


def _check_longest_expression(source: str, path: Path) -> None:
    """Python 3.10 overflows its stack over sums of which later ones say that they are nested too deeply."""
    if sys.version_info >= (3, 11):
        return
    tokens = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            tokens = 0 if token.type == tokenize.NEWLINE else tokens + 1
            if tokens > LONGEST_EXPRESSION:
                raise ModelError(
                    Problem("this is too long for one line of Python", Span(str(path), token.start[0]))
                )
    except (tokenize.TokenError, SyntaxError):
        return  # what is wrong, the parser says better


def _syntax_tree(source: str, path: Path) -> ast.Module:
    _check_longest_expression(source, path)
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
    """The file's names after running it."""
    module = types.ModuleType(f"chainrule_model_{path.stem}")
    module.__file__ = str(path)
    module.__dict__.update(placeholders)
    # Dataclasses look their module up by name, and so does pickling.
    sys.modules[module.__name__] = module
    try:
        with _UserCode(path, problems):
            exec(compile(tree, str(path), "exec"), module.__dict__)
    finally:
        sys.modules.pop(module.__name__, None)
    return dict(module.__dict__)


class _UserCode:
    """Runs code of the user's: whatever it raises becomes a problem that says where, but for a real Ctrl-C.

    An error after problems that are already known is likely to be their consequence, and is left out.
    """

    def __init__(self, path: Path, problems: list[Problem]):
        self.path, self.problems = path, problems

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool:
        if error is None or isinstance(error, Stopped):
            return False
        if isinstance(error, ModelError):
            self.problems += error.problems
        elif isinstance(error, SystemExit):
            self.problems.append(
                Problem("the file ends the program", self.span(trace), found=f"exit({error.code!r})")
            )
        elif not self.problems:
            words = _words(error)
            message = f"running the file raised {type(error).__name__}" + (f": {words}" if words else "")
            self.problems.append(Problem(message, self.span(trace)))
        return True

    def span(self, trace: types.TracebackType | None) -> Span:
        """The innermost line of the user's file that was running."""
        frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == str(self.path)]
        return Span(str(self.path), (frames[-1].lineno if frames else None) or 1)


def _words(error: BaseException) -> str:
    """The text of an exception; its class may be the user's, and unable to say anything."""
    return str(traceback.TracebackException(type(error), error, None))


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
    return chosen if chosen.name is not None else chosen.named(module_name(path))


def _in_file_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda p: (p.span.line, p.span.column) if p.span else (0, 0))
