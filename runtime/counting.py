"""Of how many numbers the loss of a batch is the mean: examples, or the labels that count.

Labels may be ignored, and of a sequence only the first so many steps may be real, or those that a mask says.
So the mean over several batches is that over all that counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.given import Arrays, Given, arrays_of, by_key


@dataclass(frozen=True)
class Counting:
    """What counts of some labels of a module; every example does without any of these."""

    ignored: int | None = None
    inputs: tuple[Given, ...] = ()
    """All inputs of the module, where one of them says which steps are real."""
    real: str | None = None
    """The name of that one."""
    labels: tuple[Given, ...] = ()
    """All labels of the module, where these are not its only ones."""
    key: str = ""
    """The name of these."""

    @property
    def of_examples(self) -> bool:
        """Whether every example counts once."""
        return self.ignored is None and self.real is None

    def of(self, x: Arrays, y: Arrays, examples: int, rows: np.ndarray | None = None) -> int:
        """How many count of these examples, or of those `rows` of them."""
        if self.of_examples:
            return examples
        return int(np.count_nonzero(self.which(x, y, rows)))

    def which(self, x: Arrays, y: Arrays, rows: np.ndarray | None = None) -> np.ndarray:
        """Truth values for labels, or for the steps that these are of."""
        (labels,) = [by_key(y, self.labels, "labels")[self.key]] if self.key else arrays_of(y)
        labels = labels if rows is None else labels[rows]
        if self.real is None:
            return labels != self.ignored
        said = np.asarray(by_key(x, self.inputs, "inputs")[self.real])
        said = said if rows is None else said[rows]
        there = real_steps(said, labels.shape[1])
        return there if self.ignored is None else there & (labels != self.ignored)


def real_steps(said: np.ndarray, steps: int) -> np.ndarray:
    """Which of the steps are real: by lengths (N,), truth values (N, steps), or words of which 0 is none."""
    return said != 0 if said.ndim == 2 else np.arange(steps) < said[:, None]


def where_real(labels: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Labels with 0 in the steps that only fill up, where nobody looks at them."""
    if labels.ndim < 2 or said.ndim not in (1, 2) or len(labels) != len(said):
        return labels
    there = real_steps(said, labels.shape[1])
    fits = there.shape == labels.shape[:2] and labels.dtype.kind in "iu"
    return np.where(there.reshape(*there.shape, *[1] * (labels.ndim - 2)), labels, 0) if fits else labels
