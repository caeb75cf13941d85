"""A kernel that holds every statement of the grammar, small enough to be read."""

from __future__ import annotations

import sympy

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Buckets,
    Buffer,
    Choose,
    Chunks,
    Collect,
    Each,
    Fetch,
    Fill,
    If,
    Index,
    Kernel,
    Lanes,
    Largest,
    Let,
    Limit,
    Lists,
    Load,
    Loop,
    Mask,
    Pick,
    Points,
    Random,
    Span,
    Store,
    Transpose,
)

BATCH, b, h, c = (axis(name) for name in ("batch", "b", "h", "c"))
LISTED = Lists("listed", 2, 4, 1)
POINTS = Lists("points", 1, 8, 1)


def real(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


def loop(name: str, end: int | Affine, *body: object, step: int = 1) -> Loop:
    """A loop from 0."""
    upper = constant(end) if isinstance(end, int) else end
    return Loop(name, (Limit(constant(0)),), (Limit(upper),), body, step)


def plain() -> Body:
    """Guards, divided bounds, integers that are looked up, and the best of a window with its number."""
    test = Guard(">=", h - 1)
    border = Load("x_0", Address("x", 8 * b + h - 1, (test,), float("-inf")))
    most = Largest("most", "b", BATCH, Address("w", 2 * b))
    where = Load("w_0", Address("w", 2 * b), integer=True)
    picked = Load("x_1", Address("x", 8 * b + axis("w_0")))
    best = (
        Let("acc", real("x_0")),
        Index("winner", constant(0)),
        Choose("acc", real("x_1"), ">", "winner", constant(1)),
    )
    store = Store(Address("y", 8 * b + h), real("acc") / 2 + sympy.exp(-real("x_1")))
    kept = Store(Address("n", 8 * b + h), axis("winner"))
    odd = If((Guard("%", h + 1, 2),), (store,), (kept,))
    body = (border, where, picked, *best, odd)
    lower = (Limit(constant(0)), Limit(b - 5, 2))
    upper = (Limit(constant(8)), Limit(axis("most")), Limit(2 * BATCH + 9, 2))
    return (most, Fill("y", 8 * BATCH), loop("b", BATCH, Loop("h", lower, upper, body)))


def vectors() -> Body:
    """Whole and partial vectors, masks, picks, the sum of lanes."""
    loads = (
        Load("x_v0", Address("x", 8 * b), 4),
        Load("x_v1", Address("x", 8 * b + 4), 4),
        Load("x_v2_of_2", Address("x", 8 * b), 2),
    )
    changed = (
        Mask("x_v0", Address("n", 8 * b), constant(1), 4),
        Pick("best", ("x_v0", "x_v1"), Address("n", 8 * b + 4), 4),
        Let("best", 2 * real("x_v1"), 4, update=True),
        Let("turned", real("x_v1") - 1, 4),
        Index("number", constant(0), 4),
        Choose("best", real("x_v0"), "<", "number", constant(1), 4),
        Fetch(Address("y", 8 * b)),
        Lanes("total", "x_v2_of_2", 2),
        Transpose(("x_v0", "x_v1", "turned", "best"), 4),
    )
    stores = (
        Store(Address("y", 8 * b), real("best") + real("total"), 4),
        Store(Address("y", 8 * b + 4), real("x_v2_of_2"), 2, accumulate=True),
        Store(Address("n", 8 * b), axis("number"), 4),
    )
    return (loop("b", BATCH, *loads, *changed, *stores),)


def lists() -> Body:
    """Points put into lists, and walked: by bucket, in chunks, one by one."""
    collected = Collect(LISTED, axis("w_1"), "factor", (8 * b + h,))
    found = (
        Load("w_1", Address("w", 2 * b + 1), integer=True),
        Load("factor", Address("x", 8 * b + h)),
        collected,
    )
    add = Store(Address("y", axis("offset")), real("factor"), accumulate=True)
    first = Each(LISTED, axis("bucket"), "factor", ("offset",), (add,), Span("entry_block", 0, 1))
    rest = Each(LISTED, axis("bucket"), "factor", ("offset",), (add,), Span("entry_block", 1, 2))
    chunks = Chunks(LISTED, axis("bucket"), "entry_block", 2, (first, rest))
    each = Each(
        POINTS,
        constant(0),
        None,
        ("i",),
        (Load("x_i", Address("x", axis("i"))), If((), (Let("sum", real("x_i"), update=True),), (), "x_i")),
    )
    points = Points(POINTS, "i", constant(8), (Address("x", axis("i")), Address("y", axis("i"))))
    return (
        LISTED,
        loop("b", BATCH, loop("h", 4, *found)),
        Buckets(LISTED, "bucket", (chunks,)),
        Let("sum", sympy.S.Zero),
        POINTS,
        points,
        each,
        Store(Address("y", constant(0)), real("sum")),
    )


def every_statement() -> Kernel:
    """One kernel of all of them."""
    return Kernel(
        name="sample.cotangent",
        buffers=(
            Buffer("x", "x", "real", False, base=8),
            Buffer("w", "w", "index", False),
            Buffer("y", "y", "real", True),
            Buffer("n", "n.winner", "small", True),
            Buffer("u", "u", "real", True),
        ),
        body=(Random("u", 3, 4, True), *plain(), *vectors(), *lists()),
        formula=("y[b, h] += x[b, h]", "shapes: y (batch, 8)"),
        schedule="gather, plain loops; all of them",
        operations=12,
        per_example=True,
        origin="sample",
    )
