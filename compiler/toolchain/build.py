"""Cython text to a shared object: translate, compile, link, with errors that a person can act on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import CompilerBug, ModelError, Problem, ToolchainError
from compiler.toolchain.interpreted import with_interpreted_texts
from compiler.toolchain.processes import run, run_together
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
        result = cython_compile(str(source), options)
    except CompileError as error:
        raise CompilerBug(f"Cython rejects {source}: {error}") from error
    if result.num_errors:
        raise CompilerBug(f"Cython reports {result.num_errors} errors in {source}")


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
    # The assertions are those of Python's headers about Python itself.
    common = [*flags, *extra, "-fPIC", "-pthread", "-DNDEBUG"]
    common += ["-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION", "-DCYTHON_CLINE_IN_TRACEBACK=0"]
    common += [f"-I{python_headers()}"]
    text = c_file.read_text(encoding="utf-8")
    # Where nothing is optimised, a unit would only read Python's headers once more.
    units = (Unit(text, LOOPS),) if _level_of_loops(level) == NONE else units_of(text)
    files = [c_file.with_suffix(f".{number}.c") for number in range(len(units))]
    objects = [file.with_suffix(".o") for file in files]
    try:
        for file, unit in zip(files, units, strict=True):
            file.write_text(unit.text, encoding="utf-8")
        commands = [_command(toolchain, unit, level) for unit in units]
        pairs = zip(commands, files, objects, strict=True)
        made = [[*command, *common, "-c", str(f), "-o", str(o)] for command, f, o in pairs]
        _run_all(made, output.parent)
        linked = [*toolchain.command, *flags, *extra, "-shared", "-pthread"]
        if sysconfig.get_platform().startswith("macosx"):
            linked += ["-undefined", "dynamic_lookup"]
        _run_all([[*linked, *map(str, objects), "-o", str(output), "-lm"]], output.parent)
    finally:
        for path in (*files, *objects):
            path.unlink(missing_ok=True)


def _command(toolchain: Toolchain, unit: Unit, level: str | None) -> list[str]:
    """The compiler, and what it is to optimise: where that is not as usual, loops alone are."""
    loops = _level_of_loops(level)
    chosen = unit.level if loops == LOOPS else loops if unit.level == LOOPS else NONE
    return [*toolchain.command, chosen, *OPTIMISATION[1:], *toolchain.for_loops]


def _level_of_loops(level: str | None) -> str:
    """At which level loops are optimised, where `level` or nothing in particular is wanted."""
    return level or OPTIMISATION[0]


def _run_all(commands: list[list[str]], folder: Path) -> None:
    # Temporary files lie where there is room for the output too, and go when that folder goes.
    for result in run_together(commands, TMPDIR=str(folder), TMP=str(folder), TEMP=str(folder)):
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
