"""Files that change together or not at all, whatever fails and whenever; modes; and trying a folder first."""

import errno
import itertools
import os
import signal
import stat
import threading

import pytest

from runtime import files
from runtime.files import atomic_write, open_regular, try_folder, write_together

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
OLD, NEW = {"net.pyx": b"old text", "net.so": b"old code"}, {"net.pyx": b"new text", "net.so": b"new code"}


def put(folder, contents):
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_new_files_and_equal_ones(tmp_path):
    write_together({tmp_path / "out" / name: content for name, content in NEW.items()})
    assert contents(tmp_path / "out") == NEW
    before = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    write_together({tmp_path / "out" / name: content for name, content in NEW.items()})
    assert {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("old", [OLD, {}, {"net.so": b"old code"}], ids=["both", "none", "one"])
@pytest.mark.parametrize("function", ["open", "write", "fsync", "replace", "link", "fchmod", "flush"])
def test_a_call_that_fails_at_any_moment_leaves_both_as_they_were(
    tmp_path, monkeypatch, function, old, number
):
    """The first call of a kind fails, the second, and so on, until there are no more."""
    for failing in itertools.count(1):
        put(tmp_path, old)
        count = [0]

        def counted(*arguments, original=None, count=count, failing=failing, **options):
            count[0] += 1
            if count[0] == failing:
                raise OSError(number, os.strerror(number))
            return original(*arguments, **options)

        with monkeypatch.context() as patch:
            inject(patch, function, counted)
            try:
                write_together({tmp_path / name: content for name, content in NEW.items()})
            except OSError as error:
                assert error.errno == number
                assert contents(tmp_path) == old
            else:
                assert contents(tmp_path) == NEW
        for path in tmp_path.iterdir():
            path.unlink()
        if count[0] < failing:
            return


def inject(patch, function, counted):
    if function in ("write", "flush"):
        original = files._open_temporary

        def opened(target):
            temporary, handle = original(target)
            whole = getattr(handle, function)
            return temporary, Failing(handle, function, lambda *given: counted(*given, original=whole))

        patch.setattr(files, "_open_temporary", opened)
    elif function == "open":
        patch.setattr("builtins.open", lambda *a, original=open, **o: counted(*a, original=original, **o))
    else:
        original = getattr(os, function)
        patch.setattr(os, function, lambda *a, **o: counted(*a, original=original, **o))


class Failing:
    """A file one of whose methods is another."""

    def __init__(self, handle, name, method):
        self.handle = handle
        setattr(self, name, method)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.handle.close()

    def __getattr__(self, name):
        return getattr(self.handle, name)


@posix
@pytest.mark.parametrize("limit", [0, 1, 5, 100, 5000])
def test_a_disk_that_is_full_in_earnest(tmp_path, limit):
    """The system's own limit, in a process of its own."""
    import resource

    put(tmp_path, OLD)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            write_together({tmp_path / "net.pyx": b"x" * 10, tmp_path / "net.so": b"y" * 10_000})
        except OSError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "it was written"
    assert contents(tmp_path) == OLD


@posix
def test_a_signal_between_the_two_names_waits(tmp_path, monkeypatch):
    put(tmp_path, OLD)
    original, before = os.replace, signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(*arguments):
        original(*arguments)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "replace", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_together({tmp_path / name: content for name, content in NEW.items()})
    finally:
        signal.signal(signal.SIGINT, before)
    assert contents(tmp_path) == NEW


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o755, 0o444])
def test_the_mode_of_a_file_is_kept(tmp_path, mode):
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomic_write(path) as handle:
        handle.write(b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == mode
    write_together({path: b"newer"})
    assert path.read_bytes() == b"newer" and stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_new_file_gets_the_mode_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "weights") as handle:
            handle.write(b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "weights").stat().st_mode) == 0o640


@posix
def test_what_is_no_file_is_not_replaced_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", "/dev/null", "/dev/zero"):
        kind = os.stat(path).st_mode
        failed = []

        def touch(path=path, failed=failed):
            for action in (lambda: open_regular(path), lambda: atomic_write(path).__enter__()):
                try:
                    action()
                except OSError as error:
                    failed.append(error)

        thread = threading.Thread(target=touch, daemon=True)
        thread.start()
        thread.join(10)
        assert len(failed) == 2, "it was opened, or waited for"
        assert os.stat(path).st_mode == kind


@posix
def test_a_folder_is_tried_for_room_and_left_as_it_was(tmp_path):
    import resource

    put(tmp_path, OLD)
    try_folder(tmp_path / "new" / "weights", 1000)
    assert list((tmp_path / "new").iterdir()) == []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        try_folder(tmp_path / "net.so", 9_000)
        with pytest.raises(OSError):
            try_folder(tmp_path / "net.so", 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {name: content for name, content in contents_of_files(tmp_path).items()} == OLD


def contents_of_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
