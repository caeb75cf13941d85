"""Arrays of every dtype in a .npz file: trained on, converted as documented, or refused in words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from runtime.arguments import add_train_arguments
from runtime.cli import train
from runtime.errors import DataError
from runtime.interface import ModelInterface
from runtime.trainer import fit
from tests.workshop import import_module

DTYPES = [*"?bhilqBHILQefdgFDGSUV", "M8[s]", "m8[s]", ">f4", ">i8", ">u2", [("a", "f4")]]
COUNT = 12


def _run(module: ModuleType, path: Path) -> int:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    options = [
        "--data",
        str(path),
        "--epochs",
        "1",
        "--batch-size",
        "5",
        "--no-save",
        "--threads",
        "1",
        "--json",
    ]
    return train(parser.parse_args(options), module)


def _values(module: ModuleType, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 2, (COUNT, *module.INPUT_SHAPE)), rng.integers(0, 2, (COUNT, *module.LABEL_SHAPE))


def _as(values: np.ndarray, dtype: object) -> np.ndarray:
    try:
        return values.astype(dtype)
    except (TypeError, ValueError):
        return np.zeros(values.shape, dtype)


def _trains(module: ModuleType, x: np.dtype, y: np.dtype) -> bool:
    """What the documentation says."""
    real, classes = module.INPUT_KIND == "real", module.LABEL_KIND == "index"
    return x.kind in ("biuf" if real else "iu") and y.kind in ("iu" if classes else "biuf")


def _cases(rng: np.random.Generator, count: int) -> Iterator[tuple[object, object, object]]:
    """dtypes of the inputs to train and to test, and of the labels."""
    for dtype in DTYPES:
        yield dtype, dtype, "i8"
        yield "f4", "f4", dtype
    for _ in range(count):
        x, other, y = (DTYPES[number] for number in rng.integers(len(DTYPES), size=3))
        yield x, x if rng.random() < 0.7 else other, y


@pytest.mark.parametrize("name", ["pixels", "letters", "targets"])
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_every_dtype(name: str, count: int, border, tmp_path: Path, capsys, record_property) -> None:
    """int64 and bool images ended in a traceback of the first step."""
    module = import_module(border(name).module)
    rng = np.random.default_rng(0)
    cases = 0
    for x_kind, other_kind, y_kind in _cases(rng, count):
        x, y = _values(module, rng)
        arrays = {"x_train": _as(x, x_kind), "x_test": _as(x, other_kind)}
        arrays |= {"y_train": _as(y, y_kind), "y_test": _as(y, y_kind)}
        np.savez(tmp_path / "data.npz", **arrays)
        dtypes = [arrays["x_train"].dtype, arrays["x_test"].dtype]
        whole = all(dtype.kind in "biu" for dtype in dtypes)
        mixed = name != "letters" and whole and len({dtype == np.uint8 for dtype in dtypes}) == 2
        good = all(_trains(module, dtype, arrays["y_train"].dtype) for dtype in dtypes) and not mixed
        code = _run(module, tmp_path / "data.npz")
        output, errors = capsys.readouterr()
        label = f"{dtypes}, {arrays['y_train'].dtype}: {errors}"
        assert code == (0 if good else 1), label
        assert ('"event": "epoch"' in output) == good, label
        assert ("error: " in errors) == (not good), label
        assert "Traceback" not in errors
        cases += 1
    record_property("random cases", cases)


@pytest.mark.parametrize("dtype", ["?", "i8", "u2", ">i4", "i1"])
def test_whole_numbers_mean_what_they_are(dtype: str, border, tmp_path: Path, capsys) -> None:
    """The losses of the same numbers as floats; uint8 alone is scaled, and a note says so."""
    module = import_module(border("pixels").module)
    x, y = _values(module, np.random.default_rng(1))
    outputs = {}
    for kind in ("f4", dtype, "u1"):
        given = x.astype(kind)
        np.savez(tmp_path / "data.npz", x_train=given, y_train=y, x_test=given, y_test=y)
        assert _run(module, tmp_path / "data.npz") == 0
        output, errors = capsys.readouterr()
        outputs[kind] = [line.partition('"seconds"')[0] for line in output.splitlines() if '"epoch"' in line]
        assert ("note: the inputs are" in errors) == (kind == dtype)
        assert ("uint8 would be scaled" in errors) == (kind == dtype)
    assert outputs[dtype] == outputs["f4"] != outputs["u1"]


WRONG = {
    "int64 inputs": (lambda x, y: (x.astype(int), y), "astype('uint8') for pixels"),
    "bool inputs": (lambda x, y: (x > 0, y), "astype('float32') for numbers"),
    "object inputs": (lambda x, y: (x.astype(object), y), "object"),
    "complex inputs": (lambda x, y: (x.astype(complex), y), "complex128"),
    "masked inputs": (lambda x, y: (np.ma.masked_equal(x, 1), y), "masked"),
    "masked labels": (lambda x, y: (x, np.ma.masked_equal(y, 1)), "masked"),
    "bool labels": (lambda x, y: (x, y > 0), "astype(int)"),
    "float labels": (lambda x, y: (x, y.astype(float)), "y.astype(int)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_fit_says_what_is_wrong_before_the_first_step(what: str, border) -> None:
    module = import_module(border("pixels").module)
    interface, net = ModelInterface.of_module(module), module.Network(seed=0)
    x, y = _values(module, np.random.default_rng(2))
    change, word = WRONG[what]
    with pytest.raises(DataError) as caught:
        fit(net, *change(x.astype(np.float32), y), interface=interface, verbose=0)
    assert word in str(caught.value)
    assert net.step == 0
