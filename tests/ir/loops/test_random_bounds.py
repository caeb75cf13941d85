"""What is proven of accesses holds: random places against brute force, random kernels against their runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

import numpy as np

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, axis, constant, floor_div
from compiler.ir.loops.bounds import Place
from compiler.ir.loops.grammar import Address, Body, Buffer, If, Kernel, Limit, Load, Loop
from compiler.ir.loops.interpret import Arguments, Memory, run_kernel
from compiler.ir.loops.verify import violations
from compiler.ir.loops.walk import bodies

BATCH = axis("batch")
EXTENTS = {"a": 3, "b": 4, "free": None, "odd": None}
VALUES = {"a": range(3), "b": range(4), "free": range(6), "odd": range(-5, 6)}
"""Values of each variable: of `free` and `odd`, which have no end, some."""


def affine(random: Random, names: tuple[str, ...], reach: int = 6) -> Affine:
    """A small expression in one or two of the names, divided now and then."""
    chosen = random.sample(names, random.choice([1, 1, 2]) if len(names) > 1 else len(names))
    terms = sum((axis(name) * random.choice([-2, -1, 1, 1, 2]) for name in chosen), constant(0))
    found = terms + random.randint(-reach, reach)
    return floor_div(found, random.choice([2, 3])) if random.random() < 0.2 else found


def value(expression: Affine, point: dict[str, int]) -> int:
    found = expression.substitute({name: constant(number) for name, number in point.items()})
    assert found.is_constant
    return found.constant


def points(facts: tuple[Affine, ...]) -> Iterator[dict[str, int]]:
    """All points at which the facts hold, the number `odd`, of which nothing is known, below 0 too."""
    for numbers in product(*VALUES.values()):
        point = dict(zip(VALUES, numbers, strict=True))
        if all(value(fact, point) >= 0 for fact in facts):
            yield point


def test_a_place_proves_what_holds() -> None:
    """Facts and extents, one without an end, and a variable of which nothing is known."""
    proven = 0
    for seed in range(200):
        random = Random(seed)
        facts = tuple(affine(random, tuple(EXTENTS)) for _ in range(random.randint(0, 3)))
        place = Place(EXTENTS, facts, frozenset({"odd"}))
        claims = [affine(random, tuple(EXTENTS)) for _ in range(6)]
        claims = [claim for claim in claims if place.proves(claim)]
        if claims:
            proven += len(claims)
            wrong = [(str(c), p) for p in points(facts) for c in claims if value(c, p) < 0]
            assert not wrong, (list(map(str, facts)), wrong[0])
    assert proven > 50


SIZE = 9 * BATCH
"""Elements of the only buffer of a random kernel."""


def limits(random: Random, around: tuple[str, ...]) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """Bounds of a loop that begins at 0 or behind it: numbers, and what the loops around it say."""
    names = (*around, "batch")
    lower, upper = [Limit(constant(random.randint(0, 2)))], [Limit(constant(random.randint(1, 9)))]
    if random.random() < 0.4:
        lower.append(Limit(affine(random, names, 3), random.choice([1, 1, 2])))
    if random.random() < 0.5:
        bound = Limit(affine(random, names, 3), random.choice([1, 1, 2]))
        upper = [bound] if random.random() < 0.6 else [*upper, bound]
    if len(lower) > 1 and lower[0].affine.constant == 0 and random.random() < 0.5:
        lower = lower[1:]
    return tuple(lower), tuple(upper)


def nest(random: Random, around: tuple[str, ...]) -> Body:
    """Loops, tests between them, and one load inside of all."""
    if len(around) == 3 or (around and random.random() < 0.4):
        inside = (Guard(">=", affine(random, around)),) if random.random() < 0.3 else ()
        width = random.choice([0, 0, 2, 4])
        return (Load(f"x_{width}", Address("x", affine(random, around, 4), inside), width),)
    name = "ijk"[len(around)]
    body = nest(random, (*around, name))
    if random.random() < 0.4:
        test = affine(random, (*around, name), 4)
        kind = random.choice([">=", ">=", "=="])
        other = nest(random, (*around, name)) if random.random() < 0.3 else ()
        body = (If((Guard(kind, test),), body, other),)
    return (Loop(name, *limits(random, around), body, random.choice([1, 1, 2, 3])),)


def may_begin_below_zero(body: Body) -> bool:
    """Whether some loop may: what is accessed by its variable is left to the interpreter."""
    return any(
        (isinstance(s, Loop) and not any(limit.affine.is_constant for limit in s.lower))
        or any(map(may_begin_below_zero, bodies(s)))
        for s in body
    )


def test_a_verified_kernel_stays_inside() -> None:
    """Whatever the verifier accepts, the interpreter finds nothing in, for batches of several sizes."""
    accepted = 0
    for seed in range(1500):
        random = Random(seed)
        body = nest(random, ())
        kernel = Kernel("random", (Buffer("x", "x", "real", False),), body, (), "", 0, True)
        if may_begin_below_zero(body) or any(violations(kernel, {"x": SIZE}, {})):
            continue
        accepted += 1
        for batch in (1, 2, 5):
            memory = Memory.of(np.zeros(9 * batch), known=True)
            run_kernel(kernel, {"x": memory}, np.float64, Arguments(batch))
    assert accepted > 100
