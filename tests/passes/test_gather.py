"""`gather` on named cases: the exact terms of convolutions and pools, their cost, and what stays as it is."""

from __future__ import annotations

import time
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import sympy

from compiler.derive.vjp import vjp
from compiler.ir.affine.expression import Read, atom_of, axis, floor_div, mod, ravel, unravel
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.maps import domain_size, interior
from compiler.ir.tensor.open_reads import open_read
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Reads, Tensor, Term, make_term
from compiler.passes.bounds import bounds
from compiler.passes.gather.gather import gather, iteration_count

b, c, h, i, j, o, p, q, w = map(axis, "bchijopqw")


def term_of(axes, target, *accesses: Access, guards=()) -> Term:
    """The product of the accesses over a domain."""
    reads = Reads()
    body = sympy.Mul(*(reads.symbol(access) for access in accesses))
    return make_term([Axis(n, e) for n, e in axes.items()], target, body, reads.pairs(), guards)


def bounded(term: Term, shape) -> Term:
    """The term after `bounds`; what it reads is made large enough."""
    inputs = tuple(Tensor(name, (99,), "input") for name in term.tensors)
    program, _ = bounds(Program(inputs, (Definition("y", shape, "sum", (term,)),), ("y",)))
    return program.definitions[0].terms[0]


def printed(term: Term) -> str:
    """A term in one line: its target, what it reads, its axes and its guards."""
    reads = "·".join(str(access) for _, access in term.reads) or str(term.body)
    where = f" if {', '.join(map(str, term.guards))}" if term.guards else ""
    target = ", ".join(map(str, term.target))
    return f"[{target}] += {reads} for {', '.join(map(str, term.axes))}{where}"


def window(extent: int, stride: int, size: int, pad: int = 0, dilation: int = 1):
    """The input cotangent of a one-dimensional convolution over `extent` elements, after `bounds`."""
    count = (extent + 2 * pad - dilation * (size - 1) - 1) // stride + 1
    row = h * stride + p * dilation - pad
    term = term_of({"h": count, "p": size}, (row,), Access("g", (h,)), Access("k", (p,)))
    return bounded(term, (extent,)), (extent,)


CONVOLUTIONS = {
    "3, stride 2, pad 1": (
        window(28, 2, 3, pad=1),
        [
            "[2*h] += g[h]·k[1] for h:14",
            "[2*u0 + 1] += g[-p + u0 + 1]·k[2*p] for u0:14, p:2 if p - u0 + 12 >= 0",
        ],
    ),
    "3, stride 1": (
        window(28, 1, 3),
        ["[u0] += g[-p + u0]·k[p] for u0:28, p:3 if -p + u0 >= 0, p - u0 + 25 >= 0"],
    ),
    "3, stride 1, pad 1": (
        window(28, 1, 3, pad=1),
        ["[u0] += g[-p + u0 + 1]·k[p] for u0:28, p:3 if -p + u0 + 1 >= 0, p - u0 + 26 >= 0"],
    ),
    "3, stride 2, dilation 2": (
        window(29, 2, 3, dilation=2),
        ["[2*u0] += g[-p + u0]·k[p] for u0:15, p:3 if -p + u0 >= 0, p - u0 + 12 >= 0"],
    ),
    "1, stride 2": (window(28, 2, 1), ["[2*h] += g[h]·k[0] for h:14"]),
    "2, stride 2": (
        window(28, 2, 2),
        ["[2*h] += g[h]·k[0] for h:14", "[2*h + 1] += g[h]·k[1] for h:14"],
    ),
    "3, stride 4, dilation 2": (
        window(29, 4, 3, dilation=2),
        [
            "[4*u0] += g[-p + u0]·k[2*p] for u0:8, p:2 if -p + u0 >= 0, p - u0 + 6 >= 0",
            "[4*h + 2] += g[h]·k[1] for h:7",
        ],
    ),
    "2, stride 3, dilation 2": (
        window(30, 3, 2, dilation=2),
        ["[3*h] += g[h]·k[0] for h:10", "[3*h + 2] += g[h]·k[1] for h:10"],
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_inverts_into_exactly_these_terms(name):
    (term, shape), expected = CONVOLUTIONS[name]
    inversion = gather(term, shape)
    assert [printed(t) for t in inversion.terms] == expected
    assert inversion.kind == "gather" and inversion.stores
    assert iteration_count(inversion.terms, 1) == domain_size(term, 1)


def strided_layer() -> tuple[Term, tuple]:
    """The input cotangent of a 3 by 3, stride 2, pad 1 convolution from 28² by 32 to 64 channels."""
    axes = {"b": None, "h": 14, "w": 14, "o": 64, "p": 3, "q": 3, "c": 32}
    gradient, kernel = Access("g", (b, h, w, o)), Access("k", (p, q, c, o))
    term = term_of(axes, (b, 2 * h + p - 1, 2 * w + q - 1, c), gradient, kernel)
    shape = (None, 28, 28, 32)
    inputs = (Tensor("g", (None, 14, 14, 64), "input"), Tensor("k", (3, 3, 32, 64), "input"))
    program, _ = bounds(Program(inputs, (Definition("y", shape, "sum", (term,)),), ("y",)))
    return program.definitions[0].terms[0], shape


def test_the_strided_layer_costs_its_forward_pass_and_is_mostly_free_of_tests():
    term, shape = strided_layer()
    inversion = gather(term, shape)
    assert (inversion.kind, inversion.stores, inversion.covers) == ("gather", True, True)
    assert inversion.reason == ("2*h + p - 1 solved for h in 2 phases; q + 2*w - 1 solved for w in 2 phases")
    assert [", ".join(map(str, t.target)) for t in inversion.terms] == [
        "b, 2*h, 2*w, c",
        "b, 2*h, 2*u2 + 1, c",
        "b, 2*u1 + 1, 2*w, c",
        "b, 2*u1 + 1, 2*u2 + 1, c",
    ]
    forward = (2 + 13 * 3) ** 2 * 64 * 32
    assert iteration_count(inversion.terms, 1) == forward == domain_size(term, 1)
    assert iteration_count(inversion.terms, 7) == 7 * forward
    free = sum(map(guard_free_points, inversion.terms))
    assert free / forward == pytest.approx(0.952, abs=0.001)


def guard_free_points(term: Term) -> int:
    """Points of one image at which no guard need be tested, whatever the reduction axes are."""
    spatial = [a for a in term.target_axes if a.extent is not None]
    return prod(len(interior(term, a.name)) for a in spatial) * prod(a.extent for a in term.reduction_axes)


def test_the_strided_layer_lowers_in_milliseconds():
    term, shape = strided_layer()
    gather(term, shape)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        gather(term, shape)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.02, took


def pool(stride: int, size: int, extent: int) -> tuple[Term, tuple, Term]:
    """The input cotangent of a max pool, through its saved winner, and its bounded form."""
    count = (extent - size) // stride + 1
    won = atom_of(Read("won", (b, i, j, c), size * size))
    target = (b, i * stride + floor_div(won, size), j * stride + mod(won, size), c)
    term = term_of({"b": None, "i": count, "j": count, "c": 8}, target, Access("g", (b, i, j, c)))
    return term, (None, extent, extent, 8)


def test_a_max_pool_reads_each_winner_once_for_each_element():
    term, shape = pool(2, 2, 12)
    inversion = gather(term, shape)
    assert [printed(t) for t in inversion.terms] == [
        f"[b, {row}, {column}, c] += g[b, i, j, c] for b:batch, i:6, j:6, c:8 if won[b, i, j, c]{which} == 0"
        for row, column, which in (
            ("2*i", "2*j", ""),
            ("2*i", "2*j + 1", " - 1"),
            ("2*i + 1", "2*j", " - 2"),
            ("2*i + 1", "2*j + 1", " - 3"),
        )
    ]
    assert (inversion.kind, inversion.stores, inversion.covers) == ("gather", True, True)
    assert inversion.reason.startswith(
        "won[b, i, j, c] opened into p:2, q:2; 2*i + p solved for i in 2 phases"
    )


def test_an_overlapping_max_pool_tests_one_recombined_winner():
    term, shape = pool(2, 3, 13)
    inversion = gather(term, shape)
    assert printed(inversion.terms[0]) == (
        "[b, 2*u1, 2*u2, c] += g[b, -p + u1, -q + u2, c] for b:batch, u1:7, u2:7, c:8, p:2, q:2"
        " if -p + u1 >= 0, p - u1 + 5 >= 0, -q + u2 >= 0, q - u2 + 5 >= 0,"
        " 6*p + 2*q - won[b, -p + u1, -q + u2, c] == 0"
    )
    assert printed(inversion.terms[3]) == (
        "[b, 2*i + 1, 2*j + 1, c] += g[b, i, j, c] for b:batch, i:6, j:6, c:8 if won[b, i, j, c] - 4 == 0"
    )
    assert (inversion.kind, inversion.stores) == ("gather", True)
    # The scatter is far cheaper: the caller compares.
    assert iteration_count(inversion.terms, 1) == (6 + 2 * 6) ** 2 * 8
    assert iteration_count([term], 1) == 6 * 6 * 8


def test_digits_that_do_not_spell_the_read_are_guarded_one_by_one():
    won = atom_of(Read("won", (i,), 5))
    for target, extents, guards in (
        ((2 * i + mod(won, 2),), {"p": 2}, "p - (won[i])%2 == 0"),
        ((2 * i + won, mod(won, 2)), {"p": 2, "q": 5}, "p - (won[i])%2 == 0, q - won[i] == 0"),
        ((2 * i + floor_div(won, 2), mod(won, 2)), {"p": 3, "q": 2}, "2*p + q - won[i] == 0"),
    ):
        term = open_read(term_of({"i": 3}, target), Read("won", (i,), 5))
        assert ", ".join(map(str, term.guards)) == guards
        assert term.extents == {"i": 3, **extents}


def test_a_global_max_writes_one_element_a_channel_and_stays_a_scatter():
    won = atom_of(Read("won", (b, c), 25))
    term = term_of({"b": None, "c": 8}, (b, floor_div(won, 5), mod(won, 5), c), Access("g", (b, c)))
    inversion = gather(term, (None, 5, 5, 8))
    assert (inversion.terms, inversion.kind, inversion.stores) == ((term,), "scatter", True)


def test_a_label_stays_a_scatter_unless_it_is_opened():
    label = atom_of(Read("label", (b,), 10))
    term = term_of({"b": None}, (b, label), Access("g", (b,)))
    kept = gather(term, (None, 10))
    assert (kept.terms, kept.kind, kept.stores, kept.covers) == ((term,), "scatter", True, False)
    assert kept.reason == (
        "label[b] is read from a tensor; no two points of the target axes write one element"
    )
    opened = gather(term, (None, 10), open_labels=True)
    assert [printed(t) for t in opened.terms] == ["[b, p] += g[b] for b:batch, p:10 if p - label[b] == 0"]
    assert (opened.kind, opened.stores, opened.covers) == ("gather", True, True)


def test_an_embedding_collides_and_says_so():
    word = atom_of(Read("word", (b, i), 1000))
    term = term_of({"b": None, "i": 5, "c": 8}, (word, c), Access("g", (b, i, c)))
    inversion = gather(term, (1000, 8))
    assert (inversion.terms, inversion.kind, inversion.stores) == ((term,), "scatter", False)
    assert inversion.reason == "word[b, i] is read from a tensor; two points may write one element"


def test_a_reshape_is_a_scatter_without_collisions_and_needs_no_initialisation():
    flat = term_of({"h": 5, "w": 5, "c": 64}, (ravel((h, w, c), (5, 5, 64)),), Access("g", (h, w, c)))
    folded = term_of({"h": 6, "w": 4}, unravel(ravel((h, w), (6, 4)), (3, 8)), Access("g", (h, w)))
    for term, shape in ((flat, (1600,)), (folded, (3, 8))):
        inversion = gather(term, shape)
        assert (inversion.terms, inversion.kind) == ((term,), "scatter")
        assert inversion.stores and inversion.covers


def test_a_diagonal_is_not_blown_up():
    term = term_of({"i": 5, "j": 3}, (i, i), Access("g", (i, j)))
    inversion = gather(term, (5, 5))
    assert (inversion.terms, inversion.kind, inversion.stores) == ((term,), "scatter", True)


def test_a_plain_target_is_a_gather_already():
    term = term_of({"b": None, "o": 4, "c": 3}, (b, c), Access("g", (b, o)), Access("k", (c, o)))
    inversion = gather(term, (None, 3))
    assert (inversion.terms, inversion.kind, inversion.stores, inversion.covers) == (
        (term,),
        "gather",
        True,
        True,
    )


def test_beyond_the_limit_of_phases_an_axis_with_coefficient_one_is_eliminated():
    term, shape = window(28, 2, 3, pad=1)
    inversion = gather(term, shape, phase_limit=1)
    assert [printed(t) for t in inversion.terms] == [
        "[u0] += g[h]·k[-2*h + u0 + 1] for u0:28, h:14 if -2*h + u0 + 1 >= 0, 2*h - u0 + 1 >= 0"
    ]
    assert inversion.reason == "2*h + p - 1 solved for p"
    assert iteration_count(inversion.terms, 1) == domain_size(term, 1)


def test_without_a_unit_coefficient_and_beyond_the_limit_the_scatter_stays():
    term, shape = window(40, 3, 4, dilation=2)
    inversion = gather(term, shape, phase_limit=1)
    assert (inversion.terms, inversion.kind, inversion.stores) == ((term,), "scatter", False)
    assert inversion.reason == "solving 3*h + 2*p for h takes 3 phases; two points may write one element"


def gathered(definition: Definition) -> Definition:
    terms = [t for term in definition.terms for t in gather(term, definition.shape).terms]
    return replace(definition, terms=tuple(terms))


GRID = [
    (operation, stride, dilation, pad, size)
    for operation in ("sum", "max")
    for stride in (1, 2, 3)
    for dilation in (1, 2, 3)
    for pad in (0, 1, 2)
    for size in (1, 2, 3)
]


@pytest.mark.parametrize(("operation", "stride", "dilation", "pad", "size"), GRID)
def test_derived_gradients_of_windows_are_the_same_gathered(operation, stride, dilation, pad, size):
    """x -> window -> y, differentiated by the VJP rule, over an extent that the stride does not divide."""
    extent = 11
    count = (extent + 2 * pad - dilation * (size - 1) - 1) // stride + 1
    reads = Reads()
    outside = 0.0 if operation == "sum" else float("-inf")
    body = reads.symbol(Access("x", (b, h * stride + p * dilation - pad), outside))
    if operation == "sum":
        body *= reads.symbol(Access("k", (p,)))
    axes = (Axis("b", None), Axis("h", count), Axis("p", size))
    y = Definition("y", (None, count), operation, (make_term(axes, (b, h), body, reads.pairs()),))
    inputs = (Tensor("x", (None, extent), "input"), Tensor("k", (size,), "parameter"))
    wrt = ("x", "k") if operation == "sum" else ("x",)
    program, _ = bounds(vjp(Program(inputs, (y,), ("y",)), "y", wrt, seed="input")[0])
    inverted = [d if d.dtype == "index" else gathered(d) for d in program.definitions]
    numbers = np.random.default_rng(size)
    arrays = {
        "x": numbers.integers(-9, 9, (2, extent)).astype(float),
        "k": numbers.integers(-9, 9, size).astype(float),
        "y.cotangent": numbers.integers(-9, 9, (2, count)).astype(float),
    }
    before, after = run(program, arrays), run(program.with_definitions(inverted), arrays)
    for name in before:
        assert np.array_equal(before[name], after[name]), name
