"""Facts about index maps and guards on named cases; `test_random_maps` checks them on thousands."""

from __future__ import annotations

import pytest
import sympy

from compiler.ir.affine.expression import Read, atom_of, axis, floor_div, mod, ravel, unravel
from compiler.ir.affine.guards import canonical_guard, implied, simplify_guards
from compiler.ir.tensor.maps import (
    covers,
    determined,
    disjoint,
    domain_size,
    free_axes,
    injective_given,
    inside,
    interior,
    is_injective,
)
from compiler.ir.tensor.program import Axis, Guard, make_term

b, c, h, o, p, q, u, w = map(axis, "bchopquw")


def term_of(axes, target, *guards):
    return make_term([Axis(n, e) for n, e in axes.items()], target, sympy.S.One, (), guards)


def test_inside():
    extents = {"b": None, "h": 13, "p": 3}
    assert inside((b, 2 * h + p), (None, 27), extents)
    assert not inside((b, 2 * h + p), (None, 26), extents)
    assert not inside((b, 2 * h + p - 1), (None, 27), extents)
    assert not inside((b + 1, h), (None, 13), extents)
    assert not inside((h, h), (None, 13), extents)
    assert not inside((b,), (64,), extents)


def test_the_input_cotangent_of_a_convolution():
    term = term_of({"b": None, "h": 13, "p": 3, "c": 4, "o": 5}, (b, 2 * h + p, c))
    assert free_axes(term) == ("b", "c")
    assert not is_injective(term)
    assert not injective_given(term, frozenset())
    assert injective_given(term, frozenset({"p"}))
    assert injective_given(term, frozenset({"h"}))
    assert determined(term, frozenset({"p"})) == {"b", "h", "p", "c"}
    assert covers(term, (None, 27, 4))
    assert not covers(term, (None, 28, 4))


def test_windows_that_do_not_overlap_are_free_of_races():
    term = term_of({"b": None, "h": 13, "p": 2, "c": 4}, (b, 2 * h + p, c))
    assert free_axes(term) == ("b", "h", "p", "c")
    assert is_injective(term)
    assert covers(term, (None, 26, 4))


def test_a_row_is_injective_by_divisibility_too():
    # 3h + 2p is no number in base 3, but p < 3 is fixed by its residue.
    assert is_injective(term_of({"h": 5, "p": 3}, (3 * h + 2 * p,)))
    assert not is_injective(term_of({"h": 5, "p": 4}, (3 * h + 2 * p,)))


def test_a_reshape_is_injective_and_covers():
    position = ravel((h, w, c), (5, 6, 7))
    for target, shape in (((position,), (210,)), (unravel(position, (10, 7, 3)), (10, 7, 3))):
        term = term_of({"h": 5, "w": 6, "c": 7}, target)
        assert is_injective(term) and covers(term, shape)


def test_reads_are_unknown_values_within_their_range():
    label = atom_of(Read("label", (b,), 10))
    assert is_injective(term_of({"b": None}, (b, label)))
    assert free_axes(term_of({"b": None, "c": 3}, (label, c))) == ("c",)
    won = atom_of(Read("won", (b, h), 4))
    # The winner of a window of two by two: 2h + won//2 is a number in base 2 whatever the winner is.
    pooled = term_of({"b": None, "h": 5}, (b, 2 * h + floor_div(won, 2), mod(won, 2)))
    assert is_injective(pooled)
    assert not is_injective(term_of({"b": None, "h": 5}, (b, h + floor_div(won, 2), mod(won, 2))))
    assert not covers(pooled, (None, 10, 2))


def test_an_equality_guard_determines_an_axis():
    term = term_of({"h": 6, "u": 3}, (u,), Guard("==", h - 2 * u))
    assert is_injective(term)
    assert free_axes(term_of({"h": 6, "u": 3}, (u,))) == ("u",)


def test_terms_are_disjoint_by_residue_or_by_interval():
    even, odd = term_of({"u": 5}, (2 * u,)), term_of({"u": 5}, (2 * u + 1,))
    assert disjoint(even, odd) and not disjoint(even, even)
    assert disjoint(term_of({"h": 3, "u": 5}, (h, 2 * u)), term_of({"h": 4}, (h, 4 * h + 1)))
    first, second = term_of({"u": 5}, (u,)), term_of({"h": 7}, (h + 5,))
    assert disjoint(first, second) and not disjoint(first, term_of({"h": 7}, (h + 4,)))
    assert not disjoint(term_of({"b": None}, (b,)), term_of({"b": None}, (b,)))


def test_guards_that_keep_the_target_inside_do_not_uncover_it():
    low, high = Guard(">=", 2 * h + p - 1), Guard(">=", 26 - 2 * h - p)
    axes = {"h": 14, "p": 3}
    assert covers(term_of(axes, (2 * h + p - 1,), low, high), (26,))
    assert not covers(term_of(axes, (2 * h + p - 1,), Guard(">=", 2 * h + p - 2)), (28,))
    assert covers(term_of({**axes, "q": 2}, (2 * h + p - 1,), Guard("==", q - 1)), (28,))


def test_domain_size_counts_guards_between_axes_and_not_those_that_read():
    won = atom_of(Read("won", (h,), 3))
    axes = {"b": None, "h": 14, "p": 3, "c": 8}
    guard = Guard(">=", 2 * h + p - 1)
    assert domain_size(term_of(axes, (b, h), guard), 4) == 4 * (14 * 3 - 1) * 8
    assert domain_size(term_of(axes, (b, h), guard, Guard("==", p - won)), 4) == 4 * (14 * 3 - 1) * 8
    assert domain_size(term_of(axes, (b, h), Guard("%", h + p, 2)), 1) == 14 * 3 // 2 * 8


def test_the_interior_needs_no_test():
    term = term_of({"u": 14, "p": 3}, (u,), Guard(">=", u - p + 1), Guard(">=", 12 - u + p))
    assert interior(term, "u") == range(1, 13)
    assert interior(term, "p") == range(1, 2)
    assert interior(term_of({"u": 14, "p": 3}, (u,), Guard(">=", u - 7 * p)), "p") == range(1)
    assert interior(term_of({"u": 14}, (u,), Guard(">=", floor_div(u, 2) - 1)), "u") == range(0)
    assert interior(term_of({"u": 14}, (u,)), "u") == range(14)


@pytest.mark.parametrize(
    ("guard", "printed"),
    [
        (Guard(">=", 2 * h - 1), "h - 1 >= 0"),
        (Guard(">=", 4 * h + 2 * p - 3), "2*h + p - 2 >= 0"),
        (Guard("==", -2 * h + 4 * p), "h - 2*p == 0"),
        (Guard("==", 2 * h - 1), "-1 >= 0"),
        (Guard("%", 2 * h + 4 * p, 4), "(h) % 2 == 0"),
        (Guard("%", 5 * h + 7, 3), "(2*h + 1) % 3 == 0"),
        (Guard("%", 2 * h + 1, 4), "-1 >= 0"),
        (Guard("%", 4 * h, 2), "0 >= 0"),
    ],
)
def test_canonical_guards(guard, printed):
    assert str(canonical_guard(guard)) == printed


def test_simplified_guards_are_what_is_left_to_test():
    extents = {"h": 5, "p": 3}
    given = (
        Guard(">=", h),
        Guard(">=", h - 1),
        Guard(">=", 2 * h - 5),
        Guard(">=", 4 - h),
        Guard(">=", 5 - h - p),
    )
    assert [str(g) for g in simplify_guards(given, extents)] == ["h - 3 >= 0", "-h - p + 5 >= 0"]
    assert simplify_guards([Guard(">=", h - 5)], extents) is None
    assert simplify_guards([Guard("==", h + 1)], extents) is None
    assert simplify_guards([Guard(">=", h + p - 4), Guard(">=", 3 - h - p)], extents) is None
    assert implied(Guard(">=", h - 1), [Guard(">=", h - 3)])
    assert not implied(Guard(">=", h - 3), [Guard(">=", h - 1)])
