"""Every recorded step does on numbers what its rule says, and the record of a derivation is complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program, Rewrite
from compiler.ir.tensor.stepwise import stepwise
from compiler.tools.derive.problem import question
from compiler.tools.derive.replay import replayed, unrecorded
from tests.derive.cases import Case, NoRegularPoint, sample
from tests.derive.layer_cases import (
    convolution_cases,
    other_layer_cases,
    pooling_cases,
    rectangular_cases,
)
from tests.derive.random_formulas import random_formulas
from tests.derive.random_recurrences import System, program_of, systems
from tests.derive.rungs import simplified
from tests.derive.sequence_cases import sequence_cases
from tests.derive.test_random_programs import has_regular_point

TOLERANCE = 1e-9
ZOO = [*other_layer_cases(), *sequence_cases()]
GRIDS = [*convolution_cases(), *pooling_cases(), *rectangular_cases()]
SLOW = (
    *("normalization", "gelu-approximate", "huber", "clip", "separable"),
    *("lstm", "gru", "bidirectional", "attention", "-of-one-step"),
)
"""What takes long to simplify, or is a kind of which others are there: the long run has it."""
QUICK = [case for case in ZOO if not any(word in case.name for word in SLOW) or case.name == "gru-sequences"]


def steps_of(case: Case) -> Iterable[tuple[Program, tuple[Rewrite, ...], Program | None]]:
    """(what a stage was given, its record, and where every step of it is a rewrite its result)."""
    program = case.build()
    pulled, swaps = vjp(program, case.output, case.wrt, seed="input")
    yield pulled, swaps, None
    pushed, perturbed = jvp(program, case.wrt, (case.output,))
    yield pushed, perturbed, None
    simple, rewrites = simplified(case)
    yield pulled, rewrites, simple


def values_for(case: Case, program: Program) -> dict[str, np.ndarray]:
    """The case's values, and random cotangents and tangents."""
    values = {n: v for n, v in sample(case, case.build()).items() if n in program}
    rng = np.random.default_rng(1)
    for tensor in program.inputs:
        if tensor.role in ("cotangent", "tangent"):
            values[tensor.name] = rng.standard_normal(concrete_shape(tensor.shape, case.batch))
    return values


def examine(case: Case) -> None:
    for given_program, rewrites, result in steps_of(case):
        values = values_for(case, given_program)
        for step in replayed(given_program, rewrites, values, batch=case.batch):
            assert step.error < TOLERANCE, f"{step.error}: {step.rewrite}"
        if result is not None:
            assert unrecorded(given_program, rewrites, result) == []


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_steps_of_a_layer_replay(case: Case) -> None:
    examine(case)


@pytest.mark.long
@pytest.mark.parametrize("case", [c for c in ZOO if c not in QUICK] + GRIDS, ids=str)
def test_steps_of_every_other_layer_replay(case: Case) -> None:
    examine(case)


@pytest.mark.long
@settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(random_formulas())
def test_steps_of_a_random_formula_replay(case: Case) -> None:
    assume(has_regular_point(case))
    examine(case)


@pytest.mark.long
@settings(
    max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(systems())
def test_steps_of_a_random_recurrence_replay(system: System) -> None:
    program = stepwise(program_of(system))
    case = Case("random", lambda: program, "loss", ("x", "w"))
    try:
        examine(case)
    except NoRegularPoint:
        assume(False)


def test_every_derivative_is_the_sum_of_its_recorded_parts() -> None:
    """What the rules derive is nothing but the terms that were recorded, each once."""
    for case in QUICK:
        program = case.build()
        pulled, rewrites = vjp(program, case.output, case.wrt, seed="input")
        # What the rules made of a circle is then put on its steps.
        made = {r.new[0].name: r.old[0] for r in rewrites if r.rule == "step"}
        recorded = [(r.new[0].name, r.new[0].terms[0]) for r in rewrites if r.rule == "vjp"]
        if program.definition(case.output) is not None and case.output in program.circle_of:
            # The given cotangent is added to that of later elements of the output.
            (total,) = (d for d in pulled.definitions if d.role == "cotangent" and d.of == case.output)
            recorded += [(total.name, made.get(total.name, total).terms[0])]
        derived = [
            (d.name, term)
            for d in pulled.definitions
            if d.role == "cotangent"
            for term in made.get(d.name, d).terms
            if term.reads  # a tensor that nothing depends on has a cotangent of 0
        ]
        assert sorted(map(str, recorded)) == sorted(map(str, derived)), case


def test_a_wrong_step_is_found() -> None:
    """Each kind of step with a wrong factor, and a result with a definition that nobody recorded."""
    found = set()
    for case in QUICK:
        for program, rewrites, result in steps_of(case):
            values = values_for(case, program)
            for position, rewrite in enumerate(rewrites):
                if not rewrite.new or rewrite.rule in found:
                    continue
                last = rewrite.new[-1]
                doubled = replace(last, terms=tuple(replace(t, body=2 * t.body) for t in last.terms))
                broken = replace(rewrite, new=(*rewrite.new[:-1], doubled))
                steps = [*rewrites[:position], broken]
                errors = [s.error for s in replayed(program, steps, values, batch=case.batch)]
                assert errors[-1] > TOLERANCE, broken
                found.add(rewrite.rule)
                if result is not None:
                    assert unrecorded(program, steps, replace(result, definitions=(doubled,))) == []
                    assert unrecorded(program, rewrites[:position], replace(result, definitions=(doubled,)))
    assert found >= {"step", "vjp", "jvp", "winner", "compose", "output form", "algebra", "pull out", "shift"}


def test_what_is_given_keeps_its_digits() -> None:
    """It was rounded to float64, and differences of short steps with it."""
    third = np.longdouble(1) / 3
    found = run(question("y = 2x").program, {"x": third}, dtype=np.longdouble)["y"]
    assert found == 2 * third
