"""How a command ends when it is asked to: SIGINT, SIGTERM and SIGHUP, at any moment, without a traceback.

    while the program is loading, and when it is done     it says so and ends at once (runtime/beginning.py)
    while a command runs (`stoppable`)                    `Stopped` is raised: what is open cleans up
    where two steps belong together (`held`)              the signal waits until both are done
    while a network and what is counted of it differ      the same, many times a second (`postponing`)

The exit code is 128 and the number of the signal, as shells have it: 130, 143, 129.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import runtime.beginning as beginning

ENDING = {
    number: words
    for name, words in beginning.ENDING.items()
    if (number := getattr(signal, name, None)) is not None
}
"""The signals that ask a process to end, and what is said then."""
AGAIN_SECONDS = 0.02
PATIENCE_SECONDS = 5.0
"""How long cleaning up may take before another signal ends it."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, number: int):
        super().__init__(ENDING[number])
        self.number = number


@dataclass
class Stop:
    """Whether a signal has come, which, and when."""

    number: int | None = None
    since: float = 0.0


def exit_code(number: int) -> int:
    """What a process that signal `number` has ended returns."""
    return 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """A block in which a signal raises `Stopped`, once: the next do not disturb the cleaning up, at first.

    Nothing is done outside the main thread, where no signal can be handled, and with signals that were
    ignored from the beginning, as `nohup` does.
    """
    stop = Stop()

    def stopped(number: int, frame: FrameType | None) -> None:
        if stop.number is None:
            stop.number, stop.since = number, time.monotonic()
            raise Stopped(number)
        if time.monotonic() - stop.since > PATIENCE_SECONDS:
            # Whatever cleans up does not end, or the first one was swallowed: somebody still wants it.
            os._exit(exit_code(number))

    def again(number: int, frame: FrameType | None) -> None:
        raise Stopped(stop.number)

    def unraisable(lost: sys.UnraisableHookArgs) -> None:
        """What is raised while an object is destroyed gets lost: raise it again, a moment later."""
        if not isinstance(lost.exc_value, Stopped):
            hook(lost)
        elif hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, again)
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)

    before = {number: signal.getsignal(number) for number in _obeyed()}
    hook = sys.unraisablehook
    try:
        if before:
            sys.unraisablehook = unraisable
            for number in before:
                signal.signal(number, stopped)
        yield stop
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A block that no signal breaks: one that comes is sent again at its end."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _obeyed()}
    try:
        for number in before:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@dataclass
class Postponed:
    """A signal that comes while `busy` is set waits until `let_through`; at all other times it does not."""

    busy: bool = False
    came: int | None = None

    def let_through(self) -> None:
        """The end of what was not to be broken: who has waited is sent again."""
        self.busy = False
        if self.came is not None:
            number, self.came = self.came, None
            signal.raise_signal(number)


@contextlib.contextmanager
def postponing() -> Iterator[Postponed]:
    """A block with parts that no signal breaks, which costs them nothing: handlers are set once, here."""
    postponed = Postponed()

    def handle(number: int, frame: FrameType | None) -> None:
        if postponed.busy:
            postponed.came = number
            return
        for other, handler in before.items():
            signal.signal(other, handler)
        signal.raise_signal(number)

    before = {number: signal.getsignal(number) for number in _obeyed()}
    try:
        for number in before:
            signal.signal(number, handle)
        yield postponed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        postponed.let_through()


def _obeyed() -> list[int]:
    """The signals that this thread handles, and that the process was not told to ignore."""
    if threading.current_thread() is not threading.main_thread():
        return []
    # A handler that Python did not install, None, could not be put back.
    return [number for number in ENDING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
