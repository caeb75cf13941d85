"""Writing a file so that at every moment its name leads to the whole old contents or the whole new ones.

Also: several files that change together or not at all; trying a folder before work is spent on what goes
there; and opening what is a file, and not a pipe or a device that blocks or never ends.

The order is what makes it true, also when the power fails: write a temporary file in the same directory,
fsync it (the bytes are on disk), rename it over the target (atomic in POSIX), fsync the directory (the
rename is on disk). See Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from runtime.signals import held

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed and so needs no lock
    fcntl = None

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name `path` only when the block ends without an exception.

    Missing parent directories are created. A symbolic link is followed, so that the link survives; an
    existing file's mode and owner are kept. Whatever happens inside the block (full disk, Ctrl-C, kill), an
    existing file at `path` stays as it was. A temporary file left behind by a killed process is removed by
    the next write to the same path.

    Raises OSError, also where `path` is a folder, a device or a pipe.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target)
    with _temporary_beside(target) as (temporary, handle):
        yield handle
        handle.flush()
        os.fsync(handle.fileno())
        if not fcntl:
            handle.close()
        os.replace(temporary, target)  # while still locked, so that nobody takes it for abandoned
        sync(target.parent)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Give all these files, of one folder, their new contents, or none of them; equal ones are left alone.

    Everything is written and synced before the first name changes. Should a later name refuse to change, the
    earlier ones get their old contents back. Raises OSError.
    """
    changed = {
        Path(os.path.realpath(path)): content
        for path, content in contents.items()
        if not path.is_file() or path.read_bytes() != content
    }
    with contextlib.ExitStack() as stack:
        ready = {target: stack.enter_context(_synced(target, content)) for target, content in changed.items()}
        # A signal that comes between two names waits until both are changed.
        stack.enter_context(held())
        undo: list[tuple[Path, Path | None]] = []
        try:
            for target, temporary in ready.items():
                old = stack.enter_context(_second_name(target))
                os.replace(temporary, target)
                undo.append((target, old))
            for folder in {target.parent for target in ready}:
                sync(folder)
        except OSError:
            for target, old in reversed(undo):
                if old is None:
                    target.unlink()
                else:
                    os.replace(old, target)
            raise


@contextlib.contextmanager
def _synced(target: Path, content: bytes) -> Iterator[Path]:
    """A temporary file beside `target` that holds `content`, on disk; gone afterwards unless renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target)
    with _temporary_beside(target) as (temporary, handle):
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
        if not fcntl:
            handle.close()
        yield temporary


@contextlib.contextmanager
def _second_name(target: Path) -> Iterator[Path | None]:
    """Another name for the file at `target`, by which it can be brought back; None where there is none."""
    if not target.exists():
        yield None
        return
    second = target.parent / f".{target.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        try:
            os.link(target, second)
        except OSError:
            # Some file systems have no hard links: a copy does as well.
            shutil.copy2(target, second)
        yield second
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(second)


@contextlib.contextmanager
def folder_made(folder: Path) -> Iterator[None]:
    """Make a folder for what the block puts there. Raises OSError.

    Where the block ends with an exception, the folders that were made and hold nothing are gone again.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for one in missing:
            with contextlib.suppress(OSError):  # it was not made, or another has put something there
                one.rmdir()
        raise


def try_folder(target: Path, size: int) -> None:
    """Find out, before work is spent, whether a file `target` of `size` bytes can be written. Raises OSError.

    The folder is made if it is missing; nothing else stays.
    """
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_beside(target) as (_, handle):
        handle.write(b"\0")
        handle.flush()
        # What the disk promises is there; a file of holes would promise nothing.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle.fileno(), 0, max(size, 1))


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open for reading what is a file. Raises OSError, also for a folder, a pipe, a device or a socket."""
    # Before it is opened, since opening a device may do something; and after, since it may have changed.
    _check_regular(path, os.stat(path))
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def kind_of(status: os.stat_result) -> str:
    """What lies under a name, in words."""
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((words for matches, words in kinds if matches(status.st_mode)), "a device")


def _check_regular(path: str | os.PathLike, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"it is {kind_of(status)} and not a regular file", os.fspath(path))


def remove_abandoned(target: Path) -> None:
    """Remove temporary files for `target` whose writer is no longer alive.

    A living writer holds a lock on its temporary file; the kernel drops the lock when the writer dies.
    """
    for temporary in target.parent.glob(f".{glob.escape(target.name)}.*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):  # locked, or just renamed by its writer, or not ours to remove
            if fcntl is None:
                temporary.unlink()
                continue
            with open(temporary, "r+b") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temporary.unlink()


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `target`, which is gone at the end unless it was renamed."""
    temporary = None
    try:
        with held():  # a signal before we know its name would leave it there
            temporary, handle = _open_temporary(target)
        with handle:
            yield temporary, handle
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def _open_temporary(target: Path) -> tuple[Path, BinaryIO]:
    """A new, locked, empty temporary file beside `target`, with the mode and owner of what is there."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        old = None
    if old is not None:
        _check_regular(target, old)
    while True:
        temporary = target.parent / f".{target.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        handle = open(temporary, "xb")  # noqa: SIM115 - the caller closes it
        if fcntl is None:
            return temporary, handle
        with contextlib.suppress(OSError):  # some network file systems have no locks: do without
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle.fileno()).st_nlink:
            if old is not None:
                # Where another's file may be replaced but not given away, or where there are no modes.
                with contextlib.suppress(OSError):
                    os.fchown(handle.fileno(), old.st_uid, old.st_gid)
                with contextlib.suppress(OSError):
                    os.fchmod(handle.fileno(), stat.S_IMODE(old.st_mode))
            return temporary, handle
        handle.close()  # another writer took it for abandoned before it was locked


def sync(directory: Path) -> None:
    """Put what a folder lists, or a file holds, on the disk. Raises OSError where that fails."""
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot sync a directory and say so: the rename is still atomic there.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
