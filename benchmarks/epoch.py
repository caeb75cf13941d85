"""What the handling of data costs in an epoch of models/mnist.py: `python -m benchmarks.epoch --threads 1,2`.

An epoch is `fit` over 60,000 images of bytes: shuffling, gathering, scaling, the checks, the mean of the loss
and the watch for what is not finite. It takes turns with bare steps on batches that lie ready as float32. The
process holds what a training process holds, so its peak of memory is printed too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np

from benchmarks.contention import describe_contention, share_of_others, take_reading
from benchmarks.machine import usable_cores
from generated import mnist
from runtime.data import load_mnist
from runtime.interface import ModelInterface
from runtime.trainer import fit

EPOCH = 60_000
STEPS = 16
"""Bare steps cycle through as many batches."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the four IDX files (or set MNIST_DIR)")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas (1,2)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="epochs for each number of threads (5)")
    options = parser.parse_args()
    data = load_mnist(options.data)
    images, labels = data.train_images, data.train_labels
    if len(labels) != EPOCH:
        chosen = np.arange(EPOCH) % len(labels)
        images, labels = images[chosen], labels[chosen]
    print(f"{data.source}\nbatch {options.batch_size}, medians of {options.rounds} rounds")
    before = take_reading()
    steps = {}
    for threads in map(int, options.threads.split(",")):
        if threads <= len(usable_cores()):
            steps[threads] = _measure(threads, images, labels, options.batch_size, options.rounds)
    if 1 in steps and 2 in steps:
        print(f"one thread to two: the bare step is {steps[1] / steps[2]:.2f} times as fast")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process: {peak:.0f} MiB, {images.nbytes / 2**20:.0f} MiB of them the images")
    print(describe_contention(share_of_others(before, take_reading())))


def _measure(threads: int, images: np.ndarray, labels: np.ndarray, batch: int, rounds: int) -> float:
    """Print both rates; returns the seconds of a bare step."""
    network = mnist.Network(seed=0, threads=threads)
    interface = ModelInterface.of_module(mnist)
    count = -(-EPOCH // batch)
    ready = [
        (images[first : first + batch].astype(np.float32) / np.float32(255), labels[first : first + batch])
        for first in range(0, STEPS * batch, batch)
    ]
    epochs, bare = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        fit(network, images, labels, batch_size=batch, epochs=1, verbose=0, interface=interface)
        middle = time.perf_counter()
        for number in range(count):
            network.train_step(*ready[number % STEPS])
        epochs.append(middle - start)
        bare.append((time.perf_counter() - middle) / count)
    step = statistics.median(bare)
    rates = EPOCH / statistics.median(epochs), batch / step
    print(
        f"{threads} thread{'s' * (threads > 1)}: epoch {rates[0]:,.0f} images/s, "
        f"bare step {rates[1]:,.0f} images/s ({1000 * step:.2f} ms): {rates[0] / rates[1]:.0%}"
    )
    return step


if __name__ == "__main__":
    main()
