"""Writing a file so that at every moment its name leads to the whole old contents or the whole new ones.

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
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed and so needs no lock
    fcntl = None

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a binary file that takes the name `path` only when the block ends without an exception.

    Missing parent directories are created. A symbolic link is followed, so that the link survives.
    Whatever happens inside the block (full disk, Ctrl-C, kill), an existing file at `path` stays as it was.
    A temporary file left behind by a killed process is removed by the next write to the same path.

    Raises OSError.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target)
    temporary, handle = _open_temporary(target)
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            if fcntl:  # renamed while still locked, so that nobody takes it for abandoned
                os.replace(temporary, target)
        if not fcntl:
            os.replace(temporary, target)
        _sync_directory(target.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):  # it is gone when it was renamed
            os.unlink(temporary)


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


def _open_temporary(target: Path) -> tuple[Path, BinaryIO]:
    """A new, locked, empty temporary file beside `target`."""
    while True:
        temporary = target.parent / f".{target.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        handle = open(temporary, "xb")  # noqa: SIM115 - the caller closes it
        if fcntl is None:
            return temporary, handle
        with contextlib.suppress(OSError):  # some network file systems have no locks: do without
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle.fileno()).st_nlink:
            return temporary, handle
        handle.close()  # another writer took it for abandoned before it was locked


def _sync_directory(directory: Path) -> None:
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
