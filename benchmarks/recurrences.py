"""Soft-DTW as a formula against the same written by hand in Cython: `python -m benchmarks.recurrences`.

The loss and its gradient by the distances, 32 tables of 100 × 100, on one thread, float32 against the double
of the package that people use. Both take turns; the figure is the ratio of the medians of processor time, and
the values are compared first. Before it, `chainrule compile benchmarks/models/soft_dtw.py`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

BATCH, SIZE = 32, 100
PEER = Path(__file__).parent / "peers" / "soft_dtw.pyx"
FLAGS = "-O3 -march=native"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="turns of each (60)")
    rounds = parser.parse_args().rounds
    generated = importlib.import_module("generated.soft_dtw")
    net = generated.Network(seed=0)
    net.threads = 1
    distances = np.random.default_rng(0).random((BATCH, SIZE, SIZE))
    single = distances.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        peer = built(Path(folder))
        value, gradient = peer.value_and_grad(distances)
        found, gradients = net.value_and_grad(single, inputs=True)
        np.testing.assert_allclose(found, value, rtol=1e-5)
        np.testing.assert_allclose(gradients["input"], gradient, atol=1e-5)
        ours, by_hand = taking_turns(
            lambda: net.value_and_grad(single, inputs=True), lambda: peer.value_and_grad(distances), rounds
        )
    print(f"soft-DTW, batch {BATCH}, {SIZE} x {SIZE}, loss and gradient, one thread")
    print(
        f"  formula {1e3 * ours:.1f} ms, by hand in Cython {1e3 * by_hand:.1f} ms: {by_hand / ours:.2f} times"
    )


def taking_turns(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median of the processor time of each, in seconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((one, other), times, strict=True):
            start = time.thread_time()
            call()
            taken.append(time.thread_time() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def built(folder: Path) -> ModuleType:
    """The peer, built in a folder."""
    source = Path(shutil.copy(PEER, folder))
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-3", "-q", source.name]
    subprocess.run(
        command, cwd=folder, check=True, env={**os.environ, "CFLAGS": FLAGS}, stdout=subprocess.DEVNULL
    )
    (shared,) = folder.glob("soft_dtw.*.so")
    spec = importlib.util.spec_from_file_location("soft_dtw", shared)
    if spec is None or spec.loader is None:
        raise ImportError(str(shared))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
