"""Running a user's code so that it leaves nothing behind in this process but what it returns.

Standard output belongs to the results of a command: what a model file prints goes to standard error. Its
neighbours can be imported, and no longer afterwards, for two files in two folders may each have a
`layers.py`. Settings of the process, such as its folder and its signal handlers, are put back.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib.machinery
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from runtime.signals import Stopped

PROTECTED = frozenset(
    (
        *sys.stdlib_module_names,
        "chainrule",
        "compiler",
        "runtime",
        "numpy",
        "sympy",
        "mpmath",
        "Cython",
        "jinja2",
        "markupsafe",
    )
)
"""What no neighbour of a model file can stand in for: the compiler imports these while the file runs."""


@contextlib.contextmanager
def isolated(folder: Path) -> Iterator[None]:
    """A block of user's code; modules in `folder` can be imported in it. What the block raises passes."""
    with contextlib.ExitStack() as stack:
        for part in (
            _interpreter,
            _settings,
            _environment,
            _working_folder,
            _signals,
            warnings.catch_warnings,
        ):
            stack.enter_context(part())
        if numpy := sys.modules.get("numpy"):
            stack.enter_context(numpy.errstate())
        stack.enter_context(_neighbours(folder))
        stack.enter_context(printing_to_stderr())
        yield


@contextlib.contextmanager
def printing_to_stderr() -> Iterator[TextIO]:
    """What is written to standard output goes to standard error, by Python or by anything else.

    Gives a file that still leads to standard output.
    """
    output, streams = sys.stdout, (sys.stdout, sys.__stdout__)
    _flush(streams)
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of the two is closed: there is nothing to keep apart
        with contextlib.redirect_stdout(sys.stderr):
            yield output
        return
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, kept)
        stack.callback(os.dup2, kept, 1)
        stack.callback(_flush, streams)
        if _is_stream(output, 1):
            beside = os.fdopen(kept, "w", encoding=output.encoding, errors="backslashreplace", closefd=False)
            output = stack.enter_context(beside)
        with contextlib.redirect_stdout(None if sys.stderr is None else _Lent(sys.stderr)):
            yield output


class _Lent:
    """A file that may be written to, and is not closed by who got it."""

    def __init__(self, file: TextIO):
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Nothing: it is somebody else's."""


def _is_stream(stream: TextIO | None, number: int) -> bool:
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):  # it lives in memory
        return False


def _flush(streams: Iterable[TextIO | None]) -> None:
    for stream in streams:
        # A program without a terminal has none, and a user's file may have closed it.
        if stream is not None and not stream.closed:
            stream.flush()


@contextlib.contextmanager
def _interpreter() -> Iterator[None]:
    """The names in `sys` and `builtins` that code likes to set, and the lists among them."""
    names = (
        *("path", "argv", "stdin", "stdout", "stderr", "meta_path", "path_hooks", "excepthook"),
        *("modules", "displayhook", "unraisablehook", "breakpointhook", "dont_write_bytecode"),
    )
    values = {name: getattr(sys, name) for name in names}
    contents = {name: list(value) for name, value in values.items() if isinstance(value, list)}
    built_in = dict(vars(builtins))
    try:
        yield
    finally:
        for name, value in values.items():
            setattr(sys, name, value)
        for name, items in contents.items():
            values[name][:] = items
        _restore(vars(builtins), built_in)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


SETTINGS: Sequence[tuple[Callable[[], Any], Callable[[Any], Any]]] = (
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.getswitchinterval, sys.setswitchinterval),
    (sys.gettrace, sys.settrace),
    (sys.getprofile, sys.setprofile),
    (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    (_umask, os.umask),
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
)
"""How to ask for a setting of the process, and how to make it."""


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    values = [ask() for ask, _ in SETTINGS]
    try:
        yield
    finally:
        for (ask, make), value in zip(SETTINGS, values, strict=True):
            if ask() != value:
                make(value)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        _restore(os.environ, before)


def _restore(values: MutableMapping[str, Any], before: Mapping[str, Any]) -> None:
    """Give a mapping its old contents, and touch only what has changed: it is in use."""
    for name in [name for name in values if name not in before]:
        del values[name]
    _restore_entries(values, before)


def _restore_entries(values: MutableMapping[str, Any], before: Mapping[str, Any]) -> None:
    for name, value in before.items():
        now = values.get(name)
        # Variables of the environment are made into text anew each time they are asked for.
        if now is not value and not (isinstance(value, str) and now == value):
            values[name] = value


@contextlib.contextmanager
def _working_folder() -> Iterator[None]:
    try:
        before = os.getcwd()
    except FileNotFoundError:  # it has been removed under us
        before = None
    try:
        yield
    finally:
        if before is not None:
            with contextlib.suppress(OSError):  # it has been removed meanwhile
                os.chdir(before)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Handlers, timers and the mask of signals. Ctrl-C raises `Stopped`, which a file cannot have raised."""
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    timer = signal.getitimer(signal.ITIMER_REAL)
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        if signal.getitimer(signal.ITIMER_REAL)[0] or timer[0]:
            signal.setitimer(signal.ITIMER_REAL, *timer)
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _interrupted(number: int, frame: object) -> None:
    raise Stopped(number)


class _Neighbours:
    """Finds modules in a folder, and remembers which."""

    def __init__(self, folder: str):
        self.folder = folder
        self.found: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is not None or name in PROTECTED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [self.folder])
        # A mere folder of that name does not stand in for a package that is installed.
        if spec is None or spec.loader is None:
            return None
        self.found.add(name)
        return spec


@contextlib.contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """The folder's modules come first, as for a script, but before none that the compiler needs."""
    finder = _Neighbours(str(folder))
    # One that is loaded already may be another folder's.
    own = _modules_in(folder) - PROTECTED
    modules = sys.modules
    before = dict(modules)
    for name in [name for name in modules if name.partition(".")[0] in own]:
        del modules[name]
    sys.path_importer_cache.pop(finder.folder, None)
    sys.meta_path.insert(0, finder)
    sys.path.append(finder.folder)
    try:
        yield
    finally:
        for name in [name for name in modules if name.partition(".")[0] in finder.found]:
            del modules[name]
        # Also those that the block has taken out, or put something else in the place of.
        _restore_entries(modules, before)


def _modules_in(folder: Path) -> frozenset[str]:
    try:
        children = list(folder.iterdir())
    except OSError:  # one may open a file in a folder that one may not list
        return frozenset()
    packages = {child.name for child in children if (child / "__init__.py").is_file()}
    return frozenset(packages | {child.stem for child in children if child.suffix == ".py"})
