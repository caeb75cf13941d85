"""Terms put into each other give the same values: random pairs of terms, run in the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hypothesis import currently_in_test_context, given, note, settings
from hypothesis import strategies as st

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Read, atom_of, axis, constant
from compiler.ir.scalar.choices import Maximum
from compiler.ir.tensor.compose import (
    Meeting,
    at_reads,
    at_writes,
    common,
    compose,
    inlined,
    linear_factor,
    plain_read,
    put_in,
)
from compiler.ir.tensor.editing import replaced, without_unused
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.printer import describe_term, print_program
from compiler.ir.tensor.program import Access, Axis, Definition, Guard, Program, Tensor, Term, make_term
from compiler.ir.tensor.verify import verify

R = sympy.symbols("r0 r1 r2", real=True)
LENGTH = 64
"""Of each real input: more than any index of a test reaches."""


def read(tensor: str, *indices: Affine | int) -> Access:
    return Access(tensor, tuple(constant(i) if isinstance(i, int) else i for i in indices))


def term(extents: dict[str, int | None], target: tuple, body: sympy.Expr, *reads: Access, guards=()) -> Term:
    axes = tuple(Axis(name, extent) for name, extent in extents.items())
    return make_term(axes, target, body, zip(R, reads, strict=False), guards)


def symbol_of(outer: Term) -> sympy.Symbol:
    """The only read of P."""
    (symbol,) = (symbol for symbol, access in outer.reads if access.tensor == "P")
    return symbol


def program_of(inner: Definition, outer: Definition) -> Program:
    inputs = tuple(Tensor(name, (LENGTH,), "input") for name in ("x", "g"))
    winner = Tensor("won", (8,), "input", "index", 3)
    program = Program((*inputs, winner), (inner, outer), (outer.name,))
    verify(program)
    return program


def check_same_values(inner: Definition, outer: Definition, put: Term) -> None:
    """`put`, which takes the place of the only term of `outer`, means the same without `inner`."""
    before = program_of(inner, outer)
    after = replaced(before, outer.name, Definition(outer.name, outer.shape, outer.operation, (put,)))
    after = without_unused(after, [inner.name])
    if currently_in_test_context():
        note(print_program(before))
        note(print_program(after))
    verify(after)
    assert inner.name not in after
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.standard_normal(LENGTH),
        "g": rng.standard_normal(LENGTH),
        "won": rng.integers(0, 3, 8),
    }
    expected, found = (run(program, arrays, batch=1)[outer.name] for program in (before, after))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


small = st.integers(1, 4)
NAMES = ("h", "p", "i")


@settings(max_examples=30)
@given(small, small, small, st.integers(1, 3), st.integers(0, 2), st.sampled_from(NAMES), st.booleans())
def test_a_function_is_put_in_where_it_is_read(h, p, j, stride, start, name, squared):
    """P[i, j] = f(x[…], g[…]) read at [s·h + p + start, j] by a sum: any body, and the names may clash."""
    place = stride * axis("h") + axis("p") + start
    reach = stride * (h - 1) + p + start
    columns = "p" if name == "p" else "j"
    function = R[0] * R[1] + 1 if squared else Maximum(R[0], R[1])
    own = {name: reach, "k": j}
    inner = term(
        own, (axis(name), axis("k")), function, read("x", axis(name) + axis("k")), read("g", axis("k"))
    )
    column = axis(columns) if columns == "j" else constant(0)
    extents = {"h": h, "p": p} | ({"j": j} if columns == "j" else {})
    body = R[0] ** 2 * R[1] if squared else R[0] + R[1]
    outer = term(extents, (axis("h"),), body, read("P", place, column), read("g", axis("p")))
    symbol = symbol_of(outer)
    put = inlined(outer, symbol, inner)
    check_same_values(
        Definition("P", (reach, j), "sum", (inner,)), Definition("T", (h,), "sum", (outer,)), put
    )


@settings(max_examples=30)
@given(small, small, small, st.sampled_from(["k", "h", "p"]))
def test_a_sum_is_put_in_where_it_is_read_linearly(h, p, k, summed):
    """P[i] = Σ_k x[i + 2k]·g[k] read at h + p: what it sums is summed, under a name of its own."""
    reach = h + p - 1
    inner = term(
        {"i": reach, summed: k},
        (axis("i"),),
        R[0] * R[1],
        read("g", axis(summed)),
        read("x", axis("i") + 2 * axis(summed)),
    )
    outer = term(
        {"h": h, "p": p}, (axis("h"),), R[0] * R[1], read("P", axis("h") + axis("p")), read("g", axis("p"))
    )
    symbol = symbol_of(outer)
    meeting = at_reads(outer, outer.access(symbol).indices, inner)
    put = compose(outer, symbol, inner, meeting, linear_factor(outer.body, symbol))
    check_same_values(Definition("P", (reach,), "sum", (inner,)), Definition("T", (h,), "sum", (outer,)), put)


@settings(max_examples=30)
@given(small, st.integers(1, 3), st.integers(0, 3), st.integers(1, 12), st.booleans(), st.sampled_from(NAMES))
def test_a_scatter_is_put_into_the_sum_that_reads_it(i, stride, start, length, by_winner, name):
    """P[s·i + start + won[i]] = x[i], cut off at P's end, read by T[p] = Σ_h P[h]·g[h + p]."""
    target = stride * axis(name) + start
    if by_winner:
        target = target + atom_of(Read("won", (axis(name),), 3))
    inner = term({name: i}, (target,), R[0], read("x", axis(name)))
    outer = term(
        {"h": length, "p": 3},
        (axis("p"),),
        R[0] * R[1],
        read("P", axis("h")),
        read("g", axis("h") + axis("p")),
    )
    symbol = symbol_of(outer)
    meeting = at_writes(outer, outer.access(symbol).indices, inner)
    if meeting is None:
        # No place that is written is one that is read.
        assert start >= length
        return
    put = compose(outer, symbol, inner, meeting)
    check_same_values(
        Definition("P", (length,), "sum", (inner,)), Definition("T", (3,), "sum", (outer,)), put
    )


@settings(max_examples=30)
@given(small, small, st.sampled_from(["scatter", "label", "outer", "same"]), st.sampled_from(["i", "b", "c"]))
def test_equations_are_solved_for_either_side(b, c, kind, name):
    """T[b] = Σ_c g[b]·P[b, c], where P is a scatter at a label, a product, or reads the same axes."""
    won = atom_of(Read("won", (axis(name),), 3))
    product = R[0] * R[1], read("x", axis(name)), read("g", axis("z"))
    inner, shape = {
        "scatter": (term({name: b}, (axis(name), constant(c - 1)), R[0], read("x", axis(name))), (b, c)),
        "label": (term({name: b}, (axis(name), won), R[0], read("x", axis(name))), (b, 3)),
        "outer": (term({name: b, "z": c}, (axis(name), axis("z")), *product), (b, c)),
        "same": (term({"b": b, "c": c}, (axis("b"), axis("c")), R[0], read("x", axis("c"))), (b, c)),
    }[kind]
    outer = term(
        {"b": b, "c": shape[1]},
        (axis("b"),),
        R[0] * R[1],
        read("P", axis("b"), axis("c")),
        read("g", axis("c")),
    )
    symbol = symbol_of(outer)
    meeting = common(outer, outer.access(symbol).indices, inner, shape)
    put = compose(outer, symbol, inner, meeting, linear_factor(outer.body, symbol))
    if kind == "label":
        assert [a.extent for a in put.axes] == [b], "the zeros beside the label are not visited"
    check_same_values(Definition("P", shape, "sum", (inner,)), Definition("T", (b,), "sum", (outer,)), put)


@settings(max_examples=30)
@given(small, small, st.integers(0, 2))
def test_an_element_is_put_in_over_the_places_that_are_written(h, c, start):
    """P[c·h + q] = x[h + q] and y[f] = P[f]·g[f + start]: y is written where P was."""
    inner = term({"h": h, "q": c}, (c * axis("h") + axis("q"),), R[0], read("x", axis("h") + axis("q")))
    outer = term({"h": h * c}, (axis("h"),), R[0] * R[1], read("P", axis("h")), read("g", axis("h") + start))
    definition = Definition("P", (h * c,), "sum", (inner,))
    symbol = plain_read(outer, definition)
    put = put_in(outer, symbol, inner)
    assert put.axes == inner.axes and put.target == inner.target and put.guards == ()
    check_same_values(definition, Definition("T", (h * c,), "sum", (outer,)), put)


def test_guards_of_both_are_kept():
    inner = term({"i": 6}, (axis("i"),), R[0], read("x", axis("i")), guards=[Guard(">=", axis("i") - 2)])
    outer = term(
        {"h": 4, "p": 3}, (axis("h"),), R[0], read("P", axis("h") + axis("p")),
        guards=[Guard("%", axis("p"), 2)],
    )  # fmt: skip
    put = compose(outer, R[0], inner, at_reads(outer, outer.access(R[0]).indices, inner))
    assert put.guards == (Guard("%", axis("p"), 2), Guard(">=", axis("h") + axis("p") - 2))
    check_same_values(Definition("P", (6,), "sum", (inner,)), Definition("T", (4,), "sum", (outer,)), put)


def test_the_worked_miniature_of_a_label():
    inner = term({"i": 4}, (axis("i"), atom_of(Read("won", (axis("i"),), 3))), R[0], read("h", axis("i")))
    outer = term(
        {"b": 4, "c": 3},
        (axis("b"),),
        R[0] * R[1],
        read("g", axis("b"), axis("c")),
        read("P", axis("b"), axis("c")),
    )
    symbol = symbol_of(outer)
    meeting = common(outer, outer.access(symbol).indices, inner, (4, 3))
    put = compose(outer, symbol, inner, meeting, linear_factor(outer.body, symbol))
    assert describe_term("s", put) == "s[b] += g[b, won[b]]*h[b]  for b:4"


def test_what_has_no_plain_solution_has_no_meeting():
    inner = term({"i": 3, "j": 2}, (2 * axis("i") + axis("j"),), R[0], read("x", axis("i")))
    outer = term({"h": 4, "p": 3}, (axis("h"),), R[0], read("P", axis("h") + axis("p")))
    indices = outer.access(R[0]).indices
    assert at_reads(outer, indices, inner) is None
    assert at_writes(outer, indices, inner) is None
    assert common(outer, indices, inner, (6,)) is None
    with pytest.raises(CompilerBug):
        inlined(outer, R[0], inner)


def test_a_range_that_is_not_proven_is_no_common_domain():
    """P has 3 elements that are written and is read at 4: the fourth is 0, not x[3]."""
    inner = term({"i": 3}, (axis("i"),), R[0], read("x", axis("i")))
    outer = term({"h": 4}, (axis("h"),), R[0], read("P", axis("h")))
    meeting = common(outer, outer.access(R[0]).indices, inner, (4,))
    put = compose(outer, R[0], inner, meeting, sympy.S.One)
    check_same_values(Definition("P", (4,), "sum", (inner,)), Definition("T", (4,), "sum", (outer,)), put)


@pytest.mark.parametrize("body", [R[0] ** 2, sympy.exp(R[0]), R[0] + 1, Maximum(R[0], 0)])
def test_what_is_not_linear_has_no_factor(body):
    assert linear_factor(body, R[0]) is None


def test_the_factor_of_a_product_is_the_rest():
    assert linear_factor(3 * R[0] * R[1], R[0]) == 3 * R[1]
    assert isinstance(Meeting((), {}, {}), Meeting)
