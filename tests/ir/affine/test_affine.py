"""The algebra of affine index expressions against brute force over small boxes."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from compiler.ir.affine.expression import (
    Affine,
    FloorDiv,
    Mod,
    Read,
    atom_of,
    axis,
    constant,
    floor_div,
    mod,
    ravel,
    unravel,
)

EXTENTS = {"h": 4, "p": 3, "w": 2}
LABELS = (2, 0, 3, 1)


def value(affine: Affine, point: dict[str, int]) -> int:
    """The expression at one point, by its definition; `labels` is the one integer tensor."""
    total = affine.constant
    for atom, c in affine.terms:
        if isinstance(atom, str):
            total += c * point[atom]
        elif isinstance(atom, Read):
            total += c * LABELS[value(atom.indices[0], point)]
        elif isinstance(atom, FloorDiv):
            total += c * (value(atom.numerator, point) // atom.divisor)
        elif isinstance(atom, Mod):
            total += c * (value(atom.numerator, point) % atom.divisor)
    return total


def points() -> list[dict[str, int]]:
    return [dict(zip(EXTENTS, p, strict=True)) for p in product(*map(range, EXTENTS.values()))]


def random_affine(random: Random, depth: int = 2) -> Affine:
    total = constant(random.randint(-5, 5))
    for name in EXTENTS:
        total = total + axis(name) * random.randint(-4, 4)
    if depth and random.random() < 0.7:
        inner = random_affine(random, depth - 1)
        divisor = random.randint(1, 5)
        divide = random.choice((floor_div, mod))
        total = total + divide(inner, divisor) * random.randint(-3, 3)
    if random.random() < 0.3:
        total = total + atom_of(Read("labels", (axis("h"),), 4)) * random.randint(-2, 2)
    return total


@pytest.mark.parametrize("seed", range(60))
def test_arithmetic_and_divisions_mean_what_they_say(seed):
    random = Random(seed)
    a, b, divisor = random_affine(random), random_affine(random), random.randint(1, 6)
    for point in points():
        x, y = value(a, point), value(b, point)
        assert value(a + b, point) == x + y
        assert value(a - b, point) == x - y
        assert value(3 - a, point) == 3 - x
        assert value(a * -3, point) == -3 * x
        assert value(floor_div(a, divisor), point) == x // divisor
        assert value(mod(a, divisor), point) == x % divisor


@pytest.mark.parametrize("seed", range(60))
def test_the_interval_contains_every_value(seed):
    affine = random_affine(Random(seed))
    low, high = affine.interval(EXTENTS)
    assert all(low <= value(affine, point) <= high for point in points())


@pytest.mark.parametrize("seed", range(60))
def test_the_interval_of_plain_axes_is_reached(seed):
    affine = random_affine(Random(seed), depth=0)
    plain = Affine(tuple((a, c) for a, c in affine.terms if isinstance(a, str)), affine.constant)
    values = [value(plain, point) for point in points()]
    assert plain.interval(EXTENTS) == (min(values), max(values))


@pytest.mark.parametrize("seed", range(60))
def test_substitution_is_composition(seed):
    random = Random(seed)
    affine = random_affine(random)
    inner = {name: mod(random_affine(random, depth=1), n) for name, n in EXTENTS.items()}
    for point in points():
        image = {name: value(inner[name], point) for name in EXTENTS}
        assert value(affine.substitute(inner), point) == value(affine, image)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2), (1, 3, 1), (2, 2, 2)])
def test_ravel_and_unravel_are_inverse(shape):
    names = ("h", "p", "w")[: len(shape)]
    position = ravel(tuple(map(axis, names)), shape)
    digits = unravel(axis("u"), shape)
    for count, indices in enumerate(product(*map(range, shape))):
        assert value(position, dict(zip(names, indices, strict=True))) == count
        assert tuple(value(d, {"u": count}) for d in digits) == indices


def test_the_unravel_of_a_ravel_is_affine_where_the_extents_divide():
    h, w, c = map(axis, "hwc")
    position = ravel((h, w, c), (5, 6, 4))
    assert unravel(position, (30, 4))[1] == mod(c, 4)
    assert str(floor_div(position, 4)) == "6*h + w + (c)//4"


def test_the_batch_has_no_upper_bound():
    b, p = axis("b"), axis("p")
    assert (2 * b + p).interval({"b": None, "p": 3}) == (0, None)
    assert (p - b).interval({"b": None, "p": 3}) == (None, 2)
    assert mod(b, 4).interval({"b": None}) == (0, 3)


@pytest.mark.parametrize(
    ("affine", "printed"),
    [
        (2 * axis("h") + axis("p") - 1, "2*h + p - 1"),
        (-axis("p") + axis("u") + 1, "-p + u + 1"),
        (3 - axis("h"), "-h + 3"),
        (axis("h") - axis("h"), "0"),
        (constant(-4), "-4"),
        (floor_div(2 * axis("h") + axis("p"), 2), "h + (p)//2"),
        (mod(2 * axis("h") + axis("p") + 5, 2), "(p + 1)%2"),
        (axis("i") * 2 + floor_div(atom_of(Read("y.winner", (axis("i"),), 4)), 2), "2*i + (y.winner[i])//2"),
    ],
)
def test_printed_form(affine, printed):
    assert str(affine) == printed


def test_equal_expressions_compare_and_hash_equal_in_any_order_of_building():
    h, p, q = map(axis, "hpq")
    assert len({h + p + q, q + h + p, p + (q + h), 2 * h + p + q - h}) == 1
