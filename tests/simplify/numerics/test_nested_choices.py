"""Which side of a choice an input is on is read off the output only where it is proved for all of a side."""

from __future__ import annotations

import math
from random import Random

import pytest
import sympy

from tests.many import MASKS, PARTS
from tests.simplify.numerics.accuracy import Wrong, as_text, wrong_values, x

exp = sympy.exp


def decimal(random: Random, low: float, high: float) -> sympy.Rational:
    return sympy.Rational(str(round(random.uniform(low, high), 2))) or sympy.S.One


def nested(random: Random) -> tuple[sympy.Expr, ...]:
    """Stages, the second a choice of which the low side is itself one: whether its input is above 0 cannot
    be read off its output."""
    below = random.choice((-x, decimal(random, -1, 1) * x, 1 + x**2, -exp(x)))
    chosen = sympy.Piecewise((x, x > 0), (below, x < 0), (0, True))
    last = random.choice((sympy.sqrt(1 + x**2), x**2 + x, sympy.tanh(x)))
    return decimal(random, -2, 2) * x + decimal(random, -2, 2), chosen, last


def wrong_sides(numbers: range) -> list[str]:
    wrong = []
    for number in numbers:
        line, chosen, last = stages = nested(Random(number))
        whole = last.subs(x, chosen.subs(x, line))
        points = (-90.0, -7.3, -2.6, -1.1, -0.4, 0.3, 0.9, 2.2, 5.7, 15.0)
        found = wrong_values(whole, as_text(*stages), points=points, modes=(("vjp",), ("jvp",))[number % 2])
        wrong += [f"{whole}: {one}" for one in found if is_another_side(one)]
    return wrong


def is_another_side(one: Wrong) -> bool:
    """Whether it is more than digits that are lost where the last stage has become flat."""
    return not math.isclose(one.found, one.right, rel_tol=0.01, abs_tol=1e-3)


@pytest.mark.parametrize("part", range(4))
def test_masks_of_nested_choices_are_on_the_right_side(part: int) -> None:
    """With y = u if u > 0 else (-u if u < 0 else 0) the mask u > 0 was read off y > 0: a wrong gradient."""
    assert not wrong_sides(MASKS.few[part::4])


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_many_masks_of_nested_choices(part: int) -> None:
    assert not wrong_sides(MASKS.part(part))
