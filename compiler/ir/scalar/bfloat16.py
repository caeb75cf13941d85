"""Numbers with eight binary digits, and pairs of them: what a processor multiplies twice as many of.

A bfloat16 is the upper half of a float32: as many exponents, 8 digits instead of 24. The product of two is
exact in float32. Processors multiply pairs: two factors side by side in the 32 bits of a float32.

    Rounded(a)          a, rounded to the nearest bfloat16, of two equally near the even one; NaN stays NaN
    Pair(a, b)          both rounded, in the bits of one number: a in the lower half
    Neighbours(a, b)    of two vectors the pairs of neighbours: first those of a, then those of b
    Products(p, q)      of two pairs the product of the lower halves and that of the upper ones, added up

`Rounded` is a number; a pair is bits, of which only `Products` makes one again. Rounding is a decision of the
machine, not of mathematics: it is put in when all derivatives are taken. Processors take numbers below 2⁻¹²⁶
for 0 in these operations, and may round a sum once for both products; here every step is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray

from compiler.ir.scalar.choices import Scalar

ANYTHING = sympy.Dummy("anything", extended_real=True)
UPPER = np.uint32(0xFFFF0000)


class LowPrecision(Scalar):
    """An operation on numbers of eight digits, of which SymPy knows nothing but that zeros give 0."""

    def __new__(cls, *values: Any, evaluate: bool = True) -> Any:
        arguments = tuple(map(sympy.sympify, values))
        return sympy.S.Zero if evaluate and cls.vanishes(arguments) else super().__new__(cls, *arguments)

    @staticmethod
    def vanishes(arguments: tuple[sympy.Expr, ...]) -> bool:
        """Whether the value is 0, whatever is not known."""
        return all(argument.is_zero for argument in arguments)

    def _branches(self) -> tuple[sympy.Expr, ...]:
        return (ANYTHING,)

    def _numpycode(self, printer: Any) -> str:
        return f"{self.name}({', '.join(map(printer._print, self.args))})"


class Rounded(LowPrecision):
    """A number as a bfloat16."""

    name = "bfloat16"


class Pair(LowPrecision):
    """Two numbers as bfloat16, in the bits of one."""

    name = "pair"


class Neighbours(LowPrecision):
    """The values of two vectors, one behind the other, as pairs."""

    name = "neighbours"


class Products(LowPrecision):
    """The sum of the two products of a pair and another one."""

    name = "products"

    @staticmethod
    def vanishes(arguments: tuple[sympy.Expr, ...]) -> bool:
        return any(argument.is_zero for argument in arguments)


BY_NAME = {kind.name: kind for kind in (Rounded, Pair, Neighbours, Products)}
"""As they are printed."""


def _halves(values: ArrayLike) -> NDArray[np.uint32]:
    """The bits of each number as a bfloat16."""
    single = np.array(values, np.float32, ndmin=1)
    bits = single.view(np.uint32)
    nearest = (bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) >> np.uint32(16)
    return np.where(np.isnan(single), bits >> np.uint32(16) | np.uint32(0x40), nearest).astype(np.uint32)


def _as_float(bits: NDArray[np.uint32], like: ArrayLike) -> Any:
    return bits.view(np.float32).reshape(np.shape(like))[()]


def rounded(values: ArrayLike) -> Any:
    """Numbers of any dtype, rounded to bfloat16; of the dtype that they had."""
    kind = np.asarray(values).dtype
    return _as_float(_halves(values) << np.uint32(16), values).astype(kind)


def pair(low: ArrayLike, high: ArrayLike) -> Any:
    """The pairs of two arrays, lane by lane."""
    low, high = np.broadcast_arrays(low, high)
    return _as_float(_halves(high) << np.uint32(16) | _halves(low), low)


def neighbours(first: ArrayLike, second: ArrayLike) -> Any:
    """The pairs of neighbours in two vectors, one behind the other."""
    values = np.concatenate((np.asarray(first), np.asarray(second)))
    return pair(values[0::2], values[1::2])


def products(ones: ArrayLike, others: ArrayLike) -> Any:
    """Of pairs the sums of both products, in float32."""
    bits = [np.array(values, np.float32, ndmin=1).view(np.uint32) for values in (ones, others)]
    (low, other_low), (high, other_high) = (
        [part.view(np.float32) for part in parts]
        for parts in ([b << np.uint32(16) for b in bits], [b & UPPER for b in bits])
    )
    return (high * other_high + low * other_low).reshape(np.broadcast(ones, others).shape)[()]


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    Rounded.name: rounded,
    Pair.name: pair,
    Neighbours.name: neighbours,
    Products.name: products,
}
"""What the names mean in NumPy. Pairs are bits of float32."""
