"""Recurrences as formulas against the same written by hand: `python -m benchmarks.recurrences soft_dtw ctc`.

Lengths: a step of training of an LSTM over 32 sequences of up to 100 steps, a quarter of it in the mean,
against a step over sequences that are all 100 long (`chainrule compile benchmarks/models/lstm_lengths.py`).

Soft-DTW: the loss and its gradient by the distances, 32 tables of 100 × 100, float32 against the double of
the package that people use, in Cython. CTC: 32 sequences of 100 frames and 40 symbols, both in float32,
against torch.nn.functional.ctc_loss, in a Python that has PyTorch (benchmarks/requirements.txt). Both on one
thread. They take turns; the figure is the ratio of the medians of processor time, and values are compared
first. Before it, `chainrule compile benchmarks/models/soft_dtw.py`, and the same for ctc.py.
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
    parser.add_argument("names", nargs="*", choices=[*RECURRENCES, []], help="which of them (all)")
    parser.add_argument("--rounds", type=int, default=60, help="turns of each (60)")
    options = parser.parse_args()
    for name in options.names or RECURRENCES:
        RECURRENCES[name](options.rounds)


def soft_dtw(rounds: int) -> None:
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


def ctc(rounds: int) -> None:
    try:
        import torch
    except ModuleNotFoundError:
        print("CTC: not measured, since PyTorch is not installed (benchmarks/requirements.txt)")
        return
    generated = importlib.import_module("generated.ctc")
    frames, symbols = generated.X_SHAPE
    (labels,) = generated.TARGET_SHAPE
    net = generated.Network(seed=0)
    net.threads = 1
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    logits = random.normal(size=(BATCH, frames, symbols)).astype(np.float32)
    target = random.integers(symbols - 1, size=(BATCH, labels)).astype(np.int32)
    given, sizes = torch.tensor(logits), [torch.full((BATCH,), size) for size in (frames, labels)]
    wanted = torch.tensor(target, dtype=torch.long)

    def by_torch() -> tuple[float, np.ndarray]:
        x = given.clone().requires_grad_()
        chances = torch.nn.functional.log_softmax(x, dim=-1).transpose(0, 1)
        loss = torch.nn.functional.ctc_loss(
            chances, wanted, *sizes, blank=symbols - 1, reduction="sum"
        ) / len(x)
        loss.backward()
        return loss.item(), x.grad.numpy()

    def ours() -> tuple[float, dict[str, np.ndarray]]:
        return net.value_and_grad({"x": logits, "target": target}, inputs=True)

    (value, gradient), (found, gradients) = by_torch(), ours()
    np.testing.assert_allclose(found, value, rtol=1e-5)
    np.testing.assert_allclose(gradients["x"], gradient, atol=1e-5)
    formula, framework = taking_turns(ours, by_torch, rounds)
    print(f"CTC, batch {BATCH}, {frames} frames, {symbols} symbols, loss and gradient, one thread")
    print(
        f"  formula {1e3 * formula:.1f} ms, PyTorch {1e3 * framework:.1f} ms: {framework / formula:.2f} times"
    )


def lengths(rounds: int) -> None:
    generated = importlib.import_module("generated.lstm_lengths")
    steps, channels = generated.INPUT_SHAPE
    net = generated.Network(seed=0)
    net.threads = 1
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, steps, channels)).astype(np.float32)
    labels = random.integers(10, size=BATCH)
    whole = np.full(BATCH, steps)
    print(f"LSTM, batch {BATCH}, up to {steps} steps, a step of training, one thread")
    for text, sizes in (
        (f"each length of 1 to {steps // 2} alike", random.integers(1, steps // 2 + 1, BATCH)),
        (f"each {steps // 4} long", np.full(BATCH, steps // 4)),
    ):
        short, long = taking_turns(
            lambda sizes=sizes: net.train_step((x, sizes), labels),
            lambda: net.train_step((x, whole), labels),
            rounds,
        )
        print(f"  {text}: {1e3 * short:.1f} ms of {1e3 * long:.1f} ms: {short / long:.2f} of the time")


RECURRENCES = {"soft_dtw": soft_dtw, "ctc": ctc, "lengths": lengths}


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
