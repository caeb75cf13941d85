"""Products of factors in bfloat16: what is rounded, and that pairs of them give the same products."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.scalar.bfloat16 import Products, Rounded, neighbours, pair, products, rounded
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.machine.target import Target
from compiler.schedule.pairs import Paired
from compiler.schedule.panels import EXAMPLES
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.paired_panels import PairedPanels
from tests.harness import compile_programs, plans_of
from tests.machines import BFLOAT16, TARGETS, processor
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs
from tests.schedule.verifying import verify_plan

PRODUCTS = {
    # Of odd length; the panels are not all of one size.
    "dense": """
input x: (batch, 37) real
input w: (37, 130) real
input bias: (130) real
z: (batch, 130) real = sum at once of "z"
    for b:batch, o:130: [b, o] += bias[o]
    for b:batch, o:130, i:37: [b, o] += x[b, i]*w[i, o]
outputs z
""",
    # The shared operand is contiguous along the sum.
    "transposed": """
input x: (batch, 71) real
input w: (101, 71) real
z: (batch, 101) real = sum at once of "z"
    for b:batch, i:101, o:71: [b, i] += x[b, o]*w[i, o]
outputs z
""",
    "kernel": """
input x: (batch, 8) real
input y: (batch, 70) real
z: (8, 70) real = sum at once of "z"
    for b:batch, i:8, o:70: [i, o] += 1/3*x[b, i]*y[b, o]
outputs z
""",
    "positions": """
input x: (batch, 3, 36) real
input w: (36, 130) real
z: (batch, 3, 130) real = sum at once of "z"
    for b:batch, t:3, k:130, i:36: [b, t, k] += x[b, t, i]*w[i, k]
outputs z
""",
    # By tiles of examples, each of which has 27 rows; what is left over of the last panel is nobody's share.
    "rows": """
input x: (batch, 27, 37) real
input w: (37, 130) real
input bias: (130) real
z: (batch, 27, 130) real = sum of "z"
    for b:batch, t:27, o:130: [b, t, o] += bias[o]
    for b:batch, t:27, o:130, i:37: [b, t, o] += x[b, t, i]*w[i, o]
outputs z
""",
}
FOLLOWED = """
y: (batch, 27, 130) real = sum of "y"
    for b:batch, t:27, o:130: [b, t, o] += 2*max(z[b, t, o], 0)
outputs y
""".strip()
"""What the kernel of the product of `rows` computes as well, where factors are not rounded."""
BATCHES = {"kernel": (2, 5, EXAMPLES + 1)}
"""A sum over the batch has room for so many examples."""


def settings_for(target: Target = BFLOAT16) -> Settings:
    return Settings(target, "float32", 4, bfloat16=True)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_pairs(name: str) -> None:
    """They are what the program with rounded factors says, for batches of any size; pieces do not meet,
    nothing is read of a panel that is not in it, and no access may leave its buffer."""
    program, settings = parse_program(PRODUCTS[name]), settings_for()
    (plan,) = plans_of([program], settings)
    (call,) = (*plan.phases[0].before, *plan.phases[0].tile)
    assert isinstance(call.schedule, PairedPanels)
    assert parse_kernel(print_kernel(call.kernel)) == call.kernel
    assert parse_program(print_program(plan.program)) == plan.program
    verify_plan(plan)
    module = interpret_programs([program], settings)
    for batch in BATCHES.get(name, (1, 3, 9)):
        given = random_inputs(program, batch)
        found = module.run(0, given, batch=batch)["z"]
        exact, plain = (run(p, given, batch=batch)["z"] for p in (plan.program, program))
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6 * np.abs(exact).max())
        # Eight digits, and no fewer.
        assert 1e-5 < np.abs(exact - plain).max() / np.abs(plain).max() < 2.0**-8


@pytest.fixture(scope="module")
def has_products() -> Iterator[None]:
    if not processor().machine.bfloat16:
        pytest.skip("this processor has no products of bfloat16 (avx512_bf16)")
    yield


def check_in_c(target: Target, name: str) -> None:
    program, settings = parse_program(PRODUCTS[name]), settings_for(target)
    module = compile_programs([program], settings, extra_flags=("-O1",))
    (plan,) = plans_of([program], settings)
    for batch in (1, 21):
        given = random_inputs(program, batch)
        found = [module.run(0, given, batch=batch, threads=threads)["z"] for threads in (1, 2, 3)]
        exact = run(plan.program, given, batch=batch)["z"]
        assert len({one.tobytes() for one in found}) == 1
        np.testing.assert_allclose(found[0], exact, rtol=0, atol=2e-6 * np.abs(exact).max())


@pytest.mark.parametrize("name", ["transposed", "rows"])
def test_pairs_in_c(has_products: None, name: str) -> None:
    """The processor's own products, and the same bits for any number of threads."""
    check_in_c(replace(BFLOAT16, flags=processor().flags), name)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags for x86-64")
def test_pairs_in_plain_c() -> None:
    """A C compiler for another processor multiplies the halves of pairs by themselves."""
    check_in_c(replace(BFLOAT16, flags=("-march=x86-64",)), "transposed")


def test_what_is_not_rounded() -> None:
    """Nothing where the precision is float32, or what is no product of two reads, or too small to gain."""
    cases = [
        (PRODUCTS["dense"], replace(settings_for(), bfloat16=False)),
        (PRODUCTS["dense"].replace("x[b, i]*w[i, o]", "x[b, i]*w[i, o]*w[i, o]"), settings_for()),
        (PRODUCTS["dense"].replace("x[b, i]*w[i, o]", "exp(x[b, i]*w[i, o])"), settings_for()),
        (PRODUCTS["dense"].replace("37", "1"), settings_for()),
        (PRODUCTS["dense"].replace(" at once", ""), settings_for()),
        # A tile's sums are added to those of tiles before it.
        (PRODUCTS["kernel"].replace(" at once", ""), settings_for()),
    ]
    for text, settings in cases:
        (plan,) = plans_of([parse_program(text)], settings)
        rounded_bodies = [t.body.has(Rounded, Products) for d in plan.program.definitions for t in d.terms]
        assert not any(rounded_bodies), text


def test_other_machines_know_nothing_of_it() -> None:
    assert {name: t.machine.bfloat16 for name, t in TARGETS.items()} == dict.fromkeys(TARGETS, False)
    assert BFLOAT16.machine.bfloat16


def test_rounding() -> None:
    """To the nearest, of two equally near the even one; infinities, NaN and signs stay."""
    values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8 + 2**-20), 3.4e38, np.inf, -0.0], np.float32)
    found = np.array([1, 1, 1 + 2**-6, -(1 + 2**-7), np.inf, np.inf, -0.0], np.float32)
    np.testing.assert_array_equal(rounded(values), found)
    assert np.signbit(rounded(np.float32(-0.0))) and np.isnan(rounded(np.float32("nan")))
    exact = np.random.default_rng(0).integers(-(2**7), 2**7, 64) * 2.0 ** np.arange(-32, 32)
    np.testing.assert_array_equal(rounded(exact), exact)


def test_pairs() -> None:
    ones, others = np.arange(1, 9, dtype=np.float32).reshape(2, 4), np.float32([[2, 3, 5, 7], [1, 0, -1, 4]])
    expected = ones[0] * others[0] + ones[1] * others[1]
    np.testing.assert_array_equal(products(pair(*ones), pair(*others)), expected)
    np.testing.assert_array_equal(products(pair(*ones), pair(np.float32(1), np.float32(0))), ones[0])
    both = neighbours(*ones)
    np.testing.assert_array_equal(products(both, pair(np.ones(4), np.zeros(4))), [1, 3, 5, 7])


def test_a_panel_fits() -> None:
    """In the share of the second-level cache that panels may fill, whatever is summed over."""
    settings = settings_for()
    for name, text in PRODUCTS.items():
        (plan,) = plans_of([parse_program(text)], settings)
        (schedule,) = (call.schedule for call in (*plan.phases[0].before, *plan.phases[0].tile))
        assert isinstance(schedule, PairedPanels) and isinstance(schedule.paired, Paired), name
        bytes_of_panel = 4 * schedule.paired.most * schedule.paired.width
        assert bytes_of_panel <= settings.machine.level2_bytes / 2


def test_no_chain_rounds_one_by_one() -> None:
    """What follows a product of pairs is a kernel of its own."""
    text = PRODUCTS["rows"].replace("outputs z", FOLLOWED)
    (plan,) = plans_of([parse_program(text)], settings_for())
    kinds = [type(call.schedule) for call in plan.phases[0].tile]
    assert kinds[0] is PairedPanels and len(kinds) == 2
    (plan,) = plans_of([parse_program(text)], replace(settings_for(), bfloat16=False))
    assert len(plan.phases[0].tile) == 1
