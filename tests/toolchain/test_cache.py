"""The store of built modules: an entry that is not what was written is found out, said, and built again."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from compiler.errors import ModelError
from compiler.toolchain import cache, cache_entry
from compiler.toolchain.cache_entry import MANIFEST, everyone_may_write, key_of, others_may_write
from compiler.toolchain.compile_file import Options, compile_file
from compiler.toolchain.doctor import findings
from tests.workshop import SMALL

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes and links")
FILES = {"net.pyx": b"text" * 100, "net.so": bytes(range(256)) * 20, "facts.json": b"{}"}
KEY = key_of("an entry")


class Store:
    """A cache of one entry, and what was said about it."""

    def __init__(self, folder: Path):
        self.modules = folder / "modules"
        self.entry = self.modules / KEY
        self.builds = 0
        self.said: list[str] = []

    def fetch(self, key: str = KEY) -> bool:
        """Whether the entry was there; what comes out is right in any case."""
        files, cached = cache.fetch(key, self.build, self.said.append)
        assert files == FILES
        return cached

    def build(self, folder: Path) -> None:
        self.builds += 1
        for name, content in FILES.items():
            (folder / name).write_bytes(content)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "cache")
    assert not store.fetch()
    assert store.fetch() and store.builds == 1 and store.said == []
    return store


def cut(entry: Path) -> None:
    os.truncate(entry / "net.so", 1000)


def empty(entry: Path) -> None:
    (entry / "net.so").write_bytes(b"")


def longer(entry: Path) -> None:
    (entry / "net.pyx").write_bytes(FILES["net.pyx"] + b"\n")


def incomplete(entry: Path) -> None:
    (entry / "facts.json").unlink()


def without_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()


def with_more(entry: Path) -> None:
    (entry / "numpy.so").write_bytes(b"")


def hollow(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.mkdir(mode=0o700)


def a_file(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_bytes(b"")


def a_link(entry: Path) -> None:
    entry.rename(entry.parent / ".elsewhere")
    entry.symlink_to(entry.parent / ".elsewhere")


def a_link_inside(entry: Path) -> None:
    (entry / "net.so").rename(entry.parent / ".elsewhere")
    (entry / "net.so").symlink_to(entry.parent / ".elsewhere")


def a_pipe(entry: Path) -> None:
    (entry / "net.so").unlink()
    os.mkfifo(entry / "net.so")


def open_to_others(entry: Path) -> None:
    (entry / "net.so").chmod(0o666)


def a_folder_open_to_others(entry: Path) -> None:
    entry.chmod(0o777)


def sealed_anew(entry: Path, **changes: object) -> None:
    manifest = json.loads((entry / MANIFEST).read_text()) | changes
    del manifest["seal"]
    manifest["seal"] = key_of(json.dumps(manifest, sort_keys=True))
    (entry / MANIFEST).write_text(json.dumps(manifest))


def of_another_machine(entry: Path) -> None:
    sealed_anew(entry, machine="Linux riscv64 glibc 2.17")


def of_something_else(entry: Path) -> None:
    sealed_anew(entry, key=key_of("another"))


def odd_manifest(entry: Path) -> None:
    (entry / MANIFEST).write_text('{"seal": [[], {}], "files": 3}')


DAMAGES = (cut, empty, longer, incomplete, without_manifest, with_more, hollow, a_file, odd_manifest)
DAMAGES += (of_another_machine, of_something_else)
POSIX_DAMAGES = (a_link, a_link_inside, a_pipe, open_to_others, a_folder_open_to_others)


@posix
@pytest.mark.parametrize("damage", DAMAGES + POSIX_DAMAGES, ids=lambda damage: damage.__name__)
def test_an_entry_that_is_not_what_was_written(damage: Callable[[Path], None], store: Store) -> None:
    damage(store.entry)
    assert not store.fetch(), "it was used"
    assert store.builds == 2
    assert len(store.said) == 1 and str(store.entry) in store.said[0] and "built again" in store.said[0]
    assert store.fetch() and len(store.said) == 1, "the new one is good"


@posix
def test_an_entry_of_another_user(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from another user: the owner is asked for, root or not."""
    status, owner = os.lstat(store.entry), os.geteuid()
    foreign = SimpleNamespace(st_uid=owner + 1, st_mode=status.st_mode)
    with pytest.raises(cache_entry.Unfit, match="belongs to"):
        cache_entry._check_owner(store.entry, foreign)
    if owner == 0:
        os.chown(store.entry / "net.so", 12345, 12345)
        assert not store.fetch() and "belongs to 12345" in store.said[0]
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ModelError, match="no code is taken"):
        store.fetch()


@pytest.mark.parametrize("cases", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_any_changed_byte_is_found_out(cases: int, store: Store) -> None:
    draw = random.Random(0)
    names = [*FILES, MANIFEST]
    for case in range(cases):
        path = store.entry / draw.choice(names)
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        same = path.name == MANIFEST and same_meaning(bytes(content), path.read_bytes())
        path.write_bytes(content)
        assert store.fetch() is same, (case, path.name)


def same_meaning(one: bytes, other: bytes) -> bool:
    """White space between what JSON says may be another."""
    with contextlib.suppress(ValueError):
        return json.loads(one) == json.loads(other)
    return False


def test_entries_are_synced_before_they_get_their_name(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        calls.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    def renamed(old: Path, new: Path) -> None:
        calls.append(("rename", Path(new).name))
        rename(old, new)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("asks /proc for the names of open files")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    assert not store.fetch(key_of("another"))
    names = [name for kind, name in calls[: calls.index(("rename", key_of("another")))] if kind == "fsync"]
    assert {*FILES, MANIFEST} <= set(names) and names[-1].startswith(cache.BUILDING)
    assert calls[-1] == ("fsync", "modules")


@posix
def test_leftovers_of_killed_builds_are_swept_and_running_ones_are_not(store: Store) -> None:
    dead = store.modules / f"{cache.BUILDING}dead"
    dead.mkdir()
    (dead / "half.c").write_text("int main")

    def build(folder: Path) -> None:
        assert not store.fetch(key_of("inner"))
        assert folder.is_dir(), "another build has taken it for a leftover"
        store.build(folder)

    assert not cache.fetch(key_of("outer"), build)[1]
    assert not dead.exists()
    assert sorted(path.name for path in store.modules.iterdir()) == sorted(
        [KEY, key_of("inner"), key_of("outer")]
    )


@posix
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o707])
@pytest.mark.parametrize("which", ["modules", "cache", "above"])
def test_a_folder_that_others_may_write_is_refused(which: str, mode: int, store: Store) -> None:
    places = {"modules": store.modules, "cache": store.modules.parent, "above": store.modules.parent.parent}
    folder = places[which]
    folder.chmod(mode)
    with pytest.raises(ModelError) as caught:
        store.fetch()
    for words in (f"others may write to {folder}", f"{mode:04o}", "chmod go-w", "CHAINRULE_CACHE"):
        assert words in str(caught.value)
    assert any(f"others may write to {folder}" in finding.text for finding in findings() if not finding.ok)
    folder.chmod(mode & ~0o022)
    assert store.fetch()


@posix
def test_who_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def status(mode: int, uid: int = os.getuid(), gid: int = 987654) -> SimpleNamespace:
        return SimpleNamespace(st_mode=mode, st_uid=uid, st_gid=gid)

    assert not others_may_write(status(0o40755)) and not others_may_write(status(0o40700))
    assert others_may_write(status(0o40775)), "a group of others"
    assert everyone_may_write(status(0o40777)) and not everyone_may_write(status(0o40775))
    assert not others_may_write(status(0o41777)), "as /tmp"
    import grp
    import pwd

    owner = SimpleNamespace(pw_name="ada")
    for members, name, shared in (([], "ada", False), (["ada"], "ada", False), (["bob"], "ada", True)):
        monkeypatch.setattr(pwd, "getpwuid", lambda number: owner)
        group = SimpleNamespace(gr_name=name, gr_mem=members)
        monkeypatch.setattr(grp, "getgrgid", lambda number, group=group: group)
        assert others_may_write(status(0o40775)) is shared
    monkeypatch.setattr(grp, "getgrgid", lambda number: SimpleNamespace(gr_name="users", gr_mem=[]))
    assert others_may_write(status(0o40775))


@posix
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_the_folders_that_are_made_are_ones_that_are_taken(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "a" / "b" / "cache"))
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "a" / "b" / "cache")
        assert not store.fetch() and store.fetch()
    finally:
        os.umask(before)


@posix
def test_no_module_is_put_where_everyone_may_write(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    with pytest.raises(ModelError, match="everyone may write"):
        compile_file(tmp_path / "small.py", Options(tmp_path / "out", target="scalar"))


@posix
def test_a_file_system_without_locks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds go on, and what might be another's is left alone."""

    def no_lock(*given: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (store.modules / f"{cache.BUILDING}whose").mkdir()
    monkeypatch.setattr(cache.fcntl, "flock", no_lock)
    assert not store.fetch(key_of("another"))
    assert (store.modules / f"{cache.BUILDING}whose").exists()
