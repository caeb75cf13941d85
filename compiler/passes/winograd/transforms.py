"""Cook-Toom transforms: m outputs of a filter with r taps from m + r - 1 products, and their accuracy.

    y[k] = Σ_p x[k + p]·g[p]      k < m, p < r          r·m multiplications
    y    = Aᵀ((G g) ∘ (B x))                            m + r - 1 multiplications

A polynomial of degree < n = m + r - 1 is known by its values at n - 1 points and its leading coefficient
(its value at infinity). So the product s(z) = u(z)·v(z), deg u < m, deg v < r, is

    s(z) = Σ_a u(a)·v(a)·L_a(z) + u_∞·v_∞·Π_a (z - a)        L_a(z) = Π_{b ≠ a} (z - b) / (a - b)

Its coefficients are bilinear in those of u and v: s_n = Σ_{k+p=n} u_k·v_p. With v = g fixed, the map from u
to s is the transpose of the map from x to y above; transposing the three factors of the identity gives A, G
and B: values of u, values of v over the denominator, coefficients of the numerators. For m = 2, r = 3 this
is Winograd's F(2, 3).

Sources: A. L. Toom (1963), S. A. Cook (1966); S. Winograd, Arithmetic Complexity of Computations (1980);
A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import sympy

Matrix = tuple[tuple[sympy.Rational, ...], ...]

POINTS = tuple(sympy.Rational(*p) for p in ((0, 1), (1, 1), (-1, 1), (1, 2), (-1, 2), (2, 1), (-2, 1)))
"""Where polynomials may be evaluated: 0 and powers of two, so that a multiplication by a point is exact."""
LARGEST = len(POINTS) + 1
"""Values a polynomial can be known by at most: one for each point, and its leading coefficient."""


@dataclass(frozen=True)
class Transform:
    """F(m, r), n = m + r - 1: `output` is A (n, m), `kernel` is G (n, r), `input` is B (n, n)."""

    points: tuple[sympy.Rational, ...]
    output: Matrix
    kernel: Matrix
    input: Matrix

    @property
    def outputs(self) -> int:
        """m: outputs of a tile."""
        return len(self.output[0])

    @property
    def taps(self) -> int:
        """r: taps of the filter."""
        return len(self.kernel[0])

    @property
    def size(self) -> int:
        """m + r - 1: multiplications of a tile, and inputs that it reads."""
        return len(self.output)

    @cached_property
    def amplification(self) -> sympy.Rational:
        """How much larger than in the direct form the numbers that are added up can be.

        With |x| <= 1 and |g| <= 1 the direct form adds numbers of total magnitude r at most; this one
        max_k Σ_a |A[a,k]|·(Σ_p |G[a,p]|)·(Σ_s |B[a,s]|).
        """
        rows = [_norm(g) * _norm(b) for g, b in zip(self.kernel, self.input, strict=True)]
        totals = [
            sum(abs(a[k]) * row for a, row in zip(self.output, rows, strict=True))
            for k in range(self.outputs)
        ]
        return max(totals) / self.taps

    @cached_property
    def depth(self) -> int:
        """Roundings that a value goes through: the longest sum of each transform, and that of G's entries."""
        columns = tuple(zip(*self.output, strict=True))
        return 1 + sum(max(map(_length, rows)) for rows in (columns, self.kernel, self.input))


def error_ratio(transforms: Sequence[Transform], summed: int) -> sympy.Rational:
    """The worst-case error bound of a convolution by these transforms, one for each transformed axis, over
    that of the direct form; `summed` products are added up for an output besides the taps of those axes.

    To first order in the unit roundoff u, a sum of n products in any order is off by at most n·u times the
    sum of their magnitudes. Direct: n = summed·Πr. Transformed: every number is a sum of `summed` products,
    plus what the transforms round, and the magnitudes are larger by the product of the amplifications. That
    is the bound of B. Barabasz, A. Anderson, K. M. Soodhalter, D. Gregg, Error Analysis and Improving the
    Accuracy of Winograd Convolution for Deep Neural Networks, ACM Transactions on Mathematical Software
    46(4), 2020, taken component by component instead of in norms.
    """
    direct = summed
    transformed = summed
    growth = sympy.S.One
    for transform in transforms:
        direct *= transform.taps
        transformed += transform.depth
        growth *= transform.amplification
    return growth * transformed / direct


@cache
def transform(outputs: int, taps: int) -> Transform:
    """F(outputs, taps) at the points, 0 among them, that amplify least; at most `LARGEST` multiplications."""
    count = outputs + taps - 2
    candidates = [derive(outputs, taps, (POINTS[0], *rest)) for rest in combinations(POINTS[1:], count - 1)]
    return min(candidates, key=lambda candidate: candidate.amplification)


def derive(outputs: int, taps: int, points: Sequence[sympy.Rational]) -> Transform:
    """F(outputs, taps) from the values at outputs + taps - 2 distinct points and the leading coefficient."""
    z = sympy.Symbol("z")
    size = outputs + taps - 1
    infinity = len(points)
    output, kernel, rows = [], [], []
    for number in range(infinity + 1):
        others = [point for k, point in enumerate(points) if k != number]
        numerator = sympy.Poly(sympy.prod(z - other for other in others), z)
        if number == infinity:
            output.append(_leading(outputs))
            kernel.append(_leading(taps))
        else:
            denominator = numerator.eval(points[number])
            output.append(tuple(points[number] ** k for k in range(outputs)))
            kernel.append(tuple(points[number] ** p / denominator for p in range(taps)))
        coefficients = numerator.all_coeffs()[::-1]
        rows.append((*coefficients, *[sympy.S.Zero] * (size - len(coefficients))))
    return Transform(tuple(points), tuple(output), tuple(kernel), tuple(rows))


def _leading(size: int) -> tuple[sympy.Rational, ...]:
    """The row that picks the last coefficient."""
    return (*[sympy.S.Zero] * (size - 1), sympy.S.One)


def _norm(row: Sequence[sympy.Rational]) -> sympy.Rational:
    return sum(map(abs, row), sympy.S.Zero)


def _length(row: Sequence[sympy.Rational]) -> int:
    return sum(value != 0 for value in row)
