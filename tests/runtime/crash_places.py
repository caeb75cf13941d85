"""Places and times that are hostile to a training: a full disk, a read-only one, a neighbour, a wrong clock.

Each function returns what it saw in words, and adds to `wrong` what should not be. A small file system of its
own is mounted where the system lets a process do so; else the disk is full by a limit on the sizes of files.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runtime.checkpoint import read_checkpoint
from runtime.errors import ChainruleRuntimeError, WeightsError

NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000
READ_ONLY, REMOUNT = 1, 32
"""Linux: clone(2), mount(2)."""
DISK = b"size=4m"
DAY = 86_400


class Trained(Protocol):
    """What is trained: from `path` if it is there, else from the start, for so many epochs."""

    def train(self, path: Path, epochs: int = 3) -> None: ...


def in_a_child(work: Callable[[list[str]], str], folder: Path, wrong: list[str]) -> str:
    """What `work` says, which is run by a process of its own and may change what belongs to that."""
    said, found = folder / "said", folder / "found"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own: list[str] = []
            said.write_text(work(own))
            found.write_text("\n".join(own))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status != 0:
        wrong.append(f"{work.__name__} ended by itself: see above")
        return "not finished"
    wrong += found.read_text().splitlines()
    return said.read_text()


def full_and_read_only(subject: Trained, folder: Path, expected: bytes, wrong: list[str]) -> str:
    """A disk that fills up after an epoch, and one that can no longer be written: the checkpoint stays."""

    def full_and_read_only(wrong: list[str]) -> str:
        disk = folder / "disk"
        disk.mkdir()
        if not _mounted(disk):
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(expected) // 2, len(expected)))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            _refused(subject, disk / "weights", wrong)
            return "files of a limited size, since nothing may be mounted here: refused in words"
        path = disk / "weights"
        subject.train(path, 1)
        with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        _refused(subject, path, wrong)
        (disk / "filler").unlink()
        _libc().mount(None, os.fsencode(disk), None, READ_ONLY | REMOUNT, None)
        _refused(subject, path, wrong)
        _libc().mount(None, os.fsencode(disk), None, REMOUNT, None)
        subject.train(path)
        if path.read_bytes() != expected:
            wrong.append("after a full and a read-only disk, the run has other bytes")
        return "a full and a read-only file system: refused in words, the checkpoint as it was, went on"

    return in_a_child(full_and_read_only, folder, wrong)


def _refused(subject: Trained, path: Path, wrong: list[str]) -> None:
    """To go on must fail with an error for people, and leave the file as it is."""
    before = path.read_bytes() if path.exists() else None
    try:
        subject.train(path)
    except ChainruleRuntimeError:
        pass
    else:
        wrong.append(f"training into {path} was not refused")
    if (path.read_bytes() if path.exists() else None) != before:
        wrong.append(f"{path} was changed by a run that failed")
    left = [name for name in os.listdir(path.parent) if name.endswith(".tmp")]
    if left:
        wrong.append(f"a run that failed has left {', '.join(left)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mounted(folder: Path) -> bool:
    """Mount a small file system that this process alone sees; False where that is not allowed."""
    user, group = os.getuid(), os.getgid()
    try:
        if _libc().unshare(NEW_USER | NEW_MOUNTS):
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except (OSError, AttributeError):
        return False
    return _libc().mount(b"none", os.fsencode(folder), b"tmpfs", 0, DISK) == 0


def two_trainings(subject: Trained, folder: Path, expected: bytes, wrong: list[str]) -> str:
    """Two processes write one file: at every moment it is a checkpoint, and in the end the right one."""
    path, looks = folder / "shared", 0
    running = {_training(subject, path) for _ in range(2)}
    while running:
        for child in list(running):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                running.discard(child)
                if status:
                    wrong.append(f"one of two trainings in one folder failed: {status}")
        if path.exists():
            looks += 1
            try:
                read_checkpoint(path)
            except WeightsError as error:
                wrong.append(f"while two trainings write it: {error}")
        time.sleep(0.002)
    if path.read_bytes() != expected:
        wrong.append("after two trainings into one file it has other bytes")
    return f"two trainings into one file, which was read {looks:,} times meanwhile: always whole"


def _training(subject: Trained, path: Path) -> int:
    """A child that trains to the end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            subject.train(path)
            code = 0
        finally:
            os._exit(code)
    return child


def clock_set_back(subject: Trained, folder: Path, expected: bytes, wrong: list[str]) -> str:
    """A checkpoint from tomorrow, and a clock that runs backwards, by an hour at each look."""

    def clock_set_back(wrong: list[str]) -> str:
        path = folder / "tomorrow"
        subject.train(path, 1)
        os.utime(path, (time.time() + DAY,) * 2)
        looks = [time.time()]

        def backwards() -> float:
            looks.append(looks[-1] - 3600)
            return looks[-1]

        time.time, time.time_ns = backwards, lambda: int(backwards() * 1e9)
        subject.train(path)
        if path.read_bytes() != expected:
            wrong.append("with a clock that was set back, the run has other bytes")
        return "a checkpoint from tomorrow and a clock that runs backwards: the same bytes"

    return in_a_child(clock_set_back, folder, wrong)


def two_compilations(model: Path, folder: Path, wrong: list[str]) -> str:
    """Two processes compile one model into one folder; then again, over files from tomorrow."""
    out = folder / "out"
    environment = {**os.environ, "CHAINRULE_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "compiler", str(model), "--out", str(out), "--quiet"]
    load = f"import sys; sys.path.insert(0, {str(out)!r}); import {model.stem} as m; m.Network(seed=0)"

    def compile_by(processes: int) -> None:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
        started = [subprocess.Popen(command, **pipes) for _ in range(processes)]
        for process in started:
            said, _ = process.communicate()
            if process.returncode:
                wrong.append(f"one of {processes} compilations failed: {said}")
        if subprocess.run([sys.executable, "-c", load], env=environment).returncode:
            wrong.append(f"what {processes} compilations have left cannot be imported")

    compile_by(2)
    text = (out / f"{model.stem}.pyx").read_bytes()
    for path in [*out.rglob("*"), *(folder / "cache").rglob("*")]:
        os.utime(path, (time.time() + DAY,) * 2)
    compile_by(1)
    if (out / f"{model.stem}.pyx").read_bytes() != text:
        wrong.append("compiling again gave another text")
    return "two compilations into one folder, and a third over files from tomorrow: a whole module"
