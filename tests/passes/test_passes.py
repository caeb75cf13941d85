"""Each pass switched off alone, random programs, and layers that the compiler has never seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sympy import S

from compiler.language.initializers import GlorotUniform
from compiler.language.layers import Forward, Layer, Parameter
from compiler.machine.target import Target
from tests.derive.cases import Case, NoRegularPoint, interpret, layer_program, sample
from tests.derive.model_cases import model_cases
from tests.derive.random_programs import random_cases
from tests.derive.rungs import adjoint_identity, finite_difference, taylor_slope
from tests.machines import TARGETS, every_model, native
from tests.schedule.building import (
    SWITCHES,
    Pair,
    build,
    disagreements,
    interpreted,
    pullback,
    pushforward,
)
from tests.schedule.test_kernels import BATCHES, report

RANDOM_PROGRAMS = 10
"""`make long` goes through two thousand (tests/derive/test_fuzz.py)."""


@pytest.mark.long
def test_each_pass_can_be_switched_off() -> None:
    """In `make test` tests/passes/test_switches.py leaves out each pass, of whole compilations.

    The MNIST network in miniature, with everything on, with one pass off, with all of them off."""
    case = next(case for case in model_cases() if case.name == "digits")
    off = [frozenset(), *(frozenset([name]) for name in SWITCHES), frozenset(SWITCHES)]
    table = [replace(pullback(case, skip), name=f"without {', '.join(skip) or 'nothing'}") for skip in off]
    module = interpreted(table, TARGETS["x86-64-v3"], "float64", 2, off)
    found = disagreements(module, table, BATCHES, 1e-11)
    assert not found, report(found)


def test_passes_do_something_here() -> None:
    """Switching off a pass that does nothing would prove nothing."""
    case = next(case for case in model_cases() if case.name == "digits")
    everything = pullback(case).simplified
    for switch in ("commute", "demand", "simplify"):
        assert pullback(case, frozenset([switch])).simplified != everything, switch


def test_random_programs() -> None:
    """Through the C compiler; tests/schedule/test_interpreted.py has more of them for every machine."""
    table = random_pairs(RANDOM_PROGRAMS)
    assert len(table) > RANDOM_PROGRAMS // 3
    module = build(table, native(), "float64", 4)
    found = disagreements(module, table, BATCHES, 1e-10)
    assert not found, report(found)


def random_pairs(count: int) -> list[Pair]:
    """Of `count` random programs those with a point far from every kink at each batch size."""
    found: list[Case] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(random_cases())
    def collect(case: Case) -> None:
        found.append(replace(case, name=f"random {len(found)}"))

    collect()
    return [pullback(case) for case in found if all(has_point(case, batch) for batch in BATCHES)]


def has_point(case: Case, batch: int) -> bool:
    try:
        sample(replace(case, batch=batch), case.build())
    except NoRegularPoint:
        return False
    return True


@dataclass(frozen=True)
class Swish(Layer):
    """A pointwise layer, by its formula alone."""

    beta: float = 1.5

    def forward(self, x: tuple[int, ...]) -> Forward:
        return Forward("y[...] = x[...] / (1 + exp(-beta * x[...]))", x, constants={"beta": self.beta})


@dataclass(frozen=True)
class Quadratic(Layer):
    """A contraction of second degree, by its formula alone: every unit a bilinear form of the input."""

    units: int

    def forward(self, x: tuple[int, ...]) -> Forward:
        kernel = Parameter((x[-1], x[-1], self.units), GlorotUniform())
        formula = "y[b, o] = sum[i, j](kernel[i, j, o] * x[b, i] * x[b, j])"
        return Forward(formula, (self.units,), {"kernel": kernel})


NEW_LAYERS = (
    Case("swish", lambda: layer_program(Swish(), (4, 3)), "y", ("x",)),
    Case("quadratic", lambda: layer_program(Quadratic(9), (5,)), "y", ("x", "kernel")),
)


def test_new_layers_on_the_rungs() -> None:
    for case in NEW_LAYERS:
        assert adjoint_identity(case, interpret).error < 1e-12
        assert taylor_slope(case, interpret).error < 0.1
        assert finite_difference(case, interpret).error < 1e-7


@every_model
def test_new_layers_in_kernels(target: Target) -> None:
    table = [derive(case) for case in NEW_LAYERS for derive in (pullback, pushforward)]
    module = interpreted(table, target, "float64", 4)
    found = disagreements(module, table, BATCHES, 1e-11)
    assert not found, report(found)


def test_changing_a_formula_changes_the_gradient() -> None:
    """The gradient comes from the formula, not from the layer's name."""
    slopes = {}
    for beta in (0.5, 1.5):
        pair = pullback(Case("swish", lambda beta=beta: layer_program(Swish(beta), (4,)), "y", ("x",)))
        (term,) = pair.simplified.definition("x.cotangent").terms
        slopes[beta] = term.body
    assert slopes[0.5] != slopes[1.5]
    assert S.Zero not in slopes.values()
