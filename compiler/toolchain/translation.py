"""Cython to C: here, or in processes of their own, each of which then becomes a C compiler.

imports Cython, forks ──┬── kernels 0: Cython, then gcc -O3 … -c kernels.c -o kernels.o
                        └── kernels 1: Cython, then gcc …           as many as there are processors
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

from compiler.errors import CompilerBug
from compiler.toolchain.interpreted import with_interpreted_texts
from compiler.toolchain.processes import processors
from compiler.toolchain.units import loops_of

MISTAKE = 113
"""The exit code of such a process where Cython rejects what we generated."""
_PROCESS = """\
import json, sys
work = json.load(open(sys.argv[1], encoding="utf-8"))
sys.path[:] = work["path"]
from compiler.toolchain.translation import translate_all
translate_all(work["asked"])
"""


def translate(source: Path) -> Path:
    """Cython to C. Raises CompilerBug when Cython rejects what we generated."""
    target = source.with_suffix(".c")
    text = with_interpreted_texts(source.read_text(encoding="utf-8"), source.name)
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        given = Path(folder) / source.name
        given.write_text(text, encoding="utf-8")
        _translate(given, target)
    return target


def _translate(source: Path, target: Path) -> None:
    from Cython.Compiler.Errors import CompileError
    from Cython.Compiler.Main import CompilationOptions
    from Cython.Compiler.Main import compile as cython_compile

    try:
        # Comments would be half of the text.
        options = CompilationOptions(
            language_level=3,
            output_file=str(target),
            emit_linenums=False,
            compiler_directives={"emit_code_comments": False},
        )
        with _without_collections():
            result = cython_compile(str(source), options)
    except CompileError as error:
        raise CompilerBug(f"Cython rejects {source}: {error}") from error
    if result.num_errors:
        raise CompilerBug(f"Cython reports {result.num_errors} errors in {source}")


@contextmanager
def _without_collections() -> Iterator[None]:
    """Cython holds all that it makes to its end: looking for garbage among it is a seventh of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def translating(folder: Path, work: Sequence[tuple[Path, Sequence[str]]]) -> tuple[str, ...]:
    """The command that translates kernels, each file in a process that becomes the compiler of its C.

    Files and what compiles them are written into the folder. Modules are found where this process finds
    them, and nowhere else."""
    here, asked = str(Path(__file__).parents[2]), [(str(source), *command) for source, command in work]
    path = [here, *(entry for entry in sys.path if entry and entry != here)]
    file = folder / "work.json"
    file.write_text(json.dumps({"path": path, "asked": asked}), encoding="utf-8")
    return sys.executable, "-I", "-c", _PROCESS, str(file)


def translate_all(asked: Sequence[Sequence[str]]) -> None:
    """What that command does: each file, and the command that follows.

    Cython prepares itself once, which takes as long as to translate 20 kernels."""
    running: dict[int, TextIO] = {}
    codes: list[int] = []

    def wait() -> None:
        process, status = os.wait()
        errors = running.pop(process)
        codes.append(os.waitstatus_to_exitcode(status))
        errors.seek(0)
        sys.stderr.write(errors.read())

    nothing = Path(sys.argv[1]).with_name("nothing.pyx")
    nothing.touch()
    translate(nothing)
    for source, *command in asked:
        if len(running) == processors():
            wait()
        errors = tempfile.TemporaryFile("w+", dir=nothing.parent, errors="replace")  # noqa: SIM115
        process = os.fork()
        if not process:
            os.dup2(errors.fileno(), sys.stderr.fileno())
            _become(Path(source), command)
        running[process] = errors
    while running:
        wait()
    # One that was ended from outside has a negative code.
    sys.exit(next((code if code > 0 else 128 - code for code in codes if code), 0))


def _become(source: Path, command: Sequence[str]) -> NoReturn:
    """Translate kernels, and go on as the compiler of what was made of them."""
    try:
        target = translate(source)
        target.write_text(loops_of(target.read_text(encoding="utf-8")), encoding="utf-8")
        os.execvp(command[0], [*command])
    except CompilerBug as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(MISTAKE)
    finally:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # what called this is another process's to go on with
