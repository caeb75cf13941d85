"""Arrays that were saved beside those of a network: what fits, and in words what does not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from runtime.errors import WeightsError


def check_match(
    path: str, found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], same_precision: bool
) -> None:
    """Raise one WeightsError that lists every way in which the two sets of arrays differ."""
    found_differences = differences(found, wanted, same_precision)
    if found_differences:
        raise does_not_fit(path, found_differences)


def does_not_fit(path: str, found: Mapping[str, str], *, nothing: bool = False) -> WeightsError:
    """The error that lists these differences; where `nothing` is alike, that is said."""
    what = f"nothing fits, of {path} in this model" if nothing else f"{path} does not fit this model"
    return WeightsError(
        f"{what}:\n  " + "\n  ".join(sorted(found.values())),
        advice="use the model that the file was written by; nothing was loaded",
    )


def differences(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], same_precision: bool
) -> dict[str, str]:
    """How two sets of arrays differ: a sentence for the name of each that is not the same in both."""
    sentences = {
        name: f"{name} is missing, shape {array.shape}" for name, array in wanted.items() if name not in found
    }
    for name, array in found.items():
        if name not in wanted:
            sentences[name] = f"{name} is unknown to the model"
            continue
        target = wanted[name]
        convertible = array.dtype.kind == target.dtype.kind == "f" and not same_precision
        if array.shape != target.shape:
            sentences[name] = f"{name} has shape {array.shape}, the model wants {target.shape}"
        elif array.dtype != target.dtype and not convertible:
            sentences[name] = f"{name} has dtype {array.dtype}, the model wants {target.dtype}"
    return sentences


def assign(found: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]) -> None:
    """Copy what was found over what it is for."""
    for name, target in targets.items():
        target[...] = found[name]
