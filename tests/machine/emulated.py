"""Kernels of 64-bit ARM on any machine: built by a cross compiler, run by an emulator of the processor.

A harness is a Python module, and there is no Python for that processor here. But what its functions do
without the GIL calls nothing of Python: a C program that includes the module's C and calls them is linked
with every name of Python left open. It is handed arrays in a file, and gives them back in another.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from compiler.schedule.settings import Settings
from compiler.toolchain.build import OPTIMISATION, python_headers, translate
from tests.harness import Loader

COMPILER = "aarch64-linux-gnu-gcc"
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
MISSING = f"there is no {COMPILER} or no {EMULATORS[0]}, by which code for ARM is tested: make emulator"

DRIVER = """
#include "harness.c"
#include <stdio.h>
#include <stdlib.h>

static void *taken(FILE *file, int64_t bytes)
{
    void *room = calloc(bytes + 64, 1);
    if (room == NULL || fread(room, 1, bytes, file) != (size_t)bytes) exit(3);
    return room;
}

static int64_t number(FILE *file)
{
    int64_t value;
    if (fread(&value, sizeof value, 1, file) != 1) exit(3);
    return value;
}

int main(int count, char **names)
{
    struct __pyx_t_7harness_Context context = {0};
    FILE *file = count == 3 ? fopen(names[1], "rb") : NULL;
    if (file == NULL) return 2;
    int64_t program = number(file), threads, arguments, sizes[64];
    context.batch = number(file);
    context.seed = number(file);
    context.step = number(file);
    threads = number(file);
    arguments = number(file);
    for (int64_t k = 0; k < arguments; k++) {
        sizes[k] = number(file);
        context.arguments[k] = taken(file, sizes[k]);
    }
    int64_t scalars = number(file);
    if (fread(context.scalars, sizeof(real), scalars, file) != (size_t)scalars) return 3;
    fclose(file);
    context.total = calloc(__pyx_e_7harness_LANE_ELEMENTS + 64, sizeof(real));
    int64_t lanes = 3 * __pyx_e_7harness_LANE_COUNT;
    context.lanes = calloc(lanes * __pyx_e_7harness_LANE_ELEMENTS + 64, sizeof(real));
    context.tiles = calloc(threads * __pyx_e_7harness_TILE_BYTES + 64, 1);
    context.shared = calloc(__pyx_e_7harness_SHARED_BYTES + 64, 1);
    context.crossing = calloc(__pyx_e_7harness_CROSSING_ROW * context.batch + 64, sizeof(real));
    __pyx_f_7harness_compute_alone(&context);
    if (threads > 1) context.team = team_new(threads, {sites});
    switch (program) {
    {calls}
    }
    if (context.team) team_free(context.team);
    file = fopen(names[2], "wb");
    for (int64_t k = 0; k < arguments; k++) fwrite(context.arguments[k], 1, sizes[k], file);
    fwrite(context.total, sizeof(real), __pyx_e_7harness_LANE_ELEMENTS, file);
    return fclose(file);
}
"""


@dataclass(frozen=True)
class Emulated:
    """A harness as a program of another processor; `run` as the module has it."""

    command: tuple[str, ...]
    folder: Path
    dtype: str

    def run(
        self,
        number: int,
        arguments: list[np.ndarray],
        scalars: list[float],
        batch: int,
        seed: int,
        step: int,
        threads: int,
    ) -> np.ndarray:
        given, got = self.folder / "given", self.folder / "got"
        sized = [part for a in arguments for part in (_integers(a.nbytes), a.tobytes())]
        values = np.array(scalars, dtype=self.dtype)
        given.write_bytes(
            b"".join(
                [
                    _integers(number, batch, seed, step, threads, len(arguments)),
                    *sized,
                    _integers(len(scalars)),
                    values.tobytes(),
                ]
            )
        )
        done = subprocess.run([*self.command, str(given), str(got)], capture_output=True, check=False)
        assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr.decode()}"
        content, start = got.read_bytes(), 0
        for array in arguments:
            array[...] = np.frombuffer(content, array.dtype, array.size, start).reshape(array.shape)
            start += array.nbytes
        return np.frombuffer(content[start:], self.dtype)


def _integers(*values: int) -> bytes:
    return np.array(values, dtype=np.int64).tobytes()


def installed() -> str | None:
    """The emulator, where there is one and a compiler beside it."""
    emulator = next((name for name in EMULATORS if shutil.which(name)), None)
    return emulator if shutil.which(COMPILER) else None


def emulated(folder: Path, processor: tuple[str, ...] = ()) -> Loader:
    """A loader for `compile_programs`: harnesses lie in `folder`; `processor` are the emulator's options.

    Skips the test where there is no cross compiler or no emulator.
    """
    emulator = installed()
    if emulator is None:
        pytest.skip(MISSING)

    def load(source: str, settings: Settings, extra_flags: tuple[str, ...]) -> Emulated:
        home = folder / str(len(list(folder.iterdir())))
        home.mkdir()
        (home / "harness.pyx").write_text(source)
        translate(home / "harness.pyx")
        programs = source.count("elif number == ") + 1
        calls = (
            f"case {k}: __pyx_f_7harness_program_{k}(&context, threads); break;" for k in range(programs)
        )
        driver = DRIVER.replace("{calls}", "\n    ".join(calls))
        (home / "driver.c").write_text(driver.replace("{sites}", "__pyx_e_7harness_SITES"))
        _compile(home, settings.target.flags + extra_flags)
        return Emulated((emulator, *processor, str(home / "driver")), home, settings.dtype)

    return load


def _compile(home: Path, flags: tuple[str, ...]) -> None:
    """The driver and the harness' C, with Python's headers and without its library."""
    command = [
        COMPILER,
        *OPTIMISATION,
        *flags,
        "-static",
        "-pthread",
        "-w",
        "-Wl,--unresolved-symbols=ignore-all",
    ]
    command += [f"-I{python_headers()}", f"-I{_host_headers(home)}", "driver.c", "-o", "driver", "-lm"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def _host_headers(home: Path) -> Path:
    """Debian's Python.h includes a file for the processor; ours serves, of which the sizes alone count."""
    there = Path("/usr/include") / str(sysconfig.get_config_var("MULTIARCH"))
    if there.is_dir() and list(there.glob("python3*")):
        (home / "aarch64-linux-gnu").symlink_to(there)
    return home


if __name__ == "__main__" and installed() is None:
    print(f"note: {MISSING}")
