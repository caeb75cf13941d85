"""What surrounds a step of models/mnist.py, and what it takes: `make training-costs`.

    callbacks    an epoch of `fit` with the usual callbacks, beside one without any
    diagnosis    the same with `Diagnose`, in a module that was compiled with the mode; and that module beside
                 one without the mode, where nothing is asked for
    a folder     the first epoch from a folder of PNG files, whose listing and reading are in it, and a later
                 one, beside an epoch from memory

Epochs take turns, and their processor time is compared, which other programs disturb the least: a ratio is
the median of those of neighbouring epochs. Of the folder clocks are compared too: files are read beside the
steps, which costs processor time, and no other time where a processor is free.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks.contention import describe_contention, share_of_others, take_reading
from runtime.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from runtime.data import Arrays, load_mnist
from runtime.data.folders import load_images
from runtime.diagnosis import Diagnose
from runtime.interface import ModelInterface
from runtime.modules import load_module
from runtime.trainer import fit

Run = Callable[[], float]
"""An epoch; its seconds of processor time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plain", type=Path, help="the built module of models/mnist.py")
    parser.add_argument("inner", type=Path, help="the same, compiled with --modes diagnose")
    parser.add_argument("--data", help="folder with the four IDX files (or set MNIST_DIR)")
    parser.add_argument("--images", type=int, default=60_000, help="of an epoch (60,000)")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each kind (5)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = load_mnist(options.data)
    chosen = np.arange(options.images) % len(data.train_labels)
    images, labels = data.train_images[chosen], data.train_labels[chosen].astype(np.int64)
    plain, inner = load_module(options.plain), load_module(options.inner)
    print(f"{data.source}\n{options.images:,} images an epoch, batch 128, {options.rounds} turns")
    before = take_reading()
    with tempfile.TemporaryDirectory(prefix="chainrule-costs-") as name:
        folder = Path(name)

        def epoch(module: ModuleType, make: Callable[[], list[Callback]] = list, x=images, y=labels) -> Run:
            network = module.Network(seed=0, threads=options.threads)
            return lambda: _epoch(network, module, x, y, make())

        bare = epoch(plain)
        usual, watched, off = _ratios(
            options.rounds,
            bare,
            epoch(plain, lambda: _usual(folder)),
            epoch(inner, lambda: [Diagnose(images, labels)]),
            epoch(inner),
        )
        print(f"the usual callbacks: {usual:.3f} of an epoch without any")
        print(f"Diagnose, as it is by default: {watched / off:.3f}; the mode, nothing asked for: {off:.3f}")
        _write_pngs(folder / "png", images, labels)
        _compare_folder(options, plain, folder / "png")
    print(describe_contention(share_of_others(before, take_reading())))


def _compare_folder(options: argparse.Namespace, module: ModuleType, folder: Path) -> None:
    """The first epoch and the second of a training from a folder, beside one from memory."""
    interface = ModelInterface.of_module(module)
    held = load_images(folder, interface)
    network = module.Network(seed=0, threads=options.threads)

    def timed(data: Arrays) -> tuple[float, float]:
        wall = time.perf_counter()
        return _epoch(network, module, data.x_train, data.y_train, []), time.perf_counter() - wall

    rows = []
    for _ in range(options.rounds):
        memory = timed(held)
        wall, processor = time.perf_counter(), time.process_time()
        data = load_images(folder, interface, on_demand=True)
        listing = time.process_time() - processor, time.perf_counter() - wall
        first, later = timed(data), timed(data)
        rows.append([memory, listing, first, later])
    memory, listing, first, later = np.moveaxis(np.array(rows), 1, 0)
    count = len(held.x_train)
    print(f"a folder of PNG files, {count:,} to train on, {options.threads} threads:")
    for name, spent in (("the first epoch", first + listing), ("a later epoch", later)):
        ratios = np.median(memory / spent, axis=0)
        best = memory.min(axis=0) / spent.min(axis=0)
        print(
            f"  {name}: {ratios[0]:.0%} of the speed of one from memory by processor time (the best of each "
            f"{best[0]:.0%}), {ratios[1]:.0%} by the clock ({best[1]:.0%})"
        )
    each = [1e6 * float(spent[:, 0].min()) / count for spent in (memory, listing, first)]
    print(
        "  processor time an image: {:.1f} µs from memory, {:.1f} listed, {:.1f} in the first".format(*each)
    )


def _epoch(
    network: object, module: ModuleType, x: np.ndarray, y: np.ndarray, callbacks: list[Callback]
) -> float:
    began = time.process_time()
    interface = ModelInterface.of_module(module)
    fit(network, x, y, batch_size=128, verbose=0, callbacks=callbacks, interface=interface)
    return time.process_time() - began


def _usual(folder: Path) -> list[Callback]:
    """Those of `chainrule train`, and those that people add."""
    return [
        ModelCheckpoint(folder / "weights"),
        EarlyStopping("loss", patience=5, restore_best_weights=True),
        ReduceLROnPlateau("loss"),
        CSVLogger(folder / "history.csv"),
        TerminateOnNaN(),
    ]


def _ratios(rounds: int, bare: Run, *others: Run) -> list[float]:
    """The median of each one's epochs, beside the bare one of the same turn."""
    found: list[list[float]] = [[] for _ in others]
    for _ in range(rounds):
        alone = bare()
        for ratios, other in zip(found, others, strict=True):
            ratios.append(other() / alone)
    return [statistics.median(ratios) for ratios in found]


def _write_pngs(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """A folder for each class."""
    from PIL import Image

    for label in np.unique(labels):
        (folder / str(label)).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image[:, :, 0]).save(folder / str(label) / f"{number:05}.png", compress_level=1)


if __name__ == "__main__":
    main()
