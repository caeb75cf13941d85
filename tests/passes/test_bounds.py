"""`bounds` on named cases: which guards appear, which padding stays, which terms go."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from compiler.derive.vjp import vjp
from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Read, atom_of, axis, floor_div, mod
from compiler.ir.scalar.choices import Maximum, Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Reads,
    Tensor,
    make_term,
)
from compiler.ir.tensor.stepwise import stepwise
from compiler.ir.tensor.verify import verify
from compiler.passes.bounds import bounds

b, h, p, c = map(axis, "bhpc")


def definition(axes, target, accesses, body, operation="sum", shape=(4,), guards=()):
    """One definition `y`; `body` maps the symbols of the accesses to an expression."""
    reads = Reads()
    symbols = [reads.symbol(access) for access in accesses]
    domain = [Axis(name, extent) for name, extent in axes.items()]
    term = make_term(domain, target, body(*symbols), reads.pairs(), guards)
    return Definition("y", shape, operation, (term,))


def bounded(found: Definition, *inputs: Tensor):
    program, rewrites = bounds(Program(inputs, (found,), ("y",)))
    return program.definitions[0], rewrites


X = Tensor("x", (8,), "input")


def padded(value: float) -> Access:
    return Access("x", (2 * h + p - 1,), value)


def test_a_padded_convolution_gains_the_one_guard_that_is_not_provable():
    kernel = Tensor("k", (3,), "parameter")
    found = definition({"h": 4, "p": 3}, (h,), (padded(0.0), Access("k", (p,))), lambda x, k: x * k)
    result, rewrites = bounded(found, X, kernel)
    (term,) = result.terms
    assert [str(g) for g in term.guards] == ["2*h + p - 1 >= 0"]
    assert [str(a) for _, a in term.reads] == ["k[p]", "x[2*h + p - 1]"]
    (rewrite,) = rewrites
    assert rewrite.before == "y[h] from k[p], pad(x, 0)[2*h + p - 1]"
    assert rewrite.after == "y[h] from k[p], x[2*h + p - 1]  if 2*h + p - 1 >= 0"


def test_padding_is_guarded_exactly_when_the_point_contributes_the_identity():
    infinity = float("inf")
    neutral = [
        ("sum", 0.0, lambda x: x),
        ("sum", 0.0, lambda x: Select(Less(0, x), x, 0)),
        ("sum", -infinity, sympy.exp),
        ("max", -infinity, lambda x: x),
        ("max", -infinity, lambda x: x + 1),
        ("argmax", -infinity, lambda x: x),
        ("min", infinity, lambda x: x),
    ]
    other = [
        ("sum", 0.0, sympy.exp),
        ("sum", 0.0, lambda x: x + 1),
        ("max", 0.0, lambda x: x),
        ("max", -infinity, lambda x: Maximum(x, 0)),
        ("min", -infinity, lambda x: x),
    ]
    for kept, table in ((False, neutral), (True, other)):
        for operation, outside, body in table:
            found = definition({"h": 4, "p": 3}, (h,), (padded(outside),), body, operation)
            (term,) = bounded(found, X)[0].terms
            assert (term.reads[0][1].outside is not None) == kept, (operation, outside)
            assert bool(term.guards) != kept


def test_padding_that_is_never_read_is_no_padding():
    found = definition({"h": 4}, (h,), (Access("x", (2 * h + 1,), 0.0),), sympy.exp)
    (term,) = bounded(found, X)[0].terms
    assert term.reads[0][1].outside is None and not term.guards


def test_a_guard_gained_for_one_read_makes_the_other_safe():
    z = Tensor("z", (8,), "input")
    accesses = (padded(0.0), Access("z", (2 * h + p - 1,), 0.0))
    (term,) = bounded(definition({"h": 4, "p": 3}, (h,), accesses, lambda x, z: x * sympy.exp(z)), X, z)[
        0
    ].terms
    assert [access.outside for _, access in term.reads] == [None, None]


def test_dropped_writes_become_guards_and_provable_ones_go():
    x = Tensor("x", (5,), "input")
    guards = (Guard(">=", h), Guard(">=", 2 * h - 1), Guard(">=", h - 1), Guard(">=", 4 - h))
    found = definition({"h": 5}, (h - 1,), (Access("x", (h,)),), lambda x: x, shape=(3,), guards=guards)
    (term,) = bounded(found, x)[0].terms
    assert [str(g) for g in term.guards] == ["h - 1 >= 0", "-h + 3 >= 0"]


def test_a_target_that_is_read_from_a_tensor_is_guarded_unless_its_interval_is_inside():
    won = atom_of(Read("won", (h,), 4))
    inputs = (Tensor("x", (4,), "input"), Tensor("won", (4,), "label", "index", 4))
    for target, shape, expected in (
        ((2 * h + floor_div(won, 2), mod(won, 2)), (8, 2), []),
        ((2 * h + floor_div(won, 2) - 1, mod(won, 2)), (6, 2), ["low", "high"]),
    ):
        found = definition({"h": 4}, target, (Access("x", (h,)),), lambda x: x, shape=shape)
        (term,) = bounded(found, *inputs)[0].terms
        names = {"2*h + (won[h])//2 - 1 >= 0": "low", "-2*h - (won[h])//2 + 6 >= 0": "high"}
        assert [names[str(g)] for g in term.guards] == expected


def test_a_term_that_never_writes_goes_and_the_tensor_keeps_its_identity():
    never = (Guard("==", 2 * h - 1),)
    found = definition({"h": 4}, (h,), (Access("x", (h,)),), lambda x: x, guards=never)
    result, (rewrite,) = bounded(found, X)
    assert rewrite.after == "(removed)"
    assert not result.terms[0].guards and result.terms[0].body == 0
    values = run(Program((X,), (result,), ("y",)), {"x": np.ones(8)})
    assert np.array_equal(values["y"], np.zeros(4))


def test_only_the_batch_axis_may_index_the_batch():
    x = Tensor("x", (None, 3), "input")
    accesses = (Access("x", (b, c)),)
    (term,) = bounded(definition({"b": None, "c": 3}, (b, c), accesses, lambda x: x, shape=(None, 3)), x)[
        0
    ].terms
    assert not term.guards
    with pytest.raises(CompilerBug, match="the batch dimension is indexed by b \\+ 1"):
        bounded(definition({"b": None, "c": 3}, (b + 1, c), accesses, lambda x: x, shape=(None, 3)), x)


def test_nothing_to_do_is_nothing_done():
    found = definition({"h": 4}, (h,), (Access("x", (2 * h,)),), sympy.exp)
    result, rewrites = bounded(found, X)
    assert result == found and rewrites == ()


@pytest.mark.parametrize("stride", (1, 2, 3))
@pytest.mark.parametrize("pad", (0, 1, 2))
@pytest.mark.parametrize("operation", ("sum", "max"))
def test_the_gradients_of_a_padded_window_stay_the_same(operation, stride, pad):
    size, window = 7, 3
    count = (size + 2 * pad - window) // stride + 1
    row: Affine = h * stride + p - pad
    outside = 0.0 if operation == "sum" else float("-inf")
    axes, accesses = {"b": None, "h": count, "p": window}, (Access("x", (b, row), outside),)
    found = definition(axes, (b, h), accesses, lambda x: x, operation, shape=(None, count))
    x = Tensor("x", (None, size), "input")
    program, _ = vjp(Program((x,), (found,), ("y",)), "y", ("x",), seed="input")
    numbers = np.random.default_rng(0)
    arrays = {"x": numbers.normal(size=(2, size)), "y.cotangent": numbers.normal(size=(2, count))}
    explicit, _ = bounds(program)
    assert all(access.outside is None for d in explicit.definitions for t in d.terms for _, access in t.reads)
    before, after = run(program, arrays), run(explicit, arrays)
    for name in before:
        assert np.array_equal(before[name], after[name]), name


def test_a_circle_whose_read_never_happens_is_put_in_order():
    """One step alone: y reads z, which is defined behind it and would have read y a step before."""
    text = """
input x: (batch, 1, 3) real
y: (batch, 1, 3) real = sum of "layer"
    for b:batch, t:1, u:3: [b, t, u] += x[b, t, u]
    for b:batch, t:1, u:3 if u - 1 >= 0: [b, t, u] += tanh(z[b, t, u - 1])
z: (batch, 1, 3) real = sum of "layer"
    for b:batch, t:1, u:3: [b, t, u] += 1/2*x[b, t, u]
    for b:batch, t:1, u:3 if t - 1 >= 0: [b, t, u] += y[b, t - 1, u]
outputs y
"""
    program = stepwise(parse_program(text))
    explicit, rewrites = bounds(program)
    verify(explicit)
    assert len(rewrites) == 1 and [d.name for d in explicit.definitions] == ["z", "y"]
