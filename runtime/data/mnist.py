"""MNIST from a folder, the cache or the network; where there is none of them, a stand-in that says it is one.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.cache_folder import cache_folder
from runtime.data.arrays import Arrays
from runtime.data.digits import TEST_COUNT, load_digits
from runtime.data.download import DownloadFailed, download
from runtime.data.idx import IdxFile, read_idx
from runtime.errors import DataError
from runtime.files import atomic_write

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MAXIMUM_BYTES = 2**26
DIGITS = "the embedded digits, which are not MNIST"
SHOWN_FILES = 20
# Of the uncompressed contents: the gzip wrappers of different mirrors may differ.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True)
class Mnist:
    """Images uint8 (N, height, width, 1), labels uint8 (N,), for training and testing.

    `source` is a sentence for people; `is_mnist` says whether these are the original MNIST bytes.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    is_mnist: bool
    name: str = "data in the layout of MNIST"

    def arrays(self) -> Arrays:
        """The same, as any data set."""
        images = self.train_images, self.train_labels, self.test_images, self.test_labels
        return Arrays(*images, source=self.source, name=self.name, stand_in=self.name == DIGITS)


def load_mnist(
    directory: str | os.PathLike | None = None,
    offline: bool = False,
    report: Callable[[str], None] = lambda message: None,
) -> Mnist:
    """Load MNIST, or data of the same layout such as Fashion-MNIST, from the first place that has it:

    1. `directory`, else the folder in the environment variable `MNIST_DIR`: it must hold all four files;
    2. the cache folder (see `runtime.cache_folder`);
    3. two public mirrors, unless `offline`; what arrives is checked by SHA-256 and kept in the cache;
    4. the embedded digits, which are not MNIST, and `source` says so.

    `report` receives a message before a download begins.

    Raises DataError when the given folder lacks a file, and when a file is damaged.
    """
    directory = directory or os.environ.get("MNIST_DIR")
    if directory:
        return _load_folder(Path(directory))
    cache = cache_folder() / "mnist"
    missing = [name for name in SHA256 if not (cache / f"{name}.gz").is_file()]
    if not missing:
        return _load_cache(cache)
    if offline:
        return _embedded("MNIST was not found, and looking for it on the network was not allowed")
    report(f"downloading MNIST (11 MB) to {cache}")
    try:
        for name in missing:
            _fetch(name, cache)
    except (DownloadFailed, OSError) as error:
        return _embedded(f"MNIST could not be downloaded ({error})")
    return _load_cache(cache)


def _load_folder(folder: Path) -> Mnist:
    paths = {name: _find(folder, name) for name in SHA256}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise DataError(
            f"{folder} does not hold a data set in the layout of MNIST",
            expected="the files " + ", ".join(f"{name}[.gz]" for name in SHA256),
            found=f"no {', '.join(missing)}; {_contents(folder)}",
            advice="put the files there, or leave the folder out to let them be found or downloaded; a "
            "folder of images has one folder for each class, one of arrays has x_train.npy, …",
        )
    files = {name: read_idx(path, _dimensions(name)) for name, path in paths.items()}
    is_mnist = all(files[name].sha256 == SHA256[name] for name in SHA256)
    kind = (
        "the original MNIST" if is_mnist else "a data set in the layout of MNIST, but NOT the original MNIST"
    )
    name = "the original MNIST" if is_mnist else f"the images in {folder.name}"
    return _assemble(files, f"{kind}, from {folder}", is_mnist, name)


def _load_cache(cache: Path) -> Mnist:
    files = {name: read_idx(cache / f"{name}.gz", _dimensions(name)) for name in SHA256}
    for name, file in files.items():
        if file.sha256 != SHA256[name]:
            raise DataError(
                f"{cache / name}.gz is damaged",
                expected=f"SHA-256 {SHA256[name]} of the uncompressed contents",
                found=file.sha256,
                advice="remove it to have it downloaded again; other data belong in a folder of their own",
            )
    return _assemble(files, f"the original MNIST, from {cache}", True, "the original MNIST")


def _fetch(name: str, cache: Path) -> None:
    body = download([f"{mirror}{name}.gz" for mirror in MIRRORS], SHA256[name], MAXIMUM_BYTES)
    with atomic_write(cache / f"{name}.gz") as handle:
        handle.write(body)


def _embedded(reason: str) -> Mnist:
    images, labels = load_digits()
    train = len(images) - TEST_COUNT
    return Mnist(
        images[:train],
        labels[:train],
        images[train:],
        labels[train:],
        f"NOT MNIST but {len(images):,} embedded 8×8 digits of the UCI optical recognition set, scaled up "
        f"to 28×28: {train:,} images to train on, {TEST_COUNT} to test on; {reason}",
        is_mnist=False,
        name=DIGITS,
    )


def _assemble(files: dict[str, IdxFile], source: str, is_mnist: bool, name: str) -> Mnist:
    parts = {}
    for part in ("train", "t10k"):
        images = files[f"{part}-images-idx3-ubyte"].values
        labels = files[f"{part}-labels-idx1-ubyte"].values
        if len(images) != len(labels):
            raise DataError(
                f"the {part} images and labels do not belong together ({source})",
                expected="as many labels as images",
                found=f"{len(images):,} images and {len(labels):,} labels",
                advice="fetch both files again, from the same place",
            )
        parts[part] = images[..., np.newaxis], labels
    counts = f"{len(parts['train'][1]):,} images to train on, {len(parts['t10k'][1]):,} to test on"
    return Mnist(*parts["train"], *parts["t10k"], f"{source}: {counts}", is_mnist, name)


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name: as its authors call it, or with a dot, or in a folder of that name."""
    dotted = name.replace("-idx", ".idx")
    names = (f"{name}.gz", name, f"{dotted}.gz", dotted, f"{name}/{name}", f"{name}/{dotted}")
    names += (f"{dotted}/{dotted}", f"{dotted}/{name}")
    return next((folder / other for other in names if (folder / other).is_file()), None)


def _contents(folder: Path) -> str:
    """What lies in a folder, for someone who thinks that it is the right one."""
    if not folder.exists():
        return "there is no such folder"
    if not folder.is_dir():
        return f"{folder} is a file"
    try:
        names = sorted(child.name + ("/" if child.is_dir() else "") for child in folder.iterdir())
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    if not names:
        return "the folder is empty"
    more = f" and {len(names) - SHOWN_FILES:,} more" if len(names) > SHOWN_FILES else ""
    return f"there are {', '.join(names[:SHOWN_FILES])}{more}"


def _dimensions(name: str) -> int:
    return 3 if "images" in name else 1
