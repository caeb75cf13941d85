"""Transformed convolutions: transforms as polynomials, programs in the interpreter, kernels, accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import sympy

from compiler.derive.jvp import jvp
from compiler.driver import Driver
from compiler.ir.affine.expression import axis
from compiler.ir.loops.grammar import Let, Load, Store
from compiler.ir.loops.walk import statements
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Reads,
    Tensor,
    Term,
    make_term,
)
from compiler.ir.tensor.sites import choose
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.passes.distribute import distribute
from compiler.passes.winograd.choice import LARGEST_ERROR_RATIO
from compiler.passes.winograd.definitions import transformed
from compiler.passes.winograd.form import Chosen, Planned
from compiler.passes.winograd.match import convolution
from compiler.passes.winograd.transforms import LARGEST, Transform, derive, error_ratio, transform
from compiler.passes.winograd.winograd import TILES, winograd
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.harness import plans_of
from tests.machines import TARGETS, every_model, shared_out
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

ALL_TRANSFORMS = [(m, r) for r in range(2, 7) for m in range(2, LARGEST - r + 2)]

COSTS = TARGETS["x86-64-v4"].machine.costs("float32")
SITES = partial(winograd, moved=COSTS.moved_value, share=COSTS.transformed_share)
CASES = [
    # image, channels in and out, taps, outputs of a tile along h and w (0: not transformed)
    ((6, 6), (2, 3), (3, 3), (2, 2)),
    ((12, 12), (1, 20), (3, 3), (4, 2)),
    ((7, 9), (3, 1), (3, 3), (4, 5)),
    ((11, 8), (2, 2), (5, 3), (3, 0)),
    ((9, 10), (2, 17), (5, 3), (0, 6)),
    ((13, 1), (3, 5), (5, 1), (2, 0)),
    ((5, 5), (2, 2), (2, 4), (3, 2)),
    ((3, 3), (2, 2), (3, 3), (2, 2)),
]


def correlates(t: Transform) -> bool:
    """The transform's products, as polynomials in x and g, are y[k] = Σ x[k + p]·g[p]."""
    x, g = sympy.symbols(f"x:{t.size}"), sympy.symbols(f"g:{t.taps}")

    def inner(row, values) -> sympy.Expr:
        return sum(a * b for a, b in zip(row, values, strict=True))

    products = [inner(gs, g) * inner(bs, x) for gs, bs in zip(t.kernel, t.input, strict=True)]
    outputs = [inner(column, products) for column in zip(*t.output, strict=True)]
    direct = [sum(x[k + p] * g[p] for p in range(t.taps)) for k in range(t.outputs)]
    return all(sympy.expand(a - b) == 0 for a, b in zip(outputs, direct, strict=True))


@pytest.mark.parametrize(("outputs", "taps"), ALL_TRANSFORMS)
def test_a_transform_is_a_correlation(outputs: int, taps: int) -> None:
    assert correlates(transform(outputs, taps))


def test_any_points_will_do() -> None:
    points = [sympy.Rational(*p) for p in ((3, 7), (-5, 1), (0, 1), (2, 3), (11, 1))]
    assert correlates(derive(4, 3, points))


def test_a_wrong_entry_is_noticed() -> None:
    t = transform(2, 3)
    rows = [list(row) for row in t.input]
    rows[1][2] *= -1
    assert not correlates(replace(t, input=tuple(map(tuple, rows))))


def test_the_smallest_is_winograds() -> None:
    """F(2, 3) as S. Winograd gave it, up to the signs and scales of rows: amplification 8/3, 4 products."""
    t = transform(2, 3)
    assert t.size == 4 and t.amplification == sympy.Rational(8, 3)
    assert t.points == (0, 1, -1)


def forward_and_transpose(image, channels, taps) -> Program:
    """y = x correlated with K, and a bias; g = the transpose of that map, applied to y."""
    (height, width), (ins, outs), (r, s) = image, channels, taps
    b, h, w, o, p, q, c, k = map(axis, "bhwopqck")
    rows, columns = height - r + 1, width - s + 1
    over = [Axis("b", None), Axis("h", rows), Axis("w", columns), Axis("o", outs)]
    over += [Axis("p", r), Axis("q", s), Axis("c", ins)]
    kernel, pixel = Access("K", (p, q, c, o)), Access("x", (b, h + p, w + q, c))
    bias = Access("bias", (k,))
    y = Definition(
        "y",
        (None, rows, columns, outs),
        "sum",
        (
            term(over, (b, h, w, o), pixel, kernel),
            term([*over[:3], Axis("k", outs)], (b, h, w, k), bias),
        ),
    )
    g = Definition(
        "g",
        (None, height, width, ins),
        "sum",
        (term(over, (b, h + p, w + q, c), Access("y", (b, h, w, o)), kernel, factor=sympy.Rational(-3, 2)),),
    )
    inputs = (
        Tensor("x", (None, height, width, ins), "input"),
        Tensor("K", (r, s, ins, outs), "parameter"),
        Tensor("bias", (outs,), "parameter"),
    )
    return Program(inputs, (y, g), ("y", "g"))


def term(axes, target, *accesses: Access, factor: sympy.Expr = sympy.S.One) -> Term:
    reads = Reads()
    body = sympy.prod([reads.symbol(access) for access in accesses]) * factor
    return make_term(axes, target, body, reads.pairs())


def with_tiles(program: Program, outputs: tuple[int, int]) -> Program:
    """Both convolutions transformed, with tiles of this many outputs, whatever it costs."""
    definitions: list[Definition] = []
    for definition in program.definitions:
        found = convolution(definition.terms[0], definition, program)
        tiles = [outputs[d.kernel_dimension] for d in found.directions]
        chosen = tuple(
            Chosen(d, transform(m, d.taps), TILES) for d, m in zip(found.directions, tiles, strict=True) if m
        )
        shapes = program.shape(found.image.tensor), program.shape(found.kernel.tensor)
        planned = (Planned(found, chosen, *shapes),)
        definitions += transformed(definition, planned, f"{definition.name}.winograd")
    result = program.with_definitions(definitions)
    verify(result)
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_programs_agree(case) -> None:
    image, channels, taps, outputs = case
    program = forward_and_transpose(image, channels, taps)
    changed = with_tiles(program, outputs)
    inputs = random_inputs(program, 2)
    direct, ours = run(program, inputs), run(changed, inputs)
    for name in ("y", "g"):
        np.testing.assert_allclose(ours[name], direct[name], atol=1e-12 * np.abs(direct[name]).max())


@shared_out(CASES, 4)
def test_kernels_agree(target: Target, part: list[tuple]) -> None:
    programs = [forward_and_transpose(*case[:3]) for case in part]
    changed = [with_tiles(p, case[3]) for p, case in zip(programs, part, strict=True)]
    module = interpret_programs(changed, Settings(target, "float64", 2))
    for number, program in enumerate(programs):
        for batch in (1, 3):
            inputs = random_inputs(program, batch)
            direct, ours = run(program, inputs), module.run(number, inputs)
            for name in ("y", "g"):
                np.testing.assert_allclose(ours[name], direct[name], atol=1e-12 * np.abs(direct[name]).max())


def test_sums_are_computed_together() -> None:
    """Each value of a tile is loaded once, and the vectors run along the channels."""
    program = with_tiles(forward_and_transpose((12, 12), (32, 64), (3, 3)), (2, 5))
    (plan,) = plans_of([program], Settings(TARGETS["scalar"], "float32", 2))
    kernels = {kernel.name: kernel for kernel in plan.kernels}
    for name in ("y", "y.winograd.image", "y.winograd.kernel"):
        assert "sums computed together" in kernels[name].schedule
    body = list(statements(kernels["y.winograd.image"].body))
    assert sum(isinstance(s, Load) and s.address.buffer == "x" for s in body) == 4 * 7
    assert sum(isinstance(s, Store) for s in body) == 4 * 7
    additions = sum(len(s.value.args) - 1 for s in body if isinstance(s, Let) and s.value.is_Add)
    alone = sum(len(term.body.args) - 1 for term in program["y.winograd.image"].terms)
    assert 0 < additions < alone / 2


@pytest.mark.parametrize("outputs", [pytest.param((2, 2), marks=pytest.mark.long), (4, 4), (2, 5)], ids=str)
def test_error_bound_holds_in_float32(outputs: tuple[int, int]) -> None:
    """Against float64, for random values and for signs alone, which let sums grow as far as they can."""
    program = forward_and_transpose((14, 14), (24, 16), (3, 3))
    module = interpret_programs([with_tiles(program, outputs)], Settings(TARGETS["x86-64-v4"], "float32", 2))
    products = 9 * 24
    ratio = error_ratio([transform(m, 3) for m in outputs], 24)
    bound = float(ratio) * products**2 * 2.0**-24
    for change in (np.asarray, np.sign, np.abs):
        inputs = random_inputs(program, 2, "float32")
        inputs = {name: change(value) for name, value in inputs.items()} | {"bias": np.zeros(16, "float32")}
        exact = run(program, {name: value.astype("float64") for name, value in inputs.items()})["y"]
        error = np.abs(module.run(0, inputs)["y"] - exact).max()
        assert error <= bound


def priced(program: Program, direct: float) -> tuple[Program, list[str]]:
    """The pass, where a convolution costs `direct` as it stands, and every part of a transformed one 1."""

    def price(priced: Program, names: Iterable[str]) -> float:
        return sum(cost(priced[name]) for name in names)

    def cost(definition: Definition) -> float:
        return 1.0 if any(".winograd" in name for name in (definition.name, *definition.tensors)) else direct

    result, rewrites = choose(program, "winograd", SITES, price)
    verify(result)
    return result, [rewrite.after for rewrite in rewrites]


def test_the_price_decides() -> None:
    program = forward_and_transpose((12, 12), (32, 64), (3, 3))
    assert priced(program, 1.0) == (program, [])
    changed, after = priced(program, 100.0)
    assert after == ["F(2, 3) along h x F(5, 3) along w", "F(4, 3) along h x F(4, 3) along w"]
    assert "y.winograd.product" in changed and "g.winograd.padded" in changed


def test_a_tangent_is_one_sum() -> None:
    """Its two convolutions are added up transformed; what the convolution itself needs is not made again."""
    program = forward_and_transpose((12, 12), (32, 64), (3, 3))
    program = program.replace(definitions=program.definitions[:1], outputs=("y",))
    program, _ = distribute(jvp(program, ("x", "K", "bias"), ("y",))[0])
    changed, after = priced(program, 100.0)
    form = "F(2, 3) along h x F(5, 3) along w"
    assert after == [form, f"2 convolutions in one sum, {form}"]
    made = {d.name for d in changed.definitions if d.name.startswith("y.tangent.winograd")}
    suffixes = {name.removeprefix("y.tangent.winograd.") for name in made}
    assert len(changed["y.tangent.winograd.product"].terms) == 2
    # One image and one kernel are new, whichever of the two convolutions comes first.
    assert len(suffixes) == 3 and sorted(s.rstrip("2") for s in suffixes) == ["image", "kernel", "product"]
    inputs = random_inputs(program, 2)
    direct, ours = run(program, inputs), run(changed, inputs)
    for name in program.outputs:
        np.testing.assert_allclose(ours[name], direct[name], atol=1e-12 * np.abs(direct[name]).max())
    settings = Settings(TARGETS["x86-64-v3"], "float64", 2)
    found = interpret_programs([changed], settings).run(0, inputs)
    for name in program.outputs:
        np.testing.assert_allclose(found[name], direct[name], atol=1e-12 * np.abs(direct[name]).max())


def test_the_error_bound_decides() -> None:
    """With few channels the transforms' own roundings weigh more: what 32 channels may, 3 may not."""
    assert (
        error_ratio([transform(4, 3)] * 2, 32) <= LARGEST_ERROR_RATIO < error_ratio([transform(4, 3)] * 2, 3)
    )
    for channels in (3, 32):
        _, after = priced(forward_and_transpose((18, 18), (channels, 96), (3, 3)), 100.0)
        assert ("F(4, 3) along h x F(4, 3) along w" in after) == (channels == 32)


@pytest.mark.parametrize(("step", "spread"), [(1, 1), (2, 1), (1, 2)], ids=["plain", "strided", "dilated"])
def test_only_neighbours_slide(step: int, spread: int) -> None:
    """A direction with a stride or a dilation is left alone; the other one still slides."""
    program = forward_and_transpose((13, 13), (32, 64), (3, 3))
    direct = program["y"].terms[0]
    h, p = axis("h"), axis("p")
    rows = (12 - 2 * spread) // step + 1
    axes = tuple(replace(a, extent=rows) if a.name == "h" else a for a in direct.axes)
    reads = [
        (
            s,
            replace(a, indices=(a.indices[0], step * h + spread * p, *a.indices[2:]))
            if a.tensor == "x"
            else a,
        )
        for s, a in direct.reads
    ]
    changed = make_term(axes, direct.target, direct.body, reads)
    definition = Definition("y", (None, rows, 11, 64), "sum", (changed,))
    found = convolution(changed, definition, program)
    assert {d.tap for d in found.directions} == ({"p", "q"} if step == spread == 1 else {"q"})


def test_guards_and_depthwise_filters_are_left_alone() -> None:
    """A condition on the domain, and a filter with nothing to sum over but its taps."""
    program = forward_and_transpose((13, 13), (32, 64), (3, 3))
    y = program["y"]
    guarded = replace(y.terms[0], guards=(Guard(">=", axis("h") - 1),))
    assert convolution(y.terms[0], y, program) is not None
    assert convolution(guarded, y, program) is None
    channels = [a for a in y.terms[0].axes if a.name != "c"]
    reads = [
        (s, replace(a, indices=tuple(axis("o") if i == axis("c") else i for i in a.indices)))
        for s, a in y.terms[0].reads
        if a.tensor == "x"
    ]
    kernel = [
        (s, Access("depth", (axis("p"), axis("q"), axis("o"))))
        for s, a in y.terms[0].reads
        if a.tensor == "K"
    ]
    depthwise = make_term(channels, y.terms[0].target, y.terms[0].body, [*reads, *kernel])
    inputs = (Tensor("x", (None, 13, 13, 64), "input"), Tensor("depth", (3, 3, 64), "parameter"))
    definition = replace(y, terms=(depthwise,))
    verify(Program(inputs, (definition,), ("y",)))
    assert convolution(depthwise, definition, Program(inputs, (definition,), ("y",))) is None


@every_model
def test_the_mnist_network_uses_it(target: Target) -> None:
    """By its own price, on every machine: the second convolution, not the first."""
    driver = Driver(cost_for(target, "float32"))
    second = forward_and_transpose((12, 12), (32, 64), (3, 3))
    first = forward_and_transpose((26, 26), (1, 32), (3, 3))
    assert "y.winograd.product" in driver.one("winograd", "second", second)
    assert "y.winograd.product" not in driver.one("winograd", "first", first)
