"""Every invariant of a tensor program, broken once; and what is verified never reads outside."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.derive.vjp import vjp
from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Read, atom_of, axis, constant, floor_div, mod
from compiler.ir.affine.proofs import contradict
from compiler.ir.tensor import verify as verification
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Tensor,
    Term,
    make_term,
    read_symbol,
)
from compiler.ir.tensor.verify import is_nonnegative, verify

b, h, p, i = map(axis, "bhpi")
B, H, P = Axis("b", None), Axis("h", 4), Axis("p", 3)
r0, r1 = read_symbol(0), read_symbol(1)

INPUTS = (
    Tensor("x", (None, 9), "input"),
    Tensor("kernel", (3,), "parameter"),
    Tensor("label", (None,), "label", "index", 4),
)
WINDOW = make_term((B, H, P), (b, h), r0, ((r0, Access("x", (b, 2 * h + p))),))
CONVOLUTION = make_term(
    (B, H, P), (b, h), r0 * r1, ((r0, Access("kernel", (p,))), (r1, Access("x", (b, 2 * h + p))))
)
LABEL = atom_of(Read("label", (b,), 4))


def program(*definitions: Definition, inputs=INPUTS, outputs=("y",)) -> Program:
    return Program(inputs, definitions, outputs)


def of(term: Term, operation: str = "sum", **changes) -> Program:
    """A program of the one definition `y` with the one term."""
    dtype = "index" if operation.startswith("arg") else "real"
    return program(replace(Definition("y", (None, 4), operation, (term,), dtype), **changes))


def reading(*indices: Affine, axes=(B, H, P), target=(b, h), guards=(), tensor="x", outside=None) -> Program:
    access = Access(tensor, indices, outside)
    return of(make_term(axes, target, r0, ((r0, access),), guards))


def test_valid_programs_pass() -> None:
    verify(of(CONVOLUTION))
    verify(reading(b, 2 * h + p))
    verify(reading(b, h + 9, outside=0.0))
    verify(reading(b, LABEL))
    best = program(Definition("y", (None, 4), "max", (WINDOW,)))
    total = make_term((B, H), (), r0, ((r0, Access("y", (b, h))),))
    scalar = best.with_definitions((*best.definitions, Definition("loss", (), "sum", (total,))))
    verify(vjp(scalar, "loss", ("x",))[0])


BROKEN: dict[str, tuple[Callable[[], Program], str]] = {
    "an unbound axis": (lambda: reading(b, i), "y, term 1: axis i is not bound"),
    "an unbound axis of a guard": (
        lambda: reading(b, h, guards=(Guard(">=", i),)),
        "axis i is not bound",
    ),
    "an unbound axis inside a read": (
        lambda: reading(b, atom_of(Read("label", (i,), 4))),
        "axis i is not bound",
    ),
    "an axis bound twice": (lambda: reading(b, h, axes=(B, H, H)), "axis h is bound 2 times"),
    "an empty axis": (lambda: reading(b, h, axes=(B, Axis("h", 0))), "axis h:0 is empty"),
    "a malformed guard": (lambda: reading(b, h, guards=(Guard("%", h, 0),)), "malformed guard"),
    "a wrong number of indices": (lambda: reading(b), r"x\[b\] has 1 indices, its tensor has 2"),
    "a wrong number of target indices": (
        lambda: reading(b, h, target=(b,)),
        "the target y has 1 indices, its tensor has 2",
    ),
    "a wrong number of indices of an integer": (
        lambda: reading(b, atom_of(Read("label", (b, h), 4))),
        r"label\[b, h\] has 2 indices, its tensor has 1",
    ),
    "a read above": (lambda: reading(b, 2 * h + p + 1), r"x\[b, 2\*h \+ p \+ 1\]: cannot prove .* < 9"),
    "a read below": (lambda: reading(b, 2 * h + p - 1), "cannot prove 2.*- 1 >= 0"),
    "an integer read outside": (
        lambda: reading(b, atom_of(Read("rows", (2 * h,), 9))).replace(
            inputs=(*INPUTS, Tensor("rows", (4,), "input", "index", 9))
        ),
        r"rows\[2\*h\]: cannot prove 2\*h < 4",
    ),
    "a read too early": (lambda: reading(b, h, tensor="later"), "y, term 1: later is read before"),
    "a read of itself": (lambda: reading(b, h, tensor="y"), "y needs itself, and no order of steps"),
    "a shifted batch": (lambda: reading(b + 1, h), r"the batch dimension is indexed by b \+ 1"),
    "a batch indexed by another axis": (lambda: reading(h, h), "the batch dimension is indexed by h"),
    "a target's batch indexed by another axis": (
        lambda: reading(b, h, target=(h, h)),
        "the target y: the batch dimension is indexed by h",
    ),
    "a batch axis elsewhere": (lambda: reading(b, b), "cannot prove b < 9"),
    "a symbol without a read": (
        lambda: of(Term((B, H), (b, h), r0 + r1, ((r0, Access("x", (b, h))),))),
        "symbol r1 of the body stands for no read",
    ),
    "a read without a symbol": (
        lambda: of(Term((B, H), (b, h), sympy.S.One, ((r0, Access("x", (b, h))),))),
        "the body does not use r0",
    ),
    "a symbol of two reads": (
        lambda: of(Term((B, H), (b, h), r0, ((r0, Access("x", (b, h))), (r0, Access("x", (b, h + 1)))))),
        "symbol r0 stands for several reads",
    ),
    "a read of two symbols": (
        lambda: of(Term((B, H), (b, h), r0 + r1, ((r0, Access("x", (b, h))), (r1, Access("x", (b, h)))))),
        "2 symbols stand for",
    ),
    "a condition for a body": (
        lambda: of(Term((B, H), (b, h), r0 > 0, ((r0, Access("x", (b, h))),))),
        "the body is not a scalar expression",
    ),
    "an index of dtype real": (
        lambda: reading(b, atom_of(Read("kernel", (p,), 9))),
        r"kernel\[p\] is used as an index, but kernel is of dtype real",
    ),
    "a limit that is too large": (
        lambda: reading(b, atom_of(Read("label", (b,), 9))),
        "taken to be below 9, but label has the limit 4",
    ),
    "a limit that is too small": (lambda: reading(b, atom_of(Read("label", (b,), 2))), "the limit 4"),
    "a winner of another window": (
        lambda: program(
            Definition("y.winner", (None, 4), "argmax", (WINDOW,), "index"),
            Definition(
                "y",
                (None, 4),
                "sum",
                (
                    make_term(
                        (B, H),
                        (b, h),
                        r0,
                        ((r0, Access("x", (b, atom_of(Read("y.winner", (b, h), 2))))),),
                    ),
                ),
            ),
        ),
        "taken to be below 2, but y.winner has the limit 3",
    ),
    "a winner among several terms": (
        lambda: of(WINDOW, "argmax", terms=(WINDOW, WINDOW)),
        "y: argmax over 2 terms",
    ),
    "a winner among the batch": (
        lambda: of(make_term((B, H), (h,), r0, ((r0, Access("x", (b, h))),)), "argmax", shape=(4,)),
        "y: argmax over the batch",
    ),
    "a winner outside its tensor": (
        lambda: of(make_term((B, H, P), (b, h + 1), r0, WINDOW.reads), "argmin"),
        r"the target: cannot prove h \+ 1 < 4",
    ),
    "a winner of dtype real": (lambda: of(WINDOW, "argmax", dtype="real"), "argmax of dtype real"),
    "a sum of dtype index": (lambda: of(WINDOW, "sum", dtype="index"), "sum of dtype index"),
    "an unknown operation": (lambda: of(WINDOW, "median"), "y: unknown operation 'median'"),
    "an empty shape": (lambda: of(WINDOW, "sum", shape=(None, 0)), "y: empty shape"),
    "a missing output": (lambda: of(WINDOW).replace(outputs=("y", "z")), "output z is not defined"),
    "a name defined twice": (
        lambda: program(*of(WINDOW).definitions, *of(WINDOW).definitions),
        "y: defined 2 times",
    ),
    "a name given and defined": (
        lambda: of(WINDOW).replace(inputs=(*INPUTS, Tensor("y", (None, 4), "input"))),
        "y: defined 2 times",
    ),
    "an unknown kind": (
        lambda: of(WINDOW).replace(inputs=(*INPUTS, Tensor("z", (), "guess"))),
        "guess z: unknown kind",
    ),
    "an index without a limit": (
        lambda: of(WINDOW).replace(inputs=(*INPUTS, Tensor("z", (), "label", "index"))),
        "label z: .* dtype index needs one",
    ),
}


def test_what_was_verified_is_looked_at_again_only_behind_something_else(monkeypatch) -> None:
    """A pass that changes one definition of a thousand has one verified; what it reads decides as well."""
    asked: list[str] = []
    looked = verification._of_terms
    monkeypatch.setattr(verification, "_of_terms", lambda d, known: asked.append(d.name) or looked(d, known))
    y = Definition("y", (None, 4), "sum", (CONVOLUTION,))
    z = Definition("z", (None, 4), "sum", (make_term((B, H), (b, h), r0, ((r0, Access("y", (b, h))),)),))
    sound: verification.Sound = {}
    verify(program(y, z, outputs=("z",)), sound)
    verify(program(y, replace(z, origin="changed"), outputs=("z",)), sound)
    assert asked == ["y", "z", "z"]
    shorter = (Tensor("x", (None, 8), "input"), *INPUTS[1:])
    with pytest.raises(CompilerBug):
        verify(program(y, z, inputs=shorter, outputs=("z",)), sound)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_invariant_is_named(name: str) -> None:
    build, message = BROKEN[name]
    with pytest.raises(CompilerBug, match=message):
        verify(build())


@pytest.mark.parametrize(
    ("index", "guards"),
    [
        (2 * h + p - 1, [2 * h + p - 1]),
        (h + p + 4, [h * -1 + 2]),
        (p - h + 3, []),
        (8 - p - h, []),
        (3 * h - p, [3 * h - p, 8 - 3 * h + p]),
        (floor_div(3 * h - p, 2), [3 * h - p]),
        (h + 2 * p + 3, [5 - h - 2 * p]),
        (2 * h + 2 * p - 5, [h + p - 3, h * -1 + 3 - p + 3]),
    ],
)
def test_guards_prove_reads(index: Affine, guards: list[Affine]) -> None:
    verify(reading(b, index, guards=[Guard(">=", guard) for guard in guards]))


def test_an_equation_proves_a_read() -> None:
    verify(reading(b, 3 * h + p - 2, guards=[Guard("==", 3 * h + p - 6)]))


def test_a_guard_that_reads_does_not_excuse_its_own_read() -> None:
    inside = atom_of(Read("rows", (2 * h,), 4))
    rows = Tensor("rows", (4,), "input", "index", 4)
    late = reading(b, h, guards=[Guard(">=", inside - h)]).replace(inputs=(*INPUTS, rows))
    with pytest.raises(CompilerBug, match=r"rows\[2\*h\]: cannot prove"):
        verify(late)
    early = reading(b, h, guards=[Guard(">=", inside - h), Guard(">=", 1 - h)])
    verify(early.replace(inputs=(*INPUTS, rows)))


def atoms() -> st.SearchStrategy[Affine]:
    small = st.integers(-2, 2)
    linear = st.builds(lambda a, c, k: a * h + c * p + k, small, small, st.integers(-4, 8))
    return st.one_of(
        linear,
        st.builds(floor_div, linear, st.integers(2, 3)),
        st.builds(mod, linear, st.integers(2, 4)),
        st.builds(lambda inner: atom_of(Read("rows", (inner,), 5)), linear),
    )


indices = st.one_of(atoms(), st.builds(lambda one, other: one + other, atoms(), atoms()))
guards = st.lists(st.builds(Guard, st.sampled_from([">=", "=="]), indices), max_size=3)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(indices, guards, st.sampled_from(["sum", "max", "argmax"]))
def test_a_verified_program_never_reads_outside(
    index: Affine, conditions: list[Guard], operation: str
) -> None:
    """Random indices and guards: where `verify` accepts them, the interpreter finds nothing to object to."""
    term = make_term((B, H, P), (b, h), r0, ((r0, Access("x", (b, index))),), conditions)
    dtype = "index" if operation == "argmax" else "real"
    rows = Tensor("rows", (7,), "input", "index", 5)
    candidate = Program((*INPUTS, rows), (Definition("y", (None, 4), operation, (term,), dtype),), ("y",))
    try:
        verify(candidate)
    except CompilerBug:
        return
    run(
        candidate,
        {"x": np.ones((2, 9)), "kernel": np.ones(3), "label": [0, 3], "rows": [0, 4, 2, 1, 3, 0, 4]},
    )


quotients = st.builds(floor_div, st.sampled_from([h + p, 3 * h - p, 2 - h]), st.integers(2, 3))
summands = st.builds(Affine.__mul__, st.one_of(st.sampled_from([h, p]), quotients), st.integers(-3, 3))
plain = st.builds(
    lambda terms, k: sum(terms, constant(k)), st.lists(summands, max_size=3), st.integers(-6, 6)
)


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(plain, st.lists(plain, max_size=3))
def test_proofs_are_sound(expression: Affine, facts: list[Affine]) -> None:
    """What is proven holds at every point of the box."""
    extents = {"h": 4, "p": 3}
    if not is_nonnegative(expression, extents, facts):
        return
    for values in itertools.product(range(4), range(3)):
        point = {name: constant(value) for name, value in zip("hp", values, strict=True)}
        if all(fact.substitute(point).constant >= 0 for fact in facts):
            assert expression.substitute(point).constant >= 0


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(st.lists(plain, max_size=3))
def test_contradictions_are_some(facts: list[Affine]) -> None:
    """What cannot hold together holds at no point of the box."""
    if not contradict(facts, {"h": 4, "p": 3}):
        return
    for values in itertools.product(range(4), range(3)):
        point = {name: constant(value) for name, value in zip("hp", values, strict=True)}
        assert any(fact.substitute(point).constant < 0 for fact in facts)
