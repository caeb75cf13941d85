"""Long sums go in blocks: the loops visit every point once, and equal terms add up to within 1e-6."""

from __future__ import annotations

import random
from math import prod

import numpy as np
import pytest

from compiler.frontend.lower import lower
from compiler.ir.affine.expression import Affine, Read, axis
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Reads, Tensor, make_term
from compiler.language.description import Sequential
from compiler.language.layers import Dense, Input
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.schedule.blocks import BLOCK, GROUP, Turn, turns
from compiler.schedule.settings import Settings
from tests.harness import compile_programs
from tests.machines import native
from tests.many import PARTS, SUMS


def random_axes(number: int, most: int) -> tuple[list[Axis], int]:
    """Axes of a sum, the batch perhaps the first of them, and the examples of a tile."""
    choose = random.Random(number)
    count, batch = choose.randint(1, 4), choose.choice([1, 3, 16, 128])
    extents = [choose.randint(1, max(1, round(most ** choose.random()))) for _ in range(count)]
    axes = [Axis(f"i{n}", extent) for n, extent in enumerate(extents)]
    if choose.random() < 0.3:
        axes.insert(0, Axis("b", None))
    return axes, batch


def walked(
    loops: tuple[Turn, ...], values: dict[str, int], batch: int, known: dict[tuple, tuple[int, int, int]]
) -> tuple[int, int, int]:
    """(points, terms of the accumulator at hand, most terms of one that is done) as the loops run; `known` of
    those within others, which ask only where the loops around them stand."""
    if not loops:
        return 1, 1, 0
    place = len(loops), *(values.get(turn.around) for turn in loops)
    if place not in known:
        known[place] = walked_anew(loops, values, batch, known)
    return known[place]


def walked_anew(
    loops: tuple[Turn, ...], values: dict[str, int], batch: int, known: dict[tuple, tuple[int, int, int]]
) -> tuple[int, int, int]:
    first, *others = loops
    extent = batch if first.axis.extent is None else first.axis.extent
    start = values[first.around] if first.around else 0
    end = min(extent, start + first.size) if first.around else extent
    points = terms = done = 0
    for value in range(start, end, first.step):
        inner = walked(tuple(others), values | {first.variable: value}, batch, known)
        points += inner[0]
        # A loop whose passes are not sums of their own goes on with one accumulator.
        terms += 1 if first.apart else inner[1]
        done = max(done, inner[2], inner[1] if first.apart else 0)
    return points, terms, done


def check(number: int) -> None:
    axes, batch = random_axes(number, 40)
    loops = turns(axes, batch)
    for examples in {batch, max(1, batch - 1)}:
        points, terms, done = walked(loops, {}, examples, {})
        assert points == prod(examples if a.extent is None else a.extent for a in axes)
        assert max(terms, done) <= BLOCK + BLOCK // 16


def test_every_point_is_added_once_and_no_block_is_long() -> None:
    for number in SUMS.few:
        check(number)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_more_loops(part: int) -> None:
    for number in SUMS.part(part):
        check(number)


def cascade(term: np.ndarray, count: int) -> np.ndarray:
    """Sums of so many equal terms, of many terms at once, in full blocks and groups."""
    sums, limit = term, BLOCK
    while count > 1:
        size = min(limit, count)
        total = np.zeros_like(sums)
        for _ in range(size):
            total = total + sums
        sums, count, limit = total, count // size, GROUP
    return sums


@pytest.mark.parametrize("levels", range(7))
def test_equal_terms(levels: int) -> None:
    """Up to 10 million and more, against the product."""
    terms = np.append(np.random.default_rng(0).uniform(1, 2, 20_000), [0.1, 0.3, 0.7]).astype(np.float32)
    count = BLOCK * GROUP**levels
    errors = cascade(terms, count) / (count * terms.astype(np.float64)) - 1
    assert np.abs(errors).max() < 1e-6


def sums_of(length: int) -> Program:
    """A dot product of each example's values with weights, the sum of each value over the batch, and values
    that are added where integers say."""
    b, i = axis("b"), axis("i")
    axes = (Axis("b", None), Axis("i", length))
    reads = Reads()
    product = reads.symbol(Access("x", (b, i))) * reads.symbol(Access("w", (i,)))
    dots = make_term(axes, (b,), product, reads.pairs())
    reads = Reads()
    totals = make_term(axes, (i,), reads.symbol(Access("x", (b, i))), reads.pairs())
    reads = Reads()
    place = Affine(((Read("places", (b, i), 3), 1),))
    placed = make_term(axes, (place,), reads.symbol(Access("x", (b, i))), reads.pairs())
    sums = {"dots": ((None,), dots), "totals": ((length,), totals), "placed": ((3,), placed)}
    places = Tensor("places", (None, length), "input", dtype="index", limit=3)
    return Program(
        (Tensor("x", (None, length), "input"), Tensor("w", (length,), "parameter"), places),
        tuple(Definition(name, shape, "sum", (term,)) for name, (shape, term) in sums.items()),
        tuple(sums),
    )


def check_kernels(sizes: dict[int, tuple[int, ...]]) -> None:
    """Of each length with these batches."""
    settings = Settings(native(), "float32", 4)
    module = compile_programs([sums_of(n) for n in sizes], settings, extra_flags=("-O1",))
    for number, (length, batches) in enumerate(sizes.items()):
        for batch in batches:
            x, w = np.full((batch, length), 0.1, np.float32), np.ones(length, np.float32)
            given = {"x": x, "w": w, "places": np.full((batch, length), 1, np.int32)}
            found = module.run(number, given, batch=batch)
            sums = {"dots": length, "totals": batch, "placed": batch * length}
            for name, count in sums.items():
                value = found[name][1] if name == "placed" else found[name]
                assert np.abs(value / (count * float(x[0, 0])) - 1).max() < 1e-6, (name, count)
            threads = module.run(number, given, batch=batch, threads=2)
            assert all(found[name].tobytes() == threads[name].tobytes() for name in found)


def test_equal_terms_in_kernels() -> None:
    """Off by 1e-5 to 1e-3 where one accumulator holds all of a sum."""
    check_kernels({**dict.fromkeys((17, 784, 10_000), (3, 1000)), 2: (100_000, 1_000_000)})


@pytest.mark.long
def test_ten_million_terms_in_kernels() -> None:
    check_kernels({65_536: (1,), 10_000_000: (1,), 1: (10_000_000,)})


def test_clipping_by_the_norm_from_tiny_to_huge_gradients() -> None:
    """Squares of 1e30 are infinite in float32, and those of 1e-30 are 0."""
    shares = np.random.default_rng(0).normal(size=9)
    limits = (1e-32, 1.0)

    def update(limit: float) -> Program:
        optimizer = SGD(1.0, global_clipnorm=limit)
        model = Sequential([Input(2), Dense(3)], loss=MeanSquaredError(), optimizer=optimizer)
        return lower(model).optimizer.update

    settings = Settings(native(), "float32", 64)
    module = compile_programs([update(limit) for limit in limits], settings, extra_flags=("-O1",))
    for number, limit in enumerate(limits):
        for size in (1e-30, 1e-20, 1e-5, 1.0, 1e5, 1e20, 1e30):
            if size / limit > 1e36:
                continue
            gradient = (size * shares).astype(np.float32)
            given = {"parameter": np.zeros_like(gradient), "gradient": gradient, "rate": 1.0, "step": 1.0}
            found = -module.run(number, given)["new_parameter"].astype(np.float64)
            norm = np.linalg.norm(gradient.astype(np.float64))
            right = gradient * min(1.0, limit / norm)
            assert np.abs(found - right).max() <= 1e-6 * np.abs(right).max(), (limit, size)
