"""Test accuracy of models/mnist.py on the real MNIST: `python -m benchmarks.mnist_accuracy --seeds 3`.

Trains the generated module for 12 epochs of batches of 128 from each seed and prints the accuracy on the
10,000 test images: each seed's, their mean and their standard deviation.
"""

from __future__ import annotations

import argparse
import statistics
import time

from generated import mnist
from runtime.data import load_mnist
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with the four IDX files (or set MNIST_DIR)")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    options = parser.parse_args()
    data = load_mnist(options.data)
    print(data.source)
    interface = ModelInterface.of_module(mnist)
    accuracies = []
    for seed in range(options.seeds):
        network = mnist.Network(seed=seed)
        start = time.perf_counter()
        fit(
            network,
            data.train_images,
            data.train_labels,
            batch_size=options.batch_size,
            epochs=options.epochs,
            verbose=0,
            interface=interface,
        )
        seconds = (time.perf_counter() - start) / options.epochs
        result = evaluate(network, data.test_images, data.test_labels, interface=interface)
        accuracies.append(100 * result.accuracy)
        print(
            f"seed {seed}: {accuracies[-1]:.2f} % after {options.epochs} epochs, {seconds:.2f} s an epoch",
            flush=True,
        )
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    print(
        f"mean {statistics.mean(accuracies):.2f} %, standard deviation {spread:.2f}, {len(accuracies)} seeds"
    )


if __name__ == "__main__":
    main()
