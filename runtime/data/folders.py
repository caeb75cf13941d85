"""Data in folders: images by class, and arrays that are mapped into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime.data.arrays import ArrayNames, Arrays, check_arrays, load_array
from runtime.data.images import Reading, content_of, images_below, is_image, read_images, reading_for
from runtime.data.splitting import held_out
from runtime.errors import DataError
from runtime.interface import ModelInterface
from runtime.on_demand import OnDemand
from runtime.shuffle import permutation

PARTS = ("train", "test")
LOOKED_INTO = 256
"""Files by whose content a folder of images is known, besides the names of all: to read all takes as long as
training on them."""


def holds_arrays(folder: Path, interface: ModelInterface | None = None) -> bool:
    """Whether there is one of the arrays of a data set in a file of its own."""
    return any((folder / f"{name}.npy").exists() for name in ArrayNames.of(interface).all)


def holds_images(folder: Path) -> bool:
    """Whether there are images in folders of it, by class or by part and class."""
    found = (is_image(path) for pattern in ("*/*", "*/*/*") for path in folder.glob(pattern))
    return any(found)


def load_mapped(folder: str | os.PathLike, interface: ModelInterface | None = None) -> Arrays:
    """`x_train.npy`, `y_train.npy`, `x_test.npy` and `y_test.npy` of a folder, mapped into memory.

    For a model of several inputs or labels they have their names, as in `load_arrays`.
    What is trained on is read from the disk, and kept by the system while there is room. Raises DataError.
    """
    folder = Path(folder)
    names = ArrayNames.of(interface)
    missing = [f"{name}.npy" for name in names.all if not (folder / f"{name}.npy").is_file()]
    if missing:
        raise DataError(
            f"{folder} lacks arrays",
            expected=", ".join(f"{name}.npy" for name in names.all),
            found=f"no {', '.join(missing)}",
        )
    arrays = {name: load_array(folder / f"{name}.npy") for name in names.all}
    sizes = check_arrays(str(folder), arrays, names)
    return Arrays(**names.joined(arrays), source=f"{folder}, {sizes}, mapped into memory", name=folder.name)


def load_images(
    folder: str | os.PathLike, interface: ModelInterface, resize: bool = False, on_demand: bool = False
) -> Arrays:
    """Images by class: `CLASS/*.png`, of which one in ten is held out, or `train/CLASS/*` and `test/CLASS/*`.

    Classes are numbered in the order of their names; those that are numbers, in that of the numbers. All
    images are read into memory as bytes, or those that are asked for, `on_demand`. A folder is known by the
    names of its files and by what is in some of them. Raises DataError.
    """
    folder = Path(folder)
    parts = [folder / part for part in PARTS]
    split = all(part.is_dir() for part in parts)
    classes = _classes(parts[0] if split else folder)
    if interface.classes is not None and len(classes) != interface.classes:
        raise DataError(
            f"{folder} does not fit the model {interface.name!r}",
            expected=f"{interface.classes} folders, one for each class",
            found=f"{len(classes)}: {', '.join(classes[:20])}",
        )
    reading = reading_for(interface.input_shape, resize)
    found = [_labelled(part, classes) for part in (parts if split else [folder])]
    arrays = (*found[0], *found[1]) if split else held_out(*found[0])
    source = f"{folder}, {len(arrays[0]):,} images to train on, {len(arrays[2]):,} to test on"
    read = _on_demand if on_demand else read_images
    x_train, x_test = (read(paths, reading) for paths in arrays[::2])
    return Arrays(
        *(x_train, arrays[1], x_test, arrays[3]),
        source=source,
        name=f"the images in {folder.name}",
        classes=classes,
        sha256=_checksum(folder, [path for paths, _ in found for path in paths], reading),
    )


def _on_demand(paths: np.ndarray, reading: Reading) -> OnDemand:
    """Images that are read when they are asked for."""
    shape = (len(paths), *reading.shape)
    return OnDemand.of(lambda numbers: read_images(paths[numbers], reading), shape, np.uint8)


def _checksum(folder: Path, paths: Sequence[str], reading: Reading) -> str:
    """Of what the files are called, and what is in some of them, always the same ones. Raises DataError."""
    names = "".join([f"\0{path}" for path in paths]).replace(f"\0{folder}", "\0")[1:]
    digest = hashlib.sha256(repr(reading).encode() + names.encode(errors="surrogateescape"))
    for number in permutation(len(paths), 0, 0)[:LOOKED_INTO]:
        digest.update(hashlib.sha256(content_of(paths[number])).digest())
    return digest.hexdigest()


def _classes(folder: Path) -> tuple[str, ...]:
    names = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    numbers = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=int) if numbers else sorted(names))


def _labelled(folder: Path, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The paths of all images, and the number of the class of each. Raises DataError."""
    paths: list[str] = []
    counts: list[int] = []
    for name in classes:
        images = images_below(folder / name)
        paths += images
        counts.append(len(images))
    return np.array(paths, object), np.repeat(np.arange(len(classes)), counts)
