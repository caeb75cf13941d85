"""How a block ends that a signal stops, what waits, and what is said."""

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime.beginning import begin_command
from runtime.border import guarded
from runtime.signals import ENDING, Stopped, held, stoppable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
NUMBERS = sorted(ENDING)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def obeyed():
    """Whatever started the tests may have told them to ignore a signal, and pytest keeps SIGTERM as it is."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    yield
    assert all(signal.getsignal(number) is signal.default_int_handler for number in ENDING)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("program", "command", "begins"),
    [
        ("/env/bin/chainrule", ["python", "/env/bin/chainrule"], True),
        ("/env/bin/compile", ["python", "/env/bin/compile"], True),
        ("-m", ["python", "-m", "compiler"], True),
        ("-m", ["python", "-Bm", "compiler.cli"], True),
        ("-m", ["python", "-m", "other"], False),
        ("-m", ["python", "-m", "compiler_of_mine"], False),
        ("my_program.py", ["python", "my_program.py"], False),
        ("", ["python"], False),
    ],
)
def test_only_commands_are_begun(monkeypatch, program, command, begins):
    """Who imports the package keeps the signals as they are."""
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr(sys, "orig_argv", command)
    begin_command("compiler")
    assert [signal.getsignal(number) is not signal.default_int_handler for number in NUMBERS] == [begins] * 3
    for number in NUMBERS:
        signal.signal(number, signal.default_int_handler)


def test_the_beginning_imports_nothing():
    """What takes time would be a time in which a signal ends in a traceback."""
    script = (
        "import sys; before = set(sys.modules); import runtime.beginning; print(set(sys.modules) - before)"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    names = set(re.findall(r"'([^']+)'", result.stdout))
    assert names - {"runtime", "runtime.beginning"} <= {"_signal"}, result.stderr


@pytest.mark.parametrize("number", NUMBERS)
def test_a_command_that_is_loading_says_that_it_is_ended(number):
    program = (
        "import sys; sys.argv[0] = 'chainrule'; from runtime.beginning import begin_command\n"
        "import os, signal; signal.signal({0}, signal.default_int_handler)\n"
        "begin_command('chainrule'); os.kill(os.getpid(), {0}); print('still there')"
    )
    command = [sys.executable, "-c", program.format(int(number))]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 128 + number
    assert (result.stdout, result.stderr) == ("", f"\n{ENDING[number]}.\n")


@pytest.mark.parametrize("package", ["chainrule", "compiler"])
def test_a_package_begins_before_everything_else(package):
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    first, second = map(ast.unparse, tree.body[1:3])
    assert first == "from runtime.beginning import begin_command" and second == f"begin_command('{package}')"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_a_command_with_its_code_and_what_is_kept(number, capsys):
    cleaned = []

    def run():
        try:
            signal.raise_signal(number)
        finally:
            # A second and a third one do not break off the cleaning up.
            for other in NUMBERS:
                signal.raise_signal(other)
            cleaned.append("up")
        return 0

    assert guarded(run, kept=lambda stopped: f"stopped: {stopped}") == 128 + number
    assert cleaned == ["up"]
    error = capsys.readouterr().err
    assert f"{ENDING[number]}. stopped: True" in error and "Traceback" not in error


def test_code_that_swallows_everything_can_be_ended(monkeypatch):
    """The first signal is lost in it; a second one, a while later, ends the process."""
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr("runtime.signals.PATIENCE_SECONDS", 0.0)
    with stoppable():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert ended == [143]


def test_a_signal_that_a_library_turns_into_another_error_is_still_one(capsys):
    def run():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("numpy could not be imported") from None

    assert guarded(run) == 143
    assert "Terminated." in capsys.readouterr().err


def test_a_signal_that_gets_lost_where_nothing_can_be_raised_comes_again():
    class Dying:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    deadline = threading.Event()
    with pytest.raises(Stopped), stoppable():
        Dying()
        deadline.wait(5)


def test_what_was_ignored_from_the_beginning_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def test_steps_that_belong_together_are_both_done():
    steps = []
    with contextlib.suppress(Stopped), stoppable():
        with held():
            signal.raise_signal(signal.SIGINT)
            steps.append("one")
            steps.append("two")
        steps.append("three")
    assert steps == ["one", "two"]
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        raise OSError("that too")


def test_other_threads_are_left_alone():
    ran = []

    def work():
        with stoppable(), held():
            ran.append(guarded(lambda: 7))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [7]
