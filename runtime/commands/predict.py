"""`predict`: what samples are, as far as a trained model knows; with `--worst`, where it is wrong."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from runtime.border import SUCCESS, guarded
from runtime.checkpoint import Checkpoint, DataIdentity
from runtime.commands.data import load_data
from runtime.commands.evaluate import check_evaluate_files
from runtime.commands.output import print_json, remark, say
from runtime.commands.trained import check_weights_exist, known_data, trained_network
from runtime.confusion import SHOWN, Mistakes, check_sheet, drawn_shape, write_sheet
from runtime.data.arrays import load_array
from runtime.data.images import images_below, read_images, reading_for
from runtime.data.tables import is_table, load_rows
from runtime.errors import DataError
from runtime.given import Arrays
from runtime.interface import ModelInterface
from runtime.prediction import predict as predicted

RUNNERS_UP = 2
SHARE_ERROR = 1e-3


@dataclass(frozen=True)
class _Samples:
    """Inputs as the model takes them, what each is called, and its class where that is known."""

    inputs: Arrays
    called: list[str]
    labels: np.ndarray | None
    classes: tuple[str, ...]


def check_predict_files(arguments: argparse.Namespace) -> None:
    """Look at the files that the options name. Raises DataError and WeightsError."""
    check_evaluate_files(arguments)
    for path in arguments.images:
        if not os.path.exists(path):
            expected = "an image, a folder of images, a .npy file, or a table"
            raise DataError(f"there is no {path}", expected=expected)
    if arguments.worst:
        check_sheet(arguments.worst)


def predict(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Print what a trained model says of images, or of the test data; returns the exit code."""
    return guarded(lambda: _predict(arguments, module))


def _predict(arguments: argparse.Namespace, module: ModuleType) -> int:
    interface = ModelInterface.of_module(module)
    if len(interface.output_shape) != 1:
        raise DataError(
            f"the model {interface.name!r} says something of each position, not of a whole sample",
            expected="a model whose output is a vector",
            found=f"outputs of shape {interface.output_shape}",
        )
    check_weights_exist(arguments, interface)
    if arguments.images:
        network, checkpoint = trained_network(arguments, module, interface)
        known = checkpoint.state.data if checkpoint.state else None
        samples = _given(arguments, interface, _classes(interface, checkpoint), known)
    else:
        data, identity = load_data(arguments, interface, known_data(arguments, interface))
        network, checkpoint = trained_network(arguments, module, interface, identity)
        say(arguments, "data", f"data: {data.source}", source=data.source)
        classes = data.classes or _classes(interface, checkpoint)
        labels = data.y_test if interface.classes is None else data.y_test.astype(np.int64)
        samples = _Samples(data.x_test, [], labels, classes)
    if arguments.worst and (samples.labels is None or interface.classes is None):
        raise DataError(
            "--worst needs images of which it is known what they are",
            expected="no images, for the test data, or a folder that has a folder for each class",
            advice=None if interface.classes else "the model is no classifier",
        )
    if arguments.worst:
        drawn_shape(samples.inputs)
    outputs = predicted(network, samples.inputs, arguments.batch_size, interface)
    if arguments.images:
        for name, row in zip(samples.called, outputs, strict=True):
            _print_one(arguments, interface, samples, name, row)
    if samples.labels is not None and interface.classes is not None:
        _print_mistakes(arguments, samples, Mistakes(outputs, samples.labels, samples.classes))
    elif not arguments.images:
        raise DataError("the model is no classifier", advice="name images or .npy files to see its outputs")
    return SUCCESS


def _print_one(
    arguments: argparse.Namespace, interface: ModelInterface, samples: _Samples, name: str, row: np.ndarray
) -> None:
    if interface.classes is None:
        say(
            arguments,
            "prediction",
            f"{name}  {np.array2string(row, precision=6)}",
            image=name,
            values=row.tolist(),
        )
        return
    best, *others = (int(k) for k in (-row).argsort(kind="stable")[: RUNNERS_UP + 1])
    words = "  ".join(f"{samples.classes[k]} {_amount(row, k)}" for k in others)
    text = f"{name}  {samples.classes[best]}  {_amount(row, best)}" + (f"  ({words})" if words else "")
    facts = {"image": name, "class": samples.classes[best], "index": best, "outputs": row.tolist()}
    say(arguments, "prediction", text, **facts)


def _amount(row: np.ndarray, k: int) -> str:
    """A probability in percent, or a score where the outputs are none."""
    shares = row.min() >= 0 and abs(row.sum() - 1) < SHARE_ERROR
    return f"{100 * row[k]:.1f} %" if shares else f"{row[k]:.4g}"


def _print_mistakes(arguments: argparse.Namespace, samples: _Samples, mistakes: Mistakes) -> None:
    if arguments.json:
        print_json("confusion", classes=list(samples.classes), matrix=mistakes.matrix.tolist())
    else:
        print(mistakes, flush=True)
    if not arguments.worst:
        return
    worst = mistakes.worst[:SHOWN]
    if not len(worst):
        remark("there are no mistakes to draw")
        return
    names, said = samples.classes, mistakes.said
    captions = [f"{names[mistakes.labels[k]]} as {names[said[k]]}" for k in worst]
    pictures = _bytes(samples.inputs[worst]).reshape(-1, *drawn_shape(samples.inputs))
    write_sheet(arguments.worst, pictures, captions)
    say(
        arguments,
        "worst",
        f"worst mistakes: {arguments.worst}",
        sheet=arguments.worst,
        samples=worst.tolist(),
    )


def _bytes(inputs: np.ndarray) -> np.ndarray:
    """Inputs as they are drawn: bytes as they are, others between their least and largest."""
    if inputs.dtype == np.uint8:
        return inputs
    low, high = float(inputs.min()), float(inputs.max())
    return np.uint8((inputs - low) / max(high - low, 1e-30) * 255)


def _classes(interface: ModelInterface, checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the classes are called: as in the data that the weights were trained on, else by their numbers."""
    known = checkpoint.state.classes if checkpoint.state else ()
    count = interface.classes or 0
    return known if len(known) == count else tuple(map(str, range(count)))


def _given(
    arguments: argparse.Namespace,
    interface: ModelInterface,
    classes: tuple[str, ...],
    known: DataIdentity | None,
) -> _Samples:
    """Images, arrays and rows of tables that were named, and their classes where these say them.

    An image says it by its folder, below the one that was named; a row by the column of its label.
    """
    if len(interface.inputs) > 1:
        raise DataError(
            f"the model {interface.name!r} has several inputs, which no file says apart",
            expected="no images, for the test data of --data FILE.npz",
        )
    inputs: list[np.ndarray] = []
    called: list[str] = []
    labels: list[int | None] = []
    for path in map(Path, arguments.images):
        if is_table(path):
            rows, said = load_rows(path, interface, classes, known, report=remark)
            inputs.append(interface.fit_inputs(rows, f"rows of {path}"))
            called += [f"{path}[{number}]" for number in range(len(rows))]
            labels += said
            continue
        if path.suffix == ".npy":
            array = load_array(path)
            array = array[None] if array.shape == interface.input_shape else array
            inputs.append(interface.fit_inputs(array, f"arrays of {path}"))
            called += [f"{path}[{number}]" for number in range(len(array))]
            labels += [None] * len(array)
            continue
        reading = reading_for(interface.input_shape, arguments.resize, arguments.invert)
        images = [Path(image) for image in images_below(path)] if path.is_dir() else [path]
        inputs.append(read_images(images, reading).reshape(-1, *interface.input_shape))
        called += map(str, images)
        folders = {image: image.parent.name for image in images if path.is_dir() and image.parent != path}
        names = sorted(set(folders.values()))
        if not set(names) <= set(classes) and len(names) == interface.classes:
            classes = tuple(names)
        places = {name: number for number, name in enumerate(classes)}
        labels += [places.get(folders.get(image, "")) for image in images]
    if len({array.dtype for array in inputs}) > 1:
        found = ", ".join(sorted({str(array.dtype) for array in inputs}))
        raise DataError("these samples do not mean the same", expected="one dtype for all", found=found)
    whole = np.concatenate(inputs)
    whole, _ = interface.convert(whole, np.zeros(0, int))
    every = None if None in labels or not labels else np.array(labels, np.int64)
    return _Samples(np.ascontiguousarray(whole), called, every, classes)
