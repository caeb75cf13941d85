"""What a step of training takes of memory: nothing from the heap, a bounded workspace, a small process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.frontend.parse import load_model
from compiler.machine.target import Target
from compiler.module_source import compile_to_source
from compiler.toolchain.build import compile_shared, extension_suffix, find_toolchain, translate
from compiler.toolchain.cache import key_of
from tests.machines import TARGETS, targets

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1 << 20
WORKSPACE_LIMIT = 4 * MEBIBYTE
PROCESS_LIMIT = 250 * MEBIBYTE

COUNTER = r"""
#include <stdatomic.h>
#include <stddef.h>

static atomic_int watching;
static atomic_long calls, largest;

void count_start(void) { atomic_store(&watching, 1); }
void count_stop(void) { atomic_store(&watching, 0); }
long count_calls(void) { return atomic_exchange(&calls, 0); }
long count_largest(void) { return atomic_exchange(&largest, 0); }

static size_t seen(size_t bytes)
{
    if (atomic_load(&watching)) {
        atomic_fetch_add(&calls, 1);
        if ((long)bytes > atomic_load(&largest)) atomic_store(&largest, (long)bytes);
    }
    return bytes;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
void *malloc(size_t n) { return __libc_malloc(seen(n)); }
void *calloc(size_t n, size_t size) { seen(n * size); return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return __libc_realloc(p, seen(n)); }
void *memalign(size_t a, size_t n) { return __libc_memalign(a, seen(n)); }
void *aligned_alloc(size_t a, size_t n) { return __libc_memalign(a, seen(n)); }
int posix_memalign(void **p, size_t a, size_t n) { *p = __libc_memalign(a, seen(n)); return *p ? 0 : 12; }
"""
"""Stands in for glibc's allocator when it is loaded first: counts while somebody watches."""

WATCHED = """
import ctypes
import numpy as np
import watched as module

library = ctypes.CDLL(None)
library.count_calls.restype = library.count_largest.restype = ctypes.c_long
rng = np.random.default_rng(0)
x = rng.integers(0, 256, (200, *module.INPUT_SHAPE), dtype=np.uint8)
y = rng.integers(0, module.LABEL_LIMIT, 200).astype(np.int32)
rows = np.arange(199, 9, -1)

library.count_start()
large = bytearray(100_000)
library.count_stop()
assert library.count_calls() >= 1 and library.count_largest() >= 100_000, "the counter sees an allocation"

for threads in (1, 2):
    net = module.Network(seed=0, threads=threads)
    calls = {
        "step": lambda: net.train_step(x, y),
        "rows": lambda: net.train_step(x, y, rows),
        "gradient": lambda: net.value_and_grad(x, y, inputs=True),
        "predict": lambda: net.predict(x),
        "evaluate": lambda: net.evaluate(x, y),
    }
    for name, call in calls.items():
        call(), call()  # the first call with so many threads starts them
        library.count_calls()
        for _ in range(5):
            call()
        print(threads, name, library.count_calls(), module.watched)
"""
"""Runs every program of the module some times; the module itself starts and stops the counter."""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not sys.platform.startswith("linux"):
        pytest.skip("the counter stands in for the allocator of glibc")
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    command = [*find_toolchain().command, "-shared", "-fPIC", "-O1", str(folder / "counter.c")]
    subprocess.run([*command, "-o", str(folder / "counter.so")], check=True)
    return folder / "counter.so"


def test_programs_allocate_nothing(counter: Path, models, tmp_path: Path) -> None:
    """The part of every call that runs without Python's lock, on one thread and on two: not one allocation.

    What surrounds it, the door, makes small Python objects and the arrays that it returns; it is not watched.
    The counter runs from the line before each program to the line after it, in the generated text itself.
    """
    machine = TARGETS["scalar"]
    text = compile_to_source(load_model(models("tiny")), machine, "float32", key_of("watched")).text
    text, programs = re.subn(
        r"with nogil:\n( +)(\w+\(&context, self\._threads\))\n",
        r"with nogil:\n\1count_start()\n\1\2\n\1count_stop()\n",
        text,
    )
    assert programs >= 5
    declared = (
        "cdef extern from *:\n    void count_start() noexcept nogil\n    void count_stop() noexcept nogil\n"
    )
    text = text.replace("MODEL_NAME =", f"{declared}\nwatched = {programs}\nMODEL_NAME =", 1)
    path = tmp_path / "watched.pyx"
    path.write_text(text)
    shared = tmp_path / f"watched{extension_suffix()}"
    hidden = ("-include", str(_header(tmp_path)))
    compile_shared(translate(path), shared, find_toolchain(), machine.flags, hidden, "-O0")
    environment = os.environ | {"LD_PRELOAD": str(counter), "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", WATCHED], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == 10
    assert all(int(count) == 0 for _, _, count, _ in lines), result.stdout


def _header(folder: Path) -> Path:
    """Declares the two functions of the counter, which is found when the module is loaded."""
    path = folder / "counter.h"
    path.write_text("void count_start(void);\nvoid count_stop(void);\n")
    return path


TRAINED = """
import sys
from compiler.cli import main
code = main(sys.argv[1:])
sys.stderr.write(open("/proc/self/status").read())
sys.exit(code)
"""
"""The command line, and what its process had in memory at most."""


@targets(1)
def test_workspace_of_the_mnist_step(target: Target) -> None:
    """All that a network allocates beside parameters and states, batch 128, two threads: at most 4 MiB."""
    text = compile_to_source(load_model(ROOT / "models/mnist.py"), target, "float32", "0").text

    def constant(name: str) -> int:
        return int(re.search(rf"^    {name} = (\d+)$", text, re.MULTILINE).group(1))

    lanes = (constant("LANE_COUNT") + 1) * constant("LANE_ELEMENTS") * 4  # and their sum
    tiles = 2 * constant("TILE_BYTES")
    crossing = constant("CROSSING_ROW") * 128 * 4
    workspace = lanes + tiles + crossing + constant("SHARED_BYTES")
    print(f"workspace: {workspace / MEBIBYTE:.2f} MiB")
    assert workspace <= WORKSPACE_LIMIT


# A training of the convolutional network takes ten times as long.
@pytest.mark.parametrize("name", ["mlp", pytest.param("mnist", marks=pytest.mark.long)])
def test_memory_of_a_whole_training_process(
    name: str, compiled, models, tmp_path: Path, record_property
) -> None:
    """An epoch over 60,000 images and their evaluation, from loading the files to the last line: 250 MiB.

    Data are MNIST where MNIST_DIR says, else noise of its size: only the size matters here.
    """
    if not Path("/proc/self/status").is_file():
        pytest.skip("only Linux tells what a process had in memory at most")
    compiled(name)
    command = [sys.executable, "-c", TRAINED, "train", str(models(name)), "--epochs", "1"]
    command += ["--no-save", "--threads", "1", "--json", "--out", str(tmp_path / "generated")]
    if not os.environ.get("MNIST_DIR"):
        np.savez(tmp_path / "data.npz", **_noise())
        command += ["--data", str(tmp_path / "data.npz")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", result.stderr).group(1)) * 1024
    print(f"peak: {peak / MEBIBYTE:.0f} MiB")
    record_property("peak_mebibytes", peak / MEBIBYTE)
    assert peak <= PROCESS_LIMIT


def _noise() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 60_000), ("test", 10_000)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = rng.integers(0, 10, count, dtype=np.uint8)
    return arrays
