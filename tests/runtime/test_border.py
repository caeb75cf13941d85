"""Exceptions at the border: each becomes a message with its cause, and any terminal can show it."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.border import guarded
from runtime.errors import DataError


def raising(error, cause=None):
    def run():
        raise error from cause

    return run


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("x: expected shape (3,)"), ["ValueError: x: expected shape (3,)", "test_border.py"]),
        (TypeError("x: expected integers"), ["TypeError: x: expected integers"]),
        (ImportError("No module named 'sympy'", name="sympy"), ["sympy cannot be imported", "doctor"]),
        (MemoryError("Unable to allocate 3.0 GiB"), ["not enough memory", "Unable to allocate", "smaller"]),
        (RecursionError("maximum recursion depth exceeded"), ["nested more deeply"]),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
            ["encoding", "invalid start byte"],
        ),
        (
            UnicodeEncodeError("ascii", "±", 0, 1, "ordinal not in range"),
            ["encoding", "ordinal not in range"],
        ),
        (json.JSONDecodeError("Expecting value", "", 0), ["JSON", "Expecting value"]),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ["No space left", "the disk is full"]),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), ["Permission denied", "/x"]),
        (ZeroDivisionError("division by zero"), ["division by zero"]),
        (EOFError("early end"), ["early end"]),
        (DataError("the data are bad", found="nothing"), ["the data are bad\n    found:    nothing"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_exception_becomes_a_message(error, words, capsys):
    assert guarded(raising(error)) == 1
    found = capsys.readouterr().err
    assert found.startswith("error: ") and "Traceback" not in found
    for word in words:
        assert word in found


def test_the_cause_is_said(capsys):
    assert guarded(raising(ValueError("bad header"), KeyError("shape"))) == 1
    assert "because:  KeyError: 'shape'" in capsys.readouterr().err


def test_what_only_we_can_mend_keeps_its_traceback():
    with pytest.raises(AttributeError):
        guarded(raising(AttributeError("no such field")))


def test_any_encoding_can_show_any_text(monkeypatch):
    for encoding in ("ascii", "latin-1", "cp437"):
        output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", output)
        assert guarded(lambda: print("μ ± 3 → ∞ 𝄞") or 0) == 0
        assert output.buffer.getvalue()
        monkeypatch.undo()


ROOT = Path(__file__).parents[2]
SCRIPT = "import sys; from runtime.border import guarded; sys.exit(guarded(lambda: print('±' * 100000) or 0))"
COMMAND = [sys.executable, "-c", SCRIPT]


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LANG": "xx_XX"}])
def test_any_locale(variables):
    environment = {**os.environ, **variables}
    result = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True)
    assert result.returncode == 0 and result.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_results_that_cannot_be_written_are_an_error():
    with open("/dev/full", "w") as full:
        result = subprocess.run(COMMAND, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert "No space left" in result.stderr and "Traceback" not in result.stderr
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(COMMAND, cwd=ROOT, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
