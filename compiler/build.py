"""Cython text to a shared object: translate, compile, link, with errors that a person can act on."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import CompilerBug, ModelError, Problem

OPTIMISATION = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fno-strict-aliasing")
"""No -ffast-math: it can switch the whole process to flushing denormals. Multiply-adds may be fused."""


@dataclass(frozen=True)
class Toolchain:
    """A C compiler: its command, what it calls itself, and whether it knows OpenMP."""

    command: tuple[str, ...]
    version: str
    openmp: bool


def find_toolchain() -> Toolchain:
    """The C compiler: `CC` if set, else the one that built Python, else cc, gcc or clang.

    Raises ModelError with the way to get one when there is none.
    """
    for candidate in _candidates():
        if shutil.which(candidate[0]):
            version = _run([*candidate, "--version"]).stdout.splitlines()
            return Toolchain(
                tuple(candidate), version[0] if version else candidate[0], _has_openmp(candidate)
            )
    raise ModelError(
        Problem(
            "no C compiler was found",
            expected="gcc or clang on the PATH, or the variable CC",
            found="none of " + ", ".join(c[0] for c in _candidates()),
            advice="Debian/Ubuntu: apt install build-essential python3-dev; "
            "Fedora: dnf install gcc python3-devel; "
            "macOS: xcode-select --install. Then run: chainrule doctor",
        )
    )


def _candidates() -> list[list[str]]:
    chosen = os.environ.get("CC")
    if chosen:
        return [shlex.split(chosen)]
    configured = shlex.split(sysconfig.get_config_var("CC") or "")
    names = [configured[0]] if configured else []
    return [[name] for name in dict.fromkeys([*names, "cc", "gcc", "clang"])]


def _run(command: list[str], **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def _has_openmp(command: list[str]) -> bool:
    """Ask the preprocessor: a compiler that ignores -fopenmp does not define _OPENMP."""
    result = _run([*command, "-fopenmp", "-dM", "-E", "-x", "c", os.devnull])
    return result.returncode == 0 and "_OPENMP" in result.stdout


def predefined_macros(toolchain: Toolchain, flags: tuple[str, ...]) -> frozenset[str]:
    """Names of the macros that the C compiler predefines under `flags`."""
    result = _run([*toolchain.command, *flags, "-dM", "-E", "-x", "c", os.devnull])
    if result.returncode:
        raise ModelError(
            Problem(f"the C compiler refuses {' '.join(flags)}", found=result.stderr.strip()[:500])
        )
    return frozenset(line.split()[1] for line in result.stdout.splitlines() if line.startswith("#define "))


def python_headers() -> Path:
    """The folder with Python.h. Raises ModelError when the headers are not installed."""
    folder = Path(sysconfig.get_paths()["include"])
    if not (folder / "Python.h").exists():
        raise ModelError(
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
    from Cython.Compiler.Errors import CompileError
    from Cython.Compiler.Main import CompilationOptions
    from Cython.Compiler.Main import compile as cython_compile

    target = source.with_suffix(".c")
    try:
        options = CompilationOptions(language_level=3, output_file=str(target), emit_linenums=False)
        result = cython_compile(str(source), options)
    except CompileError as error:
        raise CompilerBug(f"Cython rejects {source}: {error}") from error
    if result.num_errors:
        raise CompilerBug(f"Cython reports {result.num_errors} errors in {source}")
    return target


def compile_shared(
    c_file: Path, output: Path, toolchain: Toolchain, flags: tuple[str, ...], extra: tuple[str, ...] = ()
) -> None:
    """C to a shared object at `output`. Raises CompilerBug with the compiler's words when it fails."""
    command = [*toolchain.command, *OPTIMISATION, *flags, *extra, "-fPIC", "-shared"]
    if toolchain.openmp:
        command.append("-fopenmp")
    if sysconfig.get_platform().startswith("macosx"):
        command += ["-undefined", "dynamic_lookup"]
    command += ["-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION", "-DCYTHON_CLINE_IN_TRACEBACK=0"]
    command += [f"-I{python_headers()}", str(c_file), "-o", str(output), "-lm"]
    result = _run(command)
    if result.returncode:
        raise CompilerBug(f"the C compiler failed:\n{shlex.join(command)}\n{result.stderr[-4000:]}")
