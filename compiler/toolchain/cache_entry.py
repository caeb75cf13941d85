"""An entry of the cache: what it holds, and whether it is still what was written, by whom and where.

What lies there is code that will run. So an entry counts only if every byte is the one that was written, by
this user, on a machine like this one, in a folder where nobody else may write.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from pathlib import Path

from compiler.errors import ModelError, Problem
from runtime.files import open_regular, sync

MANIFEST = "manifest.json"


class Unfit(Exception):
    """Why an entry cannot be used."""


def key_of(*parts: str) -> str:
    """A hash of texts; no two lists of texts share one by accident of joining."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def check_private(folder: Path) -> None:
    """Refuse to keep code where others may put theirs, `folder` being the cache's. Raises ModelError.

    Above the cache a group is taken to be one of friends, as whole systems are set up that way.
    """
    if os.name == "nt":
        return
    ours = (folder, folder.parent)
    bad = [place for place in ours if others_may_write(place.stat())]
    bad += [place for place in folder.parent.parents if everyone_may_write(place.stat())]
    if folder.stat().st_uid != os.geteuid():
        bad.insert(0, folder)
    if bad:
        status = bad[0].stat()
        raise ModelError(
            Problem(
                f"others may write to {bad[0]}, so no code is taken from there",
                expected="a folder that only you may write to, in folders of which the same is true",
                found=f"mode {status.st_mode & 0o7777:04o}, owner {_owner(status.st_uid)}",
                advice=f"chmod go-w {bad[0]}, or set CHAINRULE_CACHE to another folder",
            )
        )


def others_may_write(status: os.stat_result) -> bool:
    """Whether the mode of a folder lets others replace what lies in it: everyone, or a group of several."""
    by_group = status.st_mode & 0o020 and not status.st_mode & stat.S_ISVTX
    return everyone_may_write(status) or bool(by_group and not _is_private(status))


def everyone_may_write(status: os.stat_result) -> bool:
    """Whether the mode of a folder lets everyone replace what lies in it.

    In a folder like /tmp, whose sticky bit is set, one may add files, but not replace those of others.
    """
    return bool(status.st_mode & 0o002) and not status.st_mode & stat.S_ISVTX


def private_folder(folder: Path) -> Path:
    """A folder of the cache, made if it is missing. Raises ModelError as `check_private`, OSError."""
    # Whatever the umask: a folder that we make ourselves is one that we accept.
    for one in reversed((folder, *folder.parents)):
        if not one.exists():
            one.mkdir(exist_ok=True, mode=0o700 if one == folder else 0o755)
    check_private(folder.resolve())
    return folder


def seal_entry(folder: Path, key: str) -> None:
    """Write down what the entry holds, and see that all of it is on disk."""
    files = {path.name: _digest(path.read_bytes()) for path in sorted(folder.iterdir())}
    manifest = {"key": key, "machine": _here(), "files": files}
    manifest["seal"] = key_of(json.dumps(manifest, sort_keys=True))
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for path in (*folder.iterdir(), folder):
        path.chmod(0o700 if path is folder else 0o600)
        sync(path)


def checked_entry(entry: Path, key: str) -> dict[str, bytes]:
    """The contents of an entry, all of it compared with its manifest. Raises Unfit."""
    try:
        status = os.lstat(entry)
        if not entry.is_dir() or entry.is_symlink():
            raise Unfit("it is not a folder")
        _check_owner(entry, status)
        found = {path.name for path in entry.iterdir()}
        manifest = json.loads(own_content(entry / MANIFEST))
        seal = manifest.pop("seal")
        files = dict(manifest["files"])
        sealed = key_of(json.dumps(manifest, sort_keys=True))
        contents = {name: own_content(entry / name) for name in files}
    except FileNotFoundError as error:
        raise Unfit(f"{Path(error.filename).name} is missing") from error
    except OSError as error:
        raise Unfit(f"it cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unfit(f"{MANIFEST} is damaged") from error
    if seal != sealed:
        raise Unfit(f"{MANIFEST} is damaged")
    if manifest["key"] != key:
        raise Unfit("it is the build of something else")
    if manifest["machine"] != _here():
        raise Unfit(f"it was built on another machine ({manifest['machine']}; this is {_here()})")
    damaged = [name for name, content in contents.items() if _digest(content) != files[name]]
    if damaged:
        raise Unfit(f"{', '.join(damaged)} is damaged")
    if extra := sorted(found - files.keys() - {MANIFEST}):
        raise Unfit(f"{', '.join(extra)} does not belong to it")
    return contents


def own_content(path: Path) -> bytes:
    """What a file holds that this user alone may write. Raises Unfit for another's, OSError."""
    if path.is_symlink():
        raise Unfit(f"{path.name} is a link")
    with open_regular(path) as handle:
        _check_owner(path, os.fstat(handle.fileno()))
        return handle.read()


def _is_private(status: os.stat_result) -> bool:
    """Whether a file's group is its owner's alone, as many systems make one for each user."""
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and not set(group.gr_mem) - {owner.pw_name}


def _owner(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _here() -> str:
    """What a shared object needs of the machine that loads it, besides what is in the key."""
    return " ".join((platform.system(), platform.machine(), *platform.libc_ver()))


def _check_owner(path: Path, status: os.stat_result) -> None:
    if os.name != "nt" and status.st_uid != os.geteuid():
        raise Unfit(f"{path.name} belongs to {_owner(status.st_uid)}")
    if os.name != "nt" and status.st_mode & 0o022:
        raise Unfit(f"others may write to {path.name}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
