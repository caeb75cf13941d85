"""The suite can fail: each rule of the calculus is broken once, and some rung must go red.

A mutant wraps one function of `compiler.derive` and spoils what it returns. The same cases are green under
the calculus as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
import sympy

from compiler.derive import extrema as extrema_module
from compiler.derive import jvp as jvp_module
from compiler.derive import vjp as vjp_module
from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, axis
from compiler.ir.tensor.program import Access, Axis, Definition, Guard, Program, Tensor, Term
from compiler.language.layers import Conv2D, Dense, MaxPool2D, ReLU, Softmax, Tanh
from tests.derive.cases import Case, interpret, layer_program
from tests.derive.random_programs import scalar_term
from tests.derive.rungs import adjoint_identity, derived, taylor_slope

Wrapper = Callable[[Callable], Callable]


def running_sum() -> Program:
    """`y[b, j] = Σ_{k ≤ j} tanh(x[b, k])`: a term with a guard."""
    axes = (Axis("b", None), Axis("j", 5), Axis("k", 5))
    read = Access("x", (axis("b"), axis("k")))
    guard = Guard(">=", axis("j") - axis("k"))
    term = scalar_term(axes, (axis("b"), axis("j")), sympy.tanh, read, guards=[guard])
    return Program((Tensor("x", (None, 5), "input"),), (Definition("y", (None, 5), "sum", (term,)),), ("y",))


def padded_average() -> Program:
    """`y[b, h] = Σ_{p:3} pad(x, 0)[b, h + p - 1]²`: reads outside its tensor."""
    axes = (Axis("b", None), Axis("h", 4), Axis("p", 3))
    read = Access("x", (axis("b"), axis("h") + axis("p") - 1), 0.0)
    term = scalar_term(axes, (axis("b"), axis("h")), lambda x: (x + 1) ** 2, read)
    return Program((Tensor("x", (None, 4), "input"),), (Definition("y", (None, 4), "sum", (term,)),), ("y",))


def dropped_writes() -> Program:
    """`y[b, h + p - 1] += tanh(x[b, h])` for p:3: what is written outside of y is dropped."""
    axes = (Axis("b", None), Axis("h", 4), Axis("p", 3))
    read = Access("x", (axis("b"), axis("h")))
    term = scalar_term(axes, (axis("b"), axis("h") + axis("p") - 1), sympy.tanh, read)
    return Program((Tensor("x", (None, 4), "input"),), (Definition("y", (None, 4), "sum", (term,)),), ("y",))


def _cases() -> Iterator[Case]:
    yield Case("running sum", running_sum, "y", ("x",))
    yield Case("padded", padded_average, "y", ("x",))
    yield Case("dropped writes", dropped_writes, "y", ("x",))
    yield Case("square windows", lambda: layer_program(MaxPool2D(3), (6, 6, 2)), "y", ("x",))
    convolution = Conv2D(2, (2, 3), stride=(1, 2), padding=1)
    yield Case("convolution", lambda: layer_program(convolution, (5, 6, 2)), "y", ("x", "kernel", "bias"))
    yield Case("pooling", lambda: layer_program(MaxPool2D((2, 3), (1, 2)), (5, 7, 2)), "y", ("x",))
    yield Case("dense", lambda: layer_program(Dense(3), (4,)), "y", ("x", "kernel", "bias"))
    yield Case("tanh", lambda: layer_program(Tanh(), (4,)), "y", ("x",))
    yield Case("relu", lambda: layer_program(ReLU(), (4,)), "y", ("x",))
    yield Case("softmax", lambda: layer_program(Softmax(), (4,)), "y", ("x",))


CASES = {case.name: case for case in _cases()}


@dataclass(frozen=True)
class Mutant:
    """A broken rule: the functions that are wrapped, how, and the case that must notice."""

    name: str
    functions: tuple[tuple[object, str], ...]
    wrapper: Wrapper
    noticed_by: str

    def __str__(self) -> str:
        return self.name


PULL = (vjp_module, "vjp_terms")
PUSH = (jvp_module, "jvp_term")
WINNERS = ((extrema_module, "at_winner"),)
WINNER_DEFINITIONS = ((extrema_module, "winner_definition"),)


def every_pulled(spoil: Callable[[Term], Term]) -> Wrapper:
    """Spoil each term that the VJP rule yields."""
    return lambda rule: lambda *given: [(tensor, spoil(term)) for tensor, term in rule(*given)]


def pushed(spoil: Callable[[Term], Term]) -> Wrapper:
    """Spoil the term that the JVP rule gives."""

    def wrapper(rule: Callable) -> Callable:
        def spoiled(*given):
            term = rule(*given)
            return None if term is None else spoil(term)

        return spoiled

    return wrapper


def either(spoil: Callable[[Term], Term]) -> Wrapper:
    """Spoil what any rule returns: one term or several."""

    def wrapper(rule: Callable) -> Callable:
        several = rule.__name__ == "vjp_terms"
        return (every_pulled(spoil) if several else pushed(spoil))(rule)

    return wrapper


def without_guards(term: Term) -> Term:
    return replace(term, guards=())


def negated(term: Term) -> Term:
    return replace(term, body=-term.body)


def doubled(term: Term) -> Term:
    return replace(term, body=2 * term.body)


def with_swapped_coefficients(term: Term) -> Term:
    """`h + 2*p` for `2*h + p` in the target."""
    return replace(term, target=tuple(map(_swapped, term.target)))


def _swapped(index: Affine) -> Affine:
    atoms = [atom for atom, _ in index.terms]
    coefficients = [coefficient for _, coefficient in reversed(index.terms)]
    return Affine.build(dict(zip(atoms, coefficients, strict=True)), index.constant)


def shifted_by_one(term: Term) -> Term:
    """The last padded index of the target off by one."""
    targets = [index + 1 if index.constant else index for index in term.target]
    return replace(term, target=tuple(targets))


def with_ones_outside(term: Term) -> Term:
    """Padding that moves along with the tangent."""
    reads = tuple((s, replace(a, outside=None if a.outside is None else 1.0)) for s, a in term.reads)
    return replace(term, reads=reads)


def reversed_digits(rule: Callable) -> Callable:
    """Decode the winner with the reduction axes in the opposite order."""

    def spoiled(definition: Definition, winner: str) -> Term:
        (term,) = definition.terms
        reduced = term.reduction_axes
        kept = tuple(a for a in term.axes if a not in reduced)
        return rule(replace(definition, terms=(replace(term, axes=(*kept, *reversed(reduced))),)), winner)

    return spoiled


def loser(rule: Callable) -> Callable:
    """Save where the smallest value stands."""
    return lambda *given: replace(rule(*given), operation="argmin")


def first_only(rule: Callable) -> Callable:
    """Forget all terms but the first."""
    return lambda *given: list(rule(*given))[:1]


def first_read_only(rule: Callable) -> Callable:
    """Forget that a product has two factors: perturb the first active read alone."""

    def spoiled(term: Term, tangents: Mapping[str, str]) -> Term | None:
        first = next((a.tensor for _, a in term.reads if a.tensor in tangents), None)
        return rule(term, {first: tangents[first]} if first else {})

    return spoiled


MUTANTS = [
    Mutant("the VJP drops guards", (PULL,), every_pulled(without_guards), "running sum"),
    Mutant("the JVP drops guards", (PUSH,), pushed(without_guards), "running sum"),
    Mutant("both drop guards", (PULL, PUSH), either(without_guards), "running sum"),
    Mutant("the VJP swaps strides", (PULL,), every_pulled(with_swapped_coefficients), "convolution"),
    Mutant("the VJP misplaces padding", (PULL,), every_pulled(shifted_by_one), "convolution"),
    Mutant("the VJP forgets terms", (PULL,), first_only, "dense"),
    Mutant("the VJP forgets a term of a softmax", (PULL,), first_only, "softmax"),
    Mutant("the JVP forgets a factor", (PUSH,), first_read_only, "dense"),
    Mutant("the VJP has the wrong sign", (PULL,), every_pulled(negated), "relu"),
    Mutant("both have the wrong sign", (PULL, PUSH), either(negated), "tanh"),
    Mutant("both are twice too large", (PULL, PUSH), either(doubled), "relu"),
    Mutant("tangents are 1 in the padding", (PUSH,), pushed(with_ones_outside), "padded"),
    Mutant("winner digits are reversed", WINNERS, reversed_digits, "pooling"),
    Mutant("the loser is saved", WINNER_DEFINITIONS, loser, "pooling"),
]


@pytest.fixture(autouse=True)
def derived_anew() -> Iterator[None]:
    """What other rules have derived counts for nothing."""
    derived.cache_clear()
    yield
    derived.cache_clear()


def is_red(case: Case) -> bool:
    """Whether a rung fails, or the program cannot even be run."""
    try:
        return adjoint_identity(case, interpret).error >= 1e-12 or taylor_slope(case, interpret).error >= 0.1
    except CompilerBug:
        return True


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_cases_are_green(case: Case) -> None:
    assert not is_red(case)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_broken_rule_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in mutant.functions:
        monkeypatch.setattr(module, name, mutant.wrapper(getattr(module, name)))
    assert is_red(CASES[mutant.noticed_by])


def test_an_error_that_both_modes_share_needs_the_taylor_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (PULL, PUSH):
        monkeypatch.setattr(module, name, either(doubled)(getattr(module, name)))
    assert adjoint_identity(CASES["tanh"], interpret).error < 1e-12
    assert taylor_slope(CASES["tanh"], interpret).error > 0.9
