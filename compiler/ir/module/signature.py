"""What a module is given and gives, row by row: the one list that everything about its calls follows from.

    input    input            (batch, 28, 28, 1)  real   or uint8, times 1/255
    label    label            (batch,)            index  from 0 to 9
    parameter  conv2d_1.kernel  (3, 3, 1, 32)     real
    output   softmax_1        (batch, 10)         real

From it follow the arenas and the places in them, the checks at the door, the methods of a network with their
arguments and types, and what `check` and `measure` feed to a module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compiler.errors import CompilerBug
from compiler.ir.module.entry_point import Use
from compiler.ir.tensor.kinds import Dtype
from compiler.ir.tensor.program import Shape


@dataclass(frozen=True)
class Scaling:
    """Integers of a NumPy dtype that the door takes for reals, each times a factor."""

    dtype: str
    factor: Fraction
    only: bool = False
    """Whether nothing else is taken: no reals lie between these, and nothing has a derivative by them."""


BYTES_AS_SHARES = Scaling("uint8", Fraction(1, 255))
"""Pixels: 0 to 255 is 0 to 1."""
BOOLEANS = Scaling("bool_", Fraction(1), only=True)
"""Truth values: False and True are 0 and 1."""


@dataclass(frozen=True)
class Row:
    """One thing that a caller gives, keeps or gets."""

    name: str
    """What the model calls it; a key where things have names."""
    use: Use
    shape: Shape
    """None stands for the examples of a batch."""
    dtype: Dtype = "real"
    limit: int | None = None
    """Of integers: they lie in [0, limit)."""
    scaling: Scaling | None = None
    default: float | None = None
    """What it is where nobody sets it."""
    argument: str = ""
    """The name of a method's argument for it, or of its part of one where there are several."""
    key: str = ""
    """What callers know it by among several of its use."""
    ignored: int | None = None
    """An integer that callers give for what counts for nothing; programs have `limit - 1` in its place."""
    real: str = ""
    """Of labels, and of inputs of integers: the key of the input that says which of their steps are real."""
    over: str = ""
    """Of one of several losses: the key of labels that it is a mean over, where some count for nothing."""
    weight: float = 1.0
    """Of one of several losses: what it is multiplied by in their sum."""

    @property
    def differentiable(self) -> bool:
        """Whether there are derivatives by it."""
        return self.dtype == "real" and not self.boolean

    @property
    def boolean(self) -> bool:
        """Whether it is truth values, and nothing else."""
        return self.scaling is not None and self.scaling.only

    @property
    def count(self) -> int:
        """Of integers: how many there are, what is ignored among them."""
        if self.limit is None:
            raise CompilerBug(f"{self.name} has no limit")
        return self.limit

    @property
    def example(self) -> tuple[int, ...]:
        """The shape without the batch."""
        return tuple(extent for extent in self.shape if extent is not None)


@dataclass(frozen=True)
class Signature:
    """All rows, those of one use in the order of the model."""

    rows: tuple[Row, ...]
    keyed: bool = False
    """Whether outputs are given back by name."""

    def of(self, *uses: Use) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.use in uses)

    def one(self, use: Use) -> Row:
        """The only row of this use: for what knows of one alone."""
        (row,) = self.of(use)
        return row


def arguments_of(signature: Signature, given: Mapping[str, Any]) -> tuple[Any, Any]:
    """x and y as methods take them, from arrays by the names of rows: one, or several by their keys."""
    found = []
    for use in ("input", "label"):
        rows = [row for row in signature.of(use) if row.default is None]
        arrays = {row.key: given[row.name] for row in rows}
        found.append(arrays if len(rows) > 1 else next(iter(arrays.values()), None))
    return found[0], found[1]


def argument_names(uses: Iterable[Use]) -> list[str]:
    """Names of arguments for inputs and labels: x and y while there is one of each, else with numbers."""
    letters = {"input": "x", "label": "y"}
    wanted: list[str] = list(uses)
    counts = {use: wanted.count(use) for use in letters}
    numbers = {use: 0 for use in letters}
    result = []
    for use in wanted:
        numbers[use] += 1
        result.append(letters[use] + (str(numbers[use]) if counts[use] > 1 else ""))
    return result
