"""Programs that are run to their end, several side by side, and ended with all that they have started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count

from runtime.signals import held

PATIENCE_SECONDS = 2.0
"""How long programs may take to end when they are asked to."""


def run(command: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in a group of its own: if we are stopped, so is all that it has started.

    One that cannot be started ends with code 127, as in a shell. Its messages are in English.
    """
    (result,) = run_together([command], **variables)
    return result


def run_together(
    commands: Iterable[Sequence[str]], **variables: str
) -> tuple[subprocess.CompletedProcess[str], ...]:
    """Run programs as `run` does, as many side by side as there are processors; their results in order.

    The next command is asked for when one more is running: what is done to say it is done meanwhile."""
    environment = {**os.environ, "LC_ALL": "C", **variables}
    running: dict[int, subprocess.Popen[str]] = {}
    results: dict[int, subprocess.CompletedProcess[str]] = {}

    def end_of(number: int) -> None:
        process = running[number]
        output, errors = process.communicate()
        del running[number]
        results[number] = subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    try:
        for number, command in zip(count(), commands, strict=False):
            if len(running) >= processors():
                end_of(next(iter(running)))
            try:
                with held():  # a signal before we know its number would leave it running
                    running[number] = _start(command, environment)
            except OSError as error:
                reason = error.strerror or str(error)
                results[number] = subprocess.CompletedProcess(command, 127, "", reason)
        for number in tuple(running):
            end_of(number)
    except BaseException:
        with held():  # who asks again while they are ended would leave those that do not obey
            _end(running.values())
        raise
    return tuple(results[number] for number in range(len(results)))


def processors() -> int:
    """The processors that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def _end(processes: Collection[subprocess.Popen[str]]) -> None:
    """End programs and what they have started: politely, so that they remove their files, then for certain.

    A program that is told so may be gone before those that it has started, which hold its pipes: their end is
    waited for too.
    """
    if os.name == "nt":
        for process in processes:
            process.kill()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of them are gone
                os.killpg(process.pid, number)
        until = time.monotonic() + PATIENCE_SECONDS
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=max(0.0, until - time.monotonic()))
    for process in processes:
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()
