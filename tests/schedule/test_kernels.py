"""Kernels against the interpreter of programs, for every machine model, and some of them compiled."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from compiler.derive.jvp import tangent_name
from compiler.derive.vjp import cotangent_name
from compiler.machine.target import Target
from tests.derive.cases import Case
from tests.derive.layer_cases import (
    convolution_cases,
    other_layer_cases,
    pooling_cases,
    rectangular_cases,
)
from tests.derive.model_cases import model_cases
from tests.derive.rungs import Finding
from tests.machines import MODELS, every_model, native, targets
from tests.schedule.building import (
    Pair,
    build,
    computed,
    disagreements,
    interpreted,
    point,
    pullback,
    pushforward,
)

BATCHES = (1, 3, 7)
"""One example, and batches that leave a partial tile and fill some lanes twice."""
THINNING = 96
"""A table takes one case in 96 of the grids; each machine model begins with another."""
SINGLE = 2e-4
"""float32 is compared with float64, relative to the largest entry of an array."""
TOLERANCES = {"float64": 1e-11, "float32": SINGLE}


@cache
def pairs(start: int, share: int = 12) -> tuple[Pair, ...]:
    """Layers without a grid (one in `share`), and a share of the grids, differentiated; models with all."""
    # The bare dropout layer has a test of its own, below.
    others = [case for case in other_layer_cases() if case.name != "dropout"]
    grids = [*convolution_cases(), *pooling_cases()][start::THINNING]
    others = others[start % share :: share]
    # A module costs its translation. In `make test` a test below runs the models.
    models = [] if share > 1 else model_cases()
    rectangles = list(rectangular_cases())[start % share :: share]
    return tuple(map(pullback, [*rectangles, *others, *models, *grids]))


@pytest.mark.parametrize("number", range(len(MODELS)), ids=list(MODELS))
def test_interpreted_kernels(number: int) -> None:
    """A twelfth of the layers on each machine, another one, in one dtype; the test below has all in both."""
    dtypes = tuple(TOLERANCES)
    check_interpreted(number, pairs(number), [dtypes[number // 3 % len(dtypes)]])


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(MODELS)), ids=list(MODELS))
def test_interpreted_kernels_of_every_layer(number: int) -> None:
    check_interpreted(number, pairs(number, share=1), list(TOLERANCES))


def check_interpreted(number: int, table: tuple[Pair, ...], dtypes: list[str]) -> None:
    machine = tuple(MODELS.values())[number]
    for dtype in dtypes:
        module = interpreted(table, machine, dtype, tile=2 if number % 2 else 4)
        found = disagreements(module, table, BATCHES, TOLERANCES[dtype])
        assert not found, report(found)


@pytest.mark.long
@targets()
def test_float64_kernels_of_every_layer(target: Target) -> None:
    table = pairs(2, share=1)
    module = build(table, target, "float64", tile=4)
    found = disagreements(module, table, BATCHES, 1e-11)
    assert not found, report(found)


def test_float32_kernels() -> None:
    """A twelfth of the layers, as C; on each machine as many are interpreted, above."""
    table = pairs(2)
    module = build(table, native(), "float32", tile=4)
    found = disagreements(module, table, BATCHES, SINGLE)
    assert not found, report(found)


def test_adjoint_identity_of_kernels() -> None:
    """⟨Ju, w⟩ = ⟨u, Jᵀw⟩ with both sides computed by kernels; the JVP against the interpreter as well."""
    cases = [*rectangular_cases(), *list(model_cases())[:2]]
    table = [derive(case) for case in cases for derive in (pullback, pushforward)]
    module = interpreted(table, MODELS["avx2"], "float64", tile=2)
    found = disagreements(module, table, (3,), 1e-11)
    for k, case in enumerate(cases):
        pulled = computed(module, 2 * k, table[2 * k], 3)
        pushed = computed(module, 2 * k + 1, table[2 * k + 1], 3)
        found += adjoint_error(case, pulled, pushed)
    assert not found, report(found)


def adjoint_error(case: Case, pulled: dict, pushed: dict) -> list[Finding]:
    given = point(case, 3)
    tangent = pushed[tangent_name(case.output)]
    # The cotangent of a scalar output is one, and no input of the program.
    cotangent = given[cotangent_name(case.output)] if np.ndim(tangent) else np.ones(())
    returned = [np.vdot(given[tangent_name(name)], pulled[cotangent_name(name)]) for name in case.wrt]
    scale = np.linalg.norm(tangent) * np.linalg.norm(cotangent) + 1e-3
    error = abs(np.vdot(tangent, cotangent) - sum(returned)) / scale
    return [] if error < 1e-11 else [Finding(float(error), f"{case}: adjoint identity")]


def test_models_on_threads() -> None:
    """As the interpreter computes them, and the same bits for any number of threads."""
    table = [pullback(case) for case in model_cases()]
    module = build(table, native(), "float32", tile=2)
    found = disagreements(module, table, BATCHES, SINGLE)
    assert not found, report(found)
    for number, pair in enumerate(table):
        alone = computed(module, number, pair, 7)
        for threads in (2, 3, 4):
            together = computed(module, number, pair, 7, threads)
            for name in pair.raw.outputs:
                assert alone[name].tobytes() == together[name].tobytes(), (pair.name, name, threads)


@every_model
def test_dropout_alone(target: Target) -> None:
    table = [pullback(next(case for case in other_layer_cases() if case.name == "dropout"))]
    module = interpreted(table, target, "float64", tile=4)
    found = disagreements(module, table, BATCHES, 1e-11)
    assert not found, report(found)


def report(found: list[Finding]) -> str:
    return "\n".join(f"{finding.error:.2e}  {finding.where}" for finding in found)
