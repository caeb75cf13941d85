"""What a command does before anything else: from here on a signal ends it with one line.

Python's own way would be a traceback from the middle of an import. So this imports nothing that is not in
memory already when Python has started: `_signal` is the part of `signal` that is written in C.

What remains before it is Python's own start, 10 to 60 milliseconds: first a SIGINT ends it without a word, as
any program; then, while it looks for its packages, with its own traceback and exit code 1. No file of ours
can come before that, and nothing has been made then that would have to go.
"""

import _signal as signal
import os
import sys

COMMANDS = ("chainrule", "compile")
ENDING = {"SIGINT": "Interrupted", "SIGTERM": "Terminated", "SIGHUP": "Hung up"}
"""The signals that ask a process to end, and what is said then."""


def begin_command(package: str) -> None:
    """If this process is a command of ours, a signal ends it at once, with 128 and its number as exit code.

    `package` is the one that `python -m` runs. A process that merely imports the package is left alone, and
    so are signals that it was told to ignore.
    """
    program = sys.argv[0] if sys.argv else ""
    # While `python -m package` imports the package, this is what Python says.
    run = any(word.removeprefix("-m").partition(".")[0] == package for word in sys.orig_argv[1:])
    if (program == "-m" and run) or os.path.basename(program) in COMMANDS:
        for number in (getattr(signal, name) for name in ENDING if hasattr(signal, name)):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, _leave)


def _leave(number: int, frame: object) -> None:
    words = next(words for name, words in ENDING.items() if getattr(signal, name, None) == number)
    try:
        # The streams of Python may be in the middle of something; and nobody may read this one any more.
        os.write(2, f"\n{words}.\n".encode())
    finally:
        os._exit(128 + number)
