"""A content-addressed store of built modules: the key is a hash of all that the result depends on.

An entry is made in a folder of its own and renamed into place, so that an interrupted build leaves nothing
half-done, and of two builds of one thing at once both finish and one is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

KEEP = 64
"""Entries kept; the ones not used for longest are removed."""


def cache_root() -> Path:
    """`CHAINRULE_CACHE`, else the platform's folder for caches."""
    chosen = os.environ.get("CHAINRULE_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "chainrule"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "chainrule" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chainrule"


def key_of(*parts: str) -> str:
    """A hash of texts; no two lists of texts share one by accident of joining."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def compiler_digest() -> str:
    """A hash of the compiler's own sources and templates: a changed compiler reuses nothing."""
    root = Path(__file__).parent
    files = sorted(p for p in root.rglob("*") if p.suffix in (".py", ".jinja"))
    return key_of(*(f"{p.relative_to(root)}\n{p.read_text()}" for p in files))


def fetch(key: str, build: Callable[[Path], None]) -> tuple[Path, bool]:
    """The folder of entry `key`, and whether it was there already; `build(folder)` fills a new one."""
    modules = cache_root() / "modules"
    entry = modules / key
    if entry.is_dir():
        with contextlib.suppress(OSError):
            os.utime(entry)
        return entry, True
    modules.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(modules) as folder:
        build(folder)
        with contextlib.suppress(OSError):
            # Someone else may have built the same thing meanwhile: theirs is as good as ours.
            os.rename(folder, entry)
    if not entry.is_dir():
        raise OSError(f"could not store a built module in {entry}")
    _forget_oldest(modules)
    return entry, False


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_oldest(modules: Path) -> None:
    def last_use(path: Path) -> float:
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
        return 0.0

    entries = sorted((p for p in modules.iterdir() if not p.name.startswith(".")), key=last_use)
    for old in entries[: max(0, len(entries) - KEEP)]:
        shutil.rmtree(old, ignore_errors=True)


def install(source: Path, target: Path) -> None:
    """Copy a file into place in one step: whoever reads `target` sees the old file or the new one."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(source.read_bytes())
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        # Ctrl-C and a full disk included: what was there before stays, and nothing is left lying about.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
