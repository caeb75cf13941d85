"""The weights of examples: those that are given, times those of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from runtime.errors import DataError
from runtime.given import Arrays, by_key
from runtime.interface import ModelInterface


def weights_of(
    interface: ModelInterface,
    y: Arrays,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    count: int,
) -> np.ndarray | None:
    """A number for each of `count` examples: those given, times those of their classes; None for neither.

    Raises DataError where they do not fit, or the model takes none.
    """
    if sample_weight is None and class_weight is None:
        return None
    if not interface.weighted:
        raise DataError(
            f"the model {interface.name!r} takes no weights of examples",
            expected="neither sample_weight nor class_weight",
            advice="Model(…, sample_weight=True), and compile it again",
        )
    weights = np.ones(count, interface.dtype)
    if sample_weight is not None:
        given = np.asarray(sample_weight)
        if given.shape != (count,) or given.dtype.kind not in "fiub":
            raise DataError(
                "the sample_weight do not fit the data",
                expected=f"{count:,} numbers, one for each sample",
                found=f"{given.dtype} of shape {given.shape}",
                advice="sample_weight.ravel()" if given.size == count and given.ndim > 1 else None,
            )
        weights *= given
    if class_weight is not None:
        weights *= _weights_of_classes(interface, y, class_weight)
    return weights


def _weights_of_classes(
    interface: ModelInterface, y: Arrays, class_weight: Mapping[int, float]
) -> np.ndarray:
    """The weight of each label, 1 for classes that have none."""
    one = interface.labels[0] if len(interface.labels) == 1 else None
    if one is None or one.kind != "index" or one.shape or not isinstance(class_weight, Mapping):
        raise DataError(
            "class_weight makes no sense",
            expected="numbers by class, for a model with one label, a class number for each sample",
            found=repr(class_weight),
            advice="dict(enumerate(class_weight))" if isinstance(class_weight, list | tuple) else None,
        )
    table = np.ones(one.limit + 1, interface.dtype)
    for number, weight in class_weight.items():
        if number not in range(one.limit):
            expected = f"classes from 0 to {one.limit - 1}"
            raise DataError(
                "class_weight has a class that is not there", expected=expected, found=repr(number)
            )
        table[number] = _finite(weight, number)
    (labels,) = by_key(y, interface.labels, "labels").values()
    return table[labels if one.ignored is None else np.where(labels == one.ignored, one.limit, labels)]


def _finite(weight: Any, number: int) -> float:
    given = np.asarray(weight)
    if given.shape != () or given.dtype.kind not in "fiub" or not np.isfinite(given):
        raise DataError(
            f"the class_weight of class {number} makes no sense",
            expected="a finite number",
            found=repr(weight),
        )
    return float(given)
