"""Values of a scalar expression at many points in 150 digits, with an account of how many are certain.

`exactly` has any exponent, so that nothing overflows; where too few digits are certain, its answer is NaN,
"not known". What an operation gives of a column is kept, since the bodies of a model have most parts in
common.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import mpmath
import sympy
from mpmath import libmp, mp

from compiler.simplify.digits import (
    IN_DIGITS,
    KEPT,
    PRECISION,
    Known,
    exact_number,
    is_finite,
    magnitude,
    raised,
)
from compiler.simplify.evaluate import UnknownScalar, ordered

NO_FLOAT = -200.0
"""The binary logarithm of what is smaller than any float32."""

Column = tuple[Known, ...]
"""One for each point."""


def exactly(expression: sympy.Expr, values: Mapping[sympy.Symbol, Sequence[Any]]) -> list[mpmath.mpf]:
    """The expression at every point in many digits; NaN where it has no finite value, or too few digits of it
    are known. A value that is known to be smaller than any float is known well enough.

    Raises UnknownScalar for an operation that is not known here.
    """
    known: dict[sympy.Basic, Column] = {
        symbol: tuple(map(_given, column)) for symbol, column in values.items()
    }
    count = len(next(iter(values.values()), ()))

    def visit(node: sympy.Basic) -> Column:
        if node not in known:
            known[node] = _exact_node(node, visit, count)
        return known[node]

    found = visit(expression)
    numbers = {one: _if_known(one) for one in set(found)}
    return [numbers[one] for one in found]


@lru_cache(maxsize=4096)
def _given(value: Any) -> Known:
    """A value of a symbol; they are drawn from few."""
    return Known(mpmath.mpf(value)._mpf_)


def _if_known(found: Known) -> mpmath.mpf:
    enough = max(magnitude(found.value) - KEPT, NO_FLOAT)
    return mp.make_mpf(found.value if is_finite(found.value) and found.doubt <= enough else libmp.fnan)


def _exact_node(node: sympy.Basic, visit: Callable[..., Any], count: int) -> Column:
    if node.is_number:
        number = exact_number(node)
        return (Known(number, -math.inf if node.is_Integer else magnitude(number) - PRECISION),) * count
    operands = list(map(visit, ordered(node) if node.is_Add or node.is_Mul else node.args))
    function = IN_DIGITS.get(type(node))
    if node.is_Pow and node.exp.is_Rational:
        function, operands = raised(node.exp), operands[:1]
    if function is None:
        raise UnknownScalar(f"{type(node).__name__} has no exact value")
    return _of_column(function, *operands)


@lru_cache(maxsize=512)
def _of_column(function: Callable[..., Known], *columns: Column) -> Column:
    """The values at each point; of the many points few differ."""
    points = list(zip(*columns, strict=True))
    known = {point: function(*point) for point in dict.fromkeys(points)}
    return tuple(known[point] for point in points)
