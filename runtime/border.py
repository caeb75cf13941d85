"""The border between the program and a person: the one place where an exception becomes a message.

Errors that were raised on purpose carry their own text. Others, from NumPy, Python or the system, get a
sentence about what they mean, with the cause that they came with. Whatever is not listed here is a mistake
of the program and keeps its traceback, which is what it takes to mend it.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from runtime.errors import ChainruleRuntimeError
from runtime.signals import ENDING, Stop, Stopped, exit_code, stoppable

SUCCESS, FAILURE = 0, 1
Kept = Callable[[bool], str]
FOREIGN = (
    ValueError,
    TypeError,
    ImportError,
    MemoryError,
    RecursionError,
    OSError,
    EOFError,
    ArithmeticError,
)
"""What may come out of libraries and the system. Errors of Unicode and JSON are ValueErrors."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def guarded(
    run: Callable[[], int], own: tuple[type[Exception], ...] = (), kept: Kept = lambda stopped: ""
) -> int:
    """The exit code of a command: what `run` returns, 1 after an error, 128 + n after signal n.

    `own` are errors whose text is the whole message. `kept` says, after an early end, what is left behind;
    it is told whether a signal was the reason.
    """
    print_anything()
    try:
        with stoppable() as stop:
            return _ended(run, own, kept, stop)
    except Stopped as error:  # between two lines of ours
        return _stopped(error.number, kept)


def _ended(run: Callable[[], int], own: tuple[type[Exception], ...], kept: Kept, stop: Stop) -> int:
    try:
        code = run()
        _flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has read enough; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt as error:
        return _stopped(getattr(error, "number", signal.SIGINT), kept)
    except (ChainruleRuntimeError, *own, *FOREIGN) as error:
        if stop.number is not None:
            # A library has made something else of the signal, as imports do.
            return _stopped(stop.number, kept)
        message = str(error) if isinstance(error, (ChainruleRuntimeError, *own)) else described(error)
        _remark("\n".join(filter(None, (f"error: {message}", kept(False)))))
        return FAILURE


def described(error: BaseException) -> str:
    """A message for an exception that was not raised for a person: what it means, its words, its causes."""
    lines = [_meaning(error)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    seen = {id(error)}
    while cause is not None and id(cause) not in seen and not isinstance(cause, Stopped):
        lines.append(f"    because:  {type(cause).__name__}: {cause}")
        seen.add(id(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)


def _meaning(error: BaseException) -> str:
    words = str(error)
    if isinstance(error, MemoryError):
        return _lines("there is not enough memory", found=words, advice="a smaller batch, or a smaller model")
    if isinstance(error, RecursionError):
        return _lines("something is nested more deeply than Python can follow", found=words)
    if isinstance(error, ImportError):
        what = f"{error.name} cannot be imported" if error.name else "an import failed"
        return _lines(what, found=words, advice="chainrule doctor, which says what is missing")
    if isinstance(error, json.JSONDecodeError):
        return _lines("a text that should be JSON is not", found=words, where=_place(error))
    if isinstance(error, UnicodeError):
        return _lines("a text is not in the encoding that it should be in", found=words, where=_place(error))
    if isinstance(error, OSError):
        if error.errno in FULL:
            words += " (the disk is full; nothing that was there before was changed)"
        return _lines(words, advice=_place_to_write(error))
    return _lines(f"{type(error).__name__}: {words}", where=_place(error))


def _place_to_write(error: OSError) -> str:
    """What to do where something could not be written."""
    if isinstance(error, FileNotFoundError) and "temporary" in str(error):
        return "set TMPDIR to a folder that you may write to"
    elsewhere = "--out, --weights, CHAINRULE_CACHE and TMPDIR name other places"
    if error.errno in FULL:
        return f"free some space; {elsewhere}"
    return f"a folder that you may write to: {elsewhere}" if error.errno in READ_ONLY else ""


def _lines(message: str, found: str = "", where: str = "", advice: str = "") -> str:
    rows = (("found", found), ("where", where), ("try", advice))
    return "\n".join([message, *(f"    {label + ':':<10}{text}" for label, text in rows if text)])


def _place(error: BaseException) -> str:
    """The line that raised, as far as it helps to find it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""


def _stopped(number: int, kept: Kept) -> int:
    _remark(" ".join(filter(None, (f"\n{ENDING[number]}.", kept(True)))))
    return exit_code(number)


def _remark(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def _flush() -> None:
    """Write what is still held back, while an error can still be said: a full disk, a closed pipe."""
    if sys.stdout is not None:
        sys.stdout.flush()


def print_anything() -> None:
    """Where the terminal's encoding lacks a letter, write its number instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
