"""The three rules of the calculus, each for one term of one definition.

For a term `Y[L(d)] += f(A_1[I_1(d)], …)` over a domain d:

    VJP   Ā_k[I_k(d)] += Ȳ[L(d)] · ∂f/∂A_k      swap the target map and the access map, keep the domain
    JVP   Ẏ[L(d)]     += Σ_k ∂f/∂A_k · Ȧ_k[I_k(d)]  keep the maps, perturb the reads
    max   replace the reduction axes by the saved position of the winner, then rule one or two

SymPy differentiates the scalar body; the maps are only moved, never differentiated. A worked miniature,
the strided convolution y[h] += K[p]·x[2h+p]:

    x̄[2h+p] += ȳ[h]·K[p]        K̄[p] += ȳ[h]·x[2h+p]        ẏ[h] += K̇[p]·x[2h+p] + K[p]·ẋ[2h+p]

Nothing else in the compiler differentiates anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod

import sympy

from compiler.derive.partial import partial_derivative
from compiler.errors import CompilerBug
from compiler.ir.affine.domain import sizes
from compiler.ir.affine.expression import Affine, floor_div, mod
from compiler.ir.affine.expression import Read as IntegerRead
from compiler.ir.scalar.choices import masked
from compiler.ir.tensor.maps import inside
from compiler.ir.tensor.program import (
    Access,
    Definition,
    Reads,
    Shape,
    Term,
    make_term,
)
from compiler.ir.tensor.rename import substitute_axes

Rename = Callable[[str], str]


def vjp_terms(
    term: Term, result: str, shape: Shape, active: frozenset[str], cotangent: Rename
) -> Iterator[tuple[str, Term]]:
    """For each read of an active tensor: (that tensor, the term that its cotangent gains).

    `term` belongs to a sum definition `result` of this shape; `cotangent` names a tensor's cotangent. A term
    whose partial derivative is 0 is left out.
    """
    # A write that was dropped has no cotangent: it is read as 0.
    outside = None if inside(term.target, shape, term.extents) else 0.0
    for symbol, access in term.reads:
        if access.tensor not in active:
            continue
        partial = partial_derivative(term.body, symbol)
        if partial == 0:
            continue
        reads = Reads(term.reads)
        seed = reads.symbol(Access(cotangent(result), term.target, outside))
        body = masked(seed * partial)
        yield access.tensor, make_term(term.axes, access.indices, body, reads.pairs(), term.guards)


def jvp_term(term: Term, tangents: Mapping[str, str]) -> Term | None:
    """The term that the tangent of a sum definition gains, None when nothing that has a tangent is read."""
    reads = Reads(term.reads)
    body = sympy.S.Zero
    for symbol, access in term.reads:
        if access.tensor in tangents:
            # What is read outside a tensor is a constant, so its tangent is 0 there.
            outside = None if access.outside is None else 0.0
            perturbed = reads.symbol(Access(tangents[access.tensor], access.indices, outside))
            body += masked(partial_derivative(term.body, symbol) * perturbed)
    return None if body == 0 else make_term(term.axes, term.target, body, reads.pairs(), term.guards)


def winner_definition(definition: Definition, name: str) -> Definition:
    """The argmax (argmin) companion `name` of a max (min) definition: the first winner in loop order."""
    if len(definition.terms) != 1:
        raise CompilerBug(f"{definition.name}: a max over several terms has no derivative rule")
    operation = {"max": "argmax", "min": "argmin"}[definition.operation]
    return definition.made_of(name, "winner", operation=operation, dtype="index")


def at_winner(definition: Definition, winner: str) -> Term:
    """A max definition's term with its reduction axes replaced by the digits of the saved `winner`.

    y[h] = max_{p:2} x[2h+p]  becomes  y[h] += x[2h + winner[h]], a sum term that rules one and two
    differentiate. A window that lies outside its tensor entirely has a winner outside too, and
    the write that the VJP makes of it is dropped.
    """
    if len(definition.terms) != 1:
        raise CompilerBug(f"{definition.name}: a max over several terms has no derivative rule")
    (term,) = definition.terms
    reduced = term.reduction_axes
    extents = sizes(reduced)
    size = prod(extents)
    position = Affine(((IntegerRead(winner, term.target, size), 1),))
    digits: dict[str, Affine] = {}
    remaining = size
    for reduction, extent in zip(reduced, extents, strict=True):
        inner = remaining // extent
        digit = floor_div(position, inner)
        digits[reduction.name] = digit if remaining == size else mod(digit, extent)
        remaining = inner
    if remaining != 1:
        raise CompilerBug(f"{definition.name}: winner digits do not cover {size} positions")
    axes = tuple(a for a in term.axes if a not in reduced)
    # Guards stay, at the winner: a window none of whose points was allowed has a winner that is not either.
    return substitute_axes(term, digits, axes)
