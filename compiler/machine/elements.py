"""What arrays are made of: bytes of every element, and what C calls the real ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Real:
    """A dtype of real numbers. `c_suffix` ends C's literals and functions of it: `1.0f`, `expf`."""

    name: str
    bytes: int
    c_type: str
    c_suffix: str

    @property
    def integer(self) -> str:
        """C's signed integer of the same size: what a comparison of vectors gives."""
        return f"int{8 * self.bytes}_t"


REALS = {real.name: real for real in (Real("float32", 4, "float", "f"), Real("float64", 8, "double", ""))}


@dataclass(frozen=True)
class Precision:
    """What a person calls the dtype of a module: that of its numbers, and that of the factors of its large
    products. Sums, parameters, inputs and outputs are of the first."""

    name: str
    real: str
    factors: str


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("float32", "float32", "float32"),
        Precision("float64", "float64", "float64"),
        Precision("bfloat16", "float32", "bfloat16"),
    )
}
DTYPES = tuple(PRECISIONS)
"""All that one may ask for."""


def real_of(dtype: str) -> str:
    """The dtype of a module's numbers, where one asks for this dtype."""
    return PRECISIONS[dtype].real


INTEGER_BYTES = {"small": 1, "index": 4}
"""Of winners of small windows, and of all other integers."""


def element_bytes(element: str, dtype: str) -> int:
    """Bytes of an element, "real", "index" or "small", in a module of `dtype`."""
    return REALS[dtype].bytes if element == "real" else INTEGER_BYTES[element]
