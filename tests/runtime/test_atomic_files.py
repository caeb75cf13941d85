"""Atomic writing: whatever goes wrong and whenever, the old file or the new one is there, whole."""

import contextlib
import errno
import os
import signal
import time

import numpy as np
import pytest

from runtime.errors import WeightsError
from runtime.files import atomic_write
from runtime.safetensors import load_file, save_file

KILLS = 1000 if os.environ.get("CHAINRULE_LONG") else 40
posix = pytest.mark.skipif(os.name == "nt", reason="needs fork and signals")


def content(path):
    """The one number that every array of a file written by `save_number` holds; fails when they differ."""
    file = load_file(path)
    numbers = {int(file.metadata["number"])}
    for array in file.tensors.values():
        numbers |= set(np.unique(array).tolist())
    assert len(numbers) == 1
    return numbers.pop()


def save_number(path, number, size=50_000):
    tensors = {name: np.full(size, number, np.int32) for name in ("a", "b", "c")}
    save_file(path, tensors, {"number": str(number)})


def in_child(action):
    """Run `action` in a forked process, which ends without any clean-up; its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return pid


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_makes_folders_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    for text in (b"one", b"two"):
        with atomic_write(path) as handle:
            handle.write(text)
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["file"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()]
)
def test_an_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_write(path) as handle:
        handle.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_failing_system_calls_leave_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "weights"
    save_number(path, 1)

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(WeightsError, match="No space left"):
        save_number(path, 2)
    monkeypatch.undo()
    assert content(path) == 1
    assert names(tmp_path) == ["weights"]


@posix
def test_the_order_that_survives_a_power_failure(tmp_path, monkeypatch):
    calls = []

    def recording(function):
        original = getattr(os, function)

        def record(first, *others):
            if function == "fsync":
                first = (
                    os.readlink(f"/proc/self/fd/{first}") if os.path.isdir("/proc/self/fd") else str(first)
                )
                calls.append(f"fsync {'folder' if first == str(tmp_path) else 'file'}")
                return None
            calls.append(function)
            return original(first, *others)

        monkeypatch.setattr(os, function, record)

    recording("fsync")
    recording("replace")
    save_number(tmp_path / "weights", 1)
    assert calls == ["fsync file", "replace", "fsync folder"]


@posix
def test_a_real_limit_on_file_size_leaves_the_old_file(tmp_path):
    import resource

    path = tmp_path / "weights"
    save_number(path, 1, size=1000)
    for limit in (0, 1, 8, 100, 500, 4096, 10_000):

        def save_within(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with pytest.raises(WeightsError):
                save_number(path, 2, size=1000)

        os.waitpid(in_child(save_within), 0)
        assert content(path) == 1
        assert names(tmp_path) == ["weights"]


@posix
def test_killed_at_each_system_call(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    for call in range(1, 6):
        for function in ("fsync", "replace", "open", "unlink"):
            save_number(path, 1, size=10)

            def die_at(call=call, function=function):
                original, count = getattr(os, function), [0]

                def counted(*arguments, **options):
                    count[0] += 1
                    if count[0] == call:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return original(*arguments, **options)

                setattr(os, function, counted)
                save_number(path, 2, size=10)

            os.waitpid(in_child(die_at), 0)
            assert content(path) in (1, 2)
    save_number(path, 3)
    assert names(tmp_path) == ["weights"]


@posix
@pytest.mark.parametrize("kills", [KILLS, pytest.param(1000, marks=pytest.mark.long)])
def test_kill_9_at_random_moments(tmp_path, kills):
    path = tmp_path / "weights"
    save_number(path, 0)
    random = np.random.default_rng(0)
    last = 0

    def save_forever():
        number = last
        while True:
            number += 1
            save_number(path, number)

    for _ in range(kills):
        pid = in_child(save_forever)
        time.sleep(random.uniform(0.0, 0.04))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = content(path)
        assert found >= last
        last = found
    assert last > 0, "no child ever finished a save: the test shows nothing"
    save_number(path, last + 1)
    assert names(tmp_path) == ["weights"], "temporary files of dead writers are removed by the next writer"


@posix
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a file closed by its finalizer
def test_interrupted_at_random_moments(tmp_path):
    path = tmp_path / "weights"
    save_number(path, 0)
    random = np.random.default_rng(0)

    def interrupt(signal_number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(1, 60):
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-3))
                save_number(path, number)
                signal.setitimer(signal.ITIMER_REAL, 0)  # within the block: the alarm may ring until here
            assert content(path) in (number - 1, number)
            save_number(path, number)
            assert names(tmp_path) == ["weights"]
    finally:
        signal.signal(signal.SIGALRM, before)


@posix
def test_the_temporary_file_of_a_living_writer_is_left_alone(tmp_path):
    path = tmp_path / "weights"
    with atomic_write(path) as handle:
        handle.write(b"slow")
        with atomic_write(path) as other:
            other.write(b"quick")
        assert path.read_bytes() == b"quick"
    assert path.read_bytes() == b"slow"
    assert names(tmp_path) == ["weights"]


def test_other_files_are_not_taken_for_leftovers(tmp_path):
    keep = [
        ".weights.tmp",
        ".weights2.aaaa.tmp",
        "weights.aaaa.tmp",
        ".other.aaaa.tmp",
        ".weights.aaaa.tmp.txt",
    ]
    for name in keep:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".weights.0123456789abcdef.tmp").write_bytes(b"dead")
    save_number(tmp_path / "weights", 1)
    assert names(tmp_path) == sorted([*keep, "weights"])


@posix
def test_a_symbolic_link_survives(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real" / "file", tmp_path / "link")
    with atomic_write(tmp_path / "link") as handle:
        handle.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"new"


def test_names_with_pattern_characters(tmp_path):
    for _ in range(2):
        save_number(tmp_path / "we[i]gh*ts", 1)
    assert names(tmp_path) == ["we[i]gh*ts"]


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot write"):
        save_number(tmp_path / "file" / "weights", 1)


@posix
def test_a_read_only_folder_is_a_clear_error(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    save_number(folder / "weights", 1)
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(WeightsError, match="Permission denied"):
            save_number(folder / "weights", 2)
        assert content(folder / "weights") == 1
    finally:
        folder.chmod(0o755)
