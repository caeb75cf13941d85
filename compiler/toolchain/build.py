"""Cython text to a shared object: translate, compile, link, with errors that a person can act on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import CompilerBug, ModelError, Problem, ToolchainError
from compiler.toolchain.apart import FILE, Apart
from compiler.toolchain.processes import run, run_together
from compiler.toolchain.translation import MISTAKE, translate, translating
from compiler.toolchain.units import LOOPS, NONE, Unit, units_of

OPTIMISATION = (LOOPS, "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fno-strict-aliasing")
"""Of loops over arrays. Multiply-adds may be fused.

No -ffast-math: it can switch the whole process to flushing denormals."""
PLAIN_LOOPS = ("-fno-tree-pre", "-fno-thread-jumps")
"""For GCC. Both find that on some paths through a body a value is known, as that of an exponential where its
argument is clipped, and give these paths code of their own: a loop of several exponentials and maxima is then
no longer one that can be vectorised."""


@dataclass(frozen=True)
class Toolchain:
    """A C compiler: its command, and what it calls itself."""

    command: tuple[str, ...]
    version: str
    gnu: bool = False
    """Whether it is GCC, which knows flags that others refuse."""

    @property
    def for_loops(self) -> tuple[str, ...]:
        """What it is told beside OPTIMISATION."""
        return PLAIN_LOOPS if self.gnu else ()


def find_toolchain() -> Toolchain:
    """The C compiler: `CC` if set, else the one that built Python, else cc, gcc or clang.

    Raises ToolchainError with the way to get one when there is none.
    """
    candidates = _candidates()
    broken = []
    for candidate in candidates:
        if shutil.which(candidate[0]):
            result = run([*candidate, "--version"])
            if result.returncode == 0:
                version = result.stdout.splitlines()
                gnu = "Free Software Foundation" in result.stdout
                return Toolchain(tuple(candidate), version[0] if version else candidate[0], gnu)
            broken.append(f"{shlex.join(candidate)} --version fails: {_last_words(result)}")
    raise ToolchainError(
        Problem(
            "no C compiler was found" + (" that works" if broken else ""),
            expected="gcc or clang on the PATH, or the variable CC",
            found="; ".join(broken) or "none of " + ", ".join(c[0] for c in candidates),
            advice="Debian/Ubuntu: apt install build-essential python3-dev; "
            "Fedora: dnf install gcc python3-devel; "
            "macOS: xcode-select --install. Then run: chainrule doctor",
        )
    )


def _candidates() -> list[list[str]]:
    chosen = os.environ.get("CC", "")
    if chosen:
        try:
            words = shlex.split(chosen)
        except ValueError as error:
            words, reason = [], str(error)
        else:
            reason = "it names no program"
        if not words:
            raise ModelError(
                Problem(
                    f"the variable CC cannot be read: {reason}",
                    expected="the command of a C compiler, as a shell would take it, such as gcc",
                    found=repr(chosen),
                    advice="unset CC, or set it to the name of a compiler",
                )
            )
        return [words]
    configured = shlex.split(sysconfig.get_config_var("CC") or "")
    names = [configured[0]] if configured else []
    return [[name] for name in dict.fromkeys([*names, "cc", "gcc", "clang"])]


def _last_words(result: subprocess.CompletedProcess[str]) -> str:
    lines = result.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {result.returncode}"


def predefined_macros(toolchain: Toolchain, flags: tuple[str, ...]) -> frozenset[str]:
    """Names of the macros that the C compiler predefines under `flags`."""
    result = run([*toolchain.command, *flags, "-dM", "-E", "-x", "c", os.devnull])
    if result.returncode:
        raise ModelError(
            Problem(
                f"the C compiler refuses {' '.join(flags) or 'to describe itself'}",
                found=result.stderr.strip()[:500] or f"exit code {result.returncode}",
                advice="another --target, or another compiler in CC",
            )
        )
    return frozenset(line.split()[1] for line in result.stdout.splitlines() if line.startswith("#define "))


def python_headers() -> Path:
    """The folder with Python.h. Raises ToolchainError when the headers are not installed."""
    folder = Path(sysconfig.get_paths()["include"])
    if not (folder / "Python.h").exists():
        raise ToolchainError(
            Problem(
                "Python's C headers are missing",
                expected=str(folder / "Python.h"),
                advice="Debian/Ubuntu: apt install python3-dev; Fedora: dnf install python3-devel",
            )
        )
    return folder


def extension_suffix() -> str:
    """The file ending of an extension module of this Python, such as .cpython-311-x86_64-linux-gnu.so."""
    return sysconfig.get_config_var("EXT_SUFFIX") or ".so"


def compile_shared(
    c_file: Path,
    output: Path,
    toolchain: Toolchain,
    flags: tuple[str, ...],
    extra: tuple[str, ...] = (),
    level: str | None = None,
) -> None:
    """C to a shared object at `output`, its units side by side. Raises ModelError with the compiler's words
    when it fails.

    What is wrong is with the compiler, its options, memory or the disk: the C itself is Cython's. `level` is
    that of the loops where the usual one is not wanted; all else is then not optimised.
    """
    compilation = Compilation(toolchain, (*flags, *extra), level or OPTIMISATION[0])
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        _make(_jobs_of(c_file, Path(folder), compilation), output, compilation)


def build_apart(texts: Apart, name: str, output: Path, toolchain: Toolchain, flags: tuple[str, ...]) -> None:
    """A text in parts, of a module of this `name`, to a shared object: what `translate` and `compile_shared`
    make of the whole, and raise, side by side.

    A process translates some kernels and then compiles them; the door is translated here.
    """
    compilation = Compilation(toolchain, flags, OPTIMISATION[0])
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        _make(_jobs_of_parts(texts, name, Path(folder), compilation), output, compilation)


@dataclass(frozen=True)
class Compilation:
    """How C is compiled."""

    toolchain: Toolchain
    flags: tuple[str, ...]
    loops: str
    """The level of loops. Where it is not the usual one, all else is not optimised."""

    def command(self, level: str) -> tuple[str, ...]:
        """What compiles a unit of this level."""
        chosen = level if self.loops == LOOPS else self.loops if level == LOOPS else NONE
        return (
            *(*self.toolchain.command, chosen, *OPTIMISATION[1:], *self.toolchain.for_loops, *self.flags),
            # The assertions are those of Python's headers about Python itself.
            *("-fPIC", "-pthread", "-DNDEBUG", "-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION"),
            *("-DCYTHON_CLINE_IN_TRACEBACK=0", f"-I{python_headers()}"),
        )

    def linking(self, objects: Iterable[Path], output: Path) -> tuple[str, ...]:
        """What makes a shared object of objects."""
        mac = sysconfig.get_platform().startswith("macosx")
        options = ("-shared", "-pthread", *(("-undefined", "dynamic_lookup") if mac else ()))
        return (*self.toolchain.command, *self.flags, *options, *map(str, objects), "-o", str(output), "-lm")


@dataclass(frozen=True)
class Job:
    """A command, and the objects that it makes."""

    command: tuple[str, ...]
    made: tuple[Path, ...]


def _object(compilation: Compilation, file: Path, level: str) -> tuple[tuple[str, ...], Path]:
    """The command that compiles a unit, and what it makes."""
    made = file.with_suffix(".o")
    return (*compilation.command(level), "-c", str(file), "-o", str(made)), made


def _jobs_of(c_file: Path, folder: Path, compilation: Compilation) -> Iterator[Job]:
    """The units of a C file."""
    text = c_file.read_text(encoding="utf-8")
    # Where nothing is optimised, a unit would only read Python's headers once more.
    for number, unit in enumerate((Unit(text, LOOPS),) if compilation.loops == NONE else units_of(text)):
        file = folder / f"{c_file.stem}.{number}.c"
        file.write_text(unit.text, encoding="utf-8")
        command, made = _object(compilation, file, unit.level)
        yield Job(command, (made,))


def _jobs_of_parts(texts: Apart, name: str, folder: Path, compilation: Compilation) -> Iterator[Job]:
    """One of all kernels, which is begun first, and those of the door."""
    work, objects = [], []
    for number, part in enumerate(texts.parts):
        source = folder / str(number) / FILE
        source.parent.mkdir()
        source.write_text(part, encoding="utf-8")
        command, made = _object(compilation, source.with_suffix(".c"), LOOPS)
        work.append((source, command))
        objects.append(made)
    yield Job(translating(folder, work), tuple(objects))
    # It runs, while this is done here.
    door = folder / f"{name}.pyx"
    door.write_text(texts.door, encoding="utf-8")
    yield from _jobs_of(translate(door), folder, compilation)


def _make(jobs: Iterable[Job], output: Path, compilation: Compilation) -> None:
    """Do the jobs, as they are given, side by side, and link what they make."""
    done: list[Job] = []

    def commands() -> Iterator[tuple[str, ...]]:
        for job in jobs:
            done.append(job)
            yield job.command

    # Temporary files lie where there is room for the output too, and go when that folder goes.
    variables = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(output.parent))
    for result in run_together(commands(), **variables):
        _check(result, output.parent)
    objects = (made for job in done for made in job.made)
    _check(run(compilation.linking(objects, output), **variables), output.parent)


def _check(result: subprocess.CompletedProcess[str], folder: Path) -> None:
    if result.returncode == MISTAKE:
        raise CompilerBug(result.stderr.strip())
    if result.returncode:
        raise ModelError(
            Problem(
                "the C compiler failed",
                found=f"exit code {result.returncode} of\n{shlex.join(result.args)}\n"
                f"{result.stderr[-4000:].strip()}",
                advice=_advice(result, folder),
            )
        )


def _advice(result: subprocess.CompletedProcess[str], folder: Path) -> str:
    """What to do about a C compiler that failed, by what it says."""
    text = result.stderr.lower()
    if "no space left" in text or "file too large" in text or "disk quota" in text:
        return f"free some space where {folder} lies, or set CHAINRULE_CACHE to a folder on another disk"
    if "read-only file system" in text or "permission denied" in text:
        return f"set CHAINRULE_CACHE to a folder that you may write to; {folder} is not"
    if result.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL) or "killed" in text or "memory" in text:
        return "it was ended from outside, probably for want of memory: free some, or a smaller model"
    return "chainrule doctor; another compiler in CC. If none can compile it, please report this text"
