"""A content-addressed store of built modules: the key is a hash of all that the result depends on.

An entry is made in a folder of its own, synced, and renamed into place, so that an interrupted build leaves
nothing half-done, and of two builds of one thing at once both finish and one is kept. An entry that is not
what was written (see compiler/toolchain/cache_entry.py) is said to be so, and built again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from compiler.toolchain.cache_entry import Unfit, checked_entry, key_of, private_folder, seal_entry
from runtime.cache_folder import cache_folder
from runtime.files import sync, try_folder
from runtime.signals import held

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # in the place of a module

KEEP = 64
"""Entries kept; the ones not used for longest are removed."""
BUILDING = ".building-"
ROOM = 2**22
"""Bytes that a build needs at least, for its sources and its result."""


def compiler_digest() -> str:
    """A hash of the compiler's own sources and templates: a changed compiler reuses nothing."""
    root = Path(__file__).parents[1]
    files = sorted(p for p in root.rglob("*") if p.suffix in (".py", ".jinja"))
    return key_of(*(f"{p.relative_to(root)}\n{p.read_text(encoding='utf-8')}" for p in files))


def fetch(
    key: str, build: Callable[[Path], None], said: Callable[[str], None] = lambda text: None
) -> tuple[dict[str, bytes], bool]:
    """The files of entry `key` by name, and whether they were there already; `build(folder)` makes new ones.

    `said` is told of an entry that was there and cannot be used. Raises ModelError where others may write to
    the store, OSError where it cannot be written.
    """
    modules = private_folder(cache_folder() / "modules")
    _sweep(modules)
    entry = modules / key
    if os.path.lexists(entry):
        try:
            files = checked_entry(entry, key)
        except Unfit as reason:
            said(f"the cached build {entry} cannot be used, it is built again: {reason}")
        else:
            with contextlib.suppress(OSError):
                os.utime(entry)
            return files, True
    try_folder(modules / "room", ROOM)
    with _building(modules) as folder:
        build(folder)
        seal_entry(folder, key)
        files = checked_entry(folder, key)
        _put(folder, entry, key)
    _forget_oldest(modules)
    return files, False


def _put(folder: Path, entry: Path, key: str) -> None:
    """Give a finished folder its name. Someone else may have built the same meanwhile: theirs is as good."""
    if os.path.lexists(entry):
        try:
            checked_entry(entry, key)
            return
        except Unfit:
            _remove(entry)
    try:
        os.rename(folder, entry)
    except OSError:
        if not entry.is_dir():
            raise
    sync(entry.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def _building(modules: Path) -> Iterator[Path]:
    """A folder to build in, locked as long as its builder lives."""
    folder = lock = None
    try:
        with held():  # a signal before we know its name would leave it there
            folder, lock = _locked_folder(modules)
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder(modules: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=BUILDING, dir=modules))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = _lock(folder)
            if lock is None or _is_still(folder, lock):
                return folder, lock
            os.close(lock)
        # Another process took it for a leftover before it was locked.


def _lock(folder: Path) -> int | None:
    """Lock a folder, as long as the number that is returned is open; None if that cannot be.

    The kernel lets go of the lock when its owner dies. Raises BlockingIOError if its owner lives.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some network file systems have no locks: do without
        os.close(descriptor)
        return None
    return descriptor


def _is_still(folder: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(lock))
    except FileNotFoundError:
        return False


def _sweep(modules: Path) -> None:
    """Remove the folders of builds that were killed."""
    for folder in modules.glob(f"{BUILDING}*"):
        with contextlib.suppress(OSError):  # its builder lives, or it is gone already
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _forget_oldest(modules: Path) -> None:
    def last_use(path: Path) -> float:
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
        return 0.0

    entries = sorted((p for p in modules.iterdir() if not p.name.startswith(".")), key=last_use)
    for old in entries[: max(0, len(entries) - KEEP)]:
        shutil.rmtree(old, ignore_errors=True)
