"""Kernel gradients summed in transformed pieces: interpreter, kernels, accuracy, what is left alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from compiler.driver import Driver
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Definition, Program
from compiler.ir.tensor.sites import choose
from compiler.ir.tensor.verify import verify
from compiler.machine.target import Target
from compiler.passes.winograd.choice import LARGEST_ERROR_RATIO
from compiler.passes.winograd.definitions import transformed
from compiler.passes.winograd.form import Chosen, Planned, error_bound
from compiler.passes.winograd.match import Convolution, Sliding
from compiler.passes.winograd.pieces import PIECES
from compiler.passes.winograd.transforms import transform
from compiler.passes.winograd.winograd import winograd
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.machines import TARGETS, every_model, shared_out
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs

COSTS = TARGETS["x86-64-v4"].machine.costs("float32")
SITES = partial(winograd, moved=COSTS.moved_value, share=COSTS.transformed_share)

CASES = [
    # rows and columns summed over, channels, positions, taps of a piece along rows and columns (0: direct)
    ((8, 8), (2, 3), (3, 3), (4, 4)),
    ((10, 7), (3, 17), (3, 3), (4, 3)),
    ((9, 5), (1, 2), (3, 2), (0, 5)),
    ((6, 11), (2, 5), (5, 3), (2, 0)),
    ((3, 4), (2, 2), (2, 4), (2, 3)),
    ((1, 12), (4, 20), (1, 3), (0, 5)),
]


def kernel_gradient(rows, channels, positions) -> Program:
    """The derivative of a convolution by its kernel, scaled."""
    (height, width), (ins, outs), (r, s) = rows, channels, positions
    over = f"h:{height}, w:{width}, o:{outs}, p:{r}, q:{s}, c:{ins}"
    return parse_program(
        f"""
input x: (batch, {height + r - 1}, {width + s - 1}, {ins}) real
input g: (batch, {height}, {width}, {outs}) real
K: ({r}, {s}, {ins}, {outs}) real = sum of "K"
    for b:batch, {over}: [p, q, c, o] += -3/2*g[b, h, w, o]*x[b, h + p, w + q, c]
outputs K
"""
    )


def planned(program: Program, taps: tuple[int, int]) -> Planned:
    """The sum in pieces of these many taps along each direction, whatever it costs."""
    (definition,) = program.definitions
    (term,) = definition.terms
    accesses = {access.tensor: access for _, access in term.reads}
    chosen = tuple(
        Chosen(
            Sliding(
                image_dimension=1 + k,
                kernel_dimension=1 + k,
                result_dimension=k,
                position="pq"[k],
                tap="hw"[k],
                outputs=definition.shape[k],
                taps=term.extents["hw"[k]],
                start=0,
                backwards=False,
            ),
            transform(definition.shape[k], size),
            PIECES,
        )
        for k, size in enumerate(taps)
        if size
    )
    scale = term.body.as_coeff_mul()[0]
    convolution = Convolution(term, accesses["x"], accesses["g"], scale, tuple(c.direction for c in chosen))
    return Planned(convolution, chosen, program.shape("x"), program.shape("g"))


def with_pieces(program: Program, taps: tuple[int, int]) -> Program:
    (definition,) = program.definitions
    parts = transformed(definition, (planned(program, taps),), "K.winograd")
    result = program.with_definitions(parts)
    verify(result)
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_programs_agree(case) -> None:
    program = kernel_gradient(*case[:3])
    changed = with_pieces(program, case[3])
    inputs = random_inputs(program, 3)
    direct, ours = run(program, inputs)["K"], run(changed, inputs)["K"]
    np.testing.assert_allclose(ours, direct, atol=1e-12 * np.abs(direct).max())


@shared_out(CASES, 3)
def test_kernels_agree(target: Target, part: list[tuple]) -> None:
    programs = [kernel_gradient(*case[:3]) for case in part]
    changed = [with_pieces(p, case[3]) for p, case in zip(programs, part, strict=True)]
    module = interpret_programs(changed, Settings(target, "float64", 2))
    for number, program in enumerate(programs):
        for batch in (1, 5):
            inputs = random_inputs(program, batch)
            direct, ours = run(program, inputs)["K"], module.run(number, inputs)["K"]
            np.testing.assert_allclose(ours, direct, atol=1e-12 * np.abs(direct).max())


def test_error_bound_holds_in_float32() -> None:
    """Against float64, for random values and for signs alone, which let sums grow as far as they can."""
    program = kernel_gradient((16, 16), (8, 16), (3, 3))
    changed = with_pieces(program, (4, 4))
    module = interpret_programs([changed], Settings(TARGETS["x86-64-v4"], "float32", 2))
    ratio = error_bound(planned(program, (4, 4)))
    assert ratio <= LARGEST_ERROR_RATIO
    batch = 4
    for change in (np.asarray, np.sign, np.abs):
        inputs = {name: change(value).astype("f") for name, value in random_inputs(program, batch).items()}
        exact = run(program, {name: value.astype("f8") for name, value in inputs.items()})["K"]
        error = np.abs(module.run(0, inputs)["K"] - exact).max()
        assert error <= ratio * (batch * 16 * 16) ** 2 * 2.0**-24


def rewritten(program: Program, direct: float = 1e9) -> list[str]:
    """What the pass writes down where the sum costs `direct`, and every part of another form 1."""

    def cost(d: Definition) -> float:
        return 1.0 if any(".winograd" in name for name in (d.name, *d.tensors)) else direct

    result, rewrites = choose(
        program, "winograd", SITES, lambda priced, names: sum(cost(priced[name]) for name in names)
    )
    verify(result)
    return [rewrite.after for rewrite in rewrites]


def test_the_price_decides() -> None:
    program = kernel_gradient((32, 32), (32, 32), (3, 3))
    assert rewritten(program) == ["F(3, 4) in pieces of h x F(3, 4) in pieces of w"]
    assert rewritten(program, direct=1.0) == []


@every_model
def test_every_machine_has_a_price(target: Target) -> None:
    program = kernel_gradient((32, 32), (32, 32), (3, 3))
    assert "K.winograd.product" in Driver(cost_for(target, "float32")).one("winograd", "program", program)


def test_few_channels_are_left_alone() -> None:
    """The transforms would move more than the sum multiplies."""
    assert rewritten(kernel_gradient((32, 32), (1, 4), (3, 3))) == []


@pytest.mark.parametrize(("step", "spread"), [(2, 1), (1, 2)], ids=["strided", "dilated"])
def test_only_neighbours_slide(step: int, spread: int) -> None:
    """Where the image is read at other distances there is no such sum along that direction."""
    over = "h:32, w:32, o:32, p:3, q:3, c:32"
    lines = f"""
input x: (batch, 70, 34, 32) real
input g: (batch, 32, 32, 32) real
K: (3, 3, 32, 32) real = sum of "K"
    for b:batch, {over}: [p, q, c, o] += g[b, h, w, o]*x[b, {step}*h + {spread}*p, w + q, c]
outputs K
"""
    assert rewritten(parse_program(lines)) == ["F(3, 4) in pieces of w"]


def test_guards_and_other_terms_are_left_alone() -> None:
    program = kernel_gradient((32, 32), (32, 32), (3, 3))
    (definition,) = program.definitions
    doubled = replace(definition, terms=(*definition.terms, *definition.terms))
    assert rewritten(program.with_definitions([doubled])) == []


def test_a_filter_that_depends_on_the_position_is_left_alone() -> None:
    """g[b, h, p] differs from position to position: nothing slides along h."""
    lines = """
input x: (batch, 34, 32) real
input g: (batch, 32, 3, 32) real
K: (3, 32, 32) real = sum of "K"
    for b:batch, h:32, o:32, p:3, c:32: [p, c, o] += g[b, h, p, o]*x[b, h + p, c]
outputs K
"""
    assert rewritten(parse_program(lines)) == []
