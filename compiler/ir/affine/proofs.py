"""Proofs that an index expression is not negative, from intervals and from facts such as guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, Extent, FloorDiv

Extents = Mapping[str, Extent]


def facts_of(guard: Guard) -> list[Affine]:
    """Expressions that are not negative where the guard holds."""
    return {">=": [guard.affine], "==": [guard.affine, -guard.affine]}.get(guard.kind, [])


def is_nonnegative(expression: Affine, extents: Extents, facts: Sequence[Affine] = ()) -> bool:
    """Whether `expression >= 0` can be proven over the box of axes where all `facts` are >= 0.

    By intervals; else by subtracting a multiple of a fact that cancels one of the atoms; else by clearing a
    floor-division, `c + n//d >= 0` being `d*c + n >= 0`.
    """
    low, _ = expression.interval(extents)
    if low is not None and low >= 0:
        return True
    factors = dict(expression.terms)
    for position, fact in enumerate(facts):
        for atom, coefficient in fact.terms:
            factor = factors.get(atom, 0)
            if factor * coefficient <= 0:
                continue
            others = [*facts[:position], *facts[position + 1 :]]
            # |coefficient|·e - |factor|·fact > -|coefficient| gives e > -1.
            rest = abs(coefficient) * expression - abs(factor) * fact + (abs(coefficient) - 1)
            if is_nonnegative(rest, extents, others):
                return True
    cleared = _clear_division(expression)
    return cleared is not None and is_nonnegative(cleared, extents, facts)


def contradict(facts: Sequence[Affine], extents: Extents) -> bool:
    """Whether it can be proven that no point of the box of axes has all `facts` >= 0: the opposite of one of
    them follows from the others."""
    return any(
        is_nonnegative(-fact - 1, extents, [*facts[:position], *facts[position + 1 :]])
        for position, fact in enumerate(facts)
    )


def _clear_division(expression: Affine) -> Affine | None:
    """An expression that is >= 0 exactly where the given one is, without its first floor-division."""
    for atom, coefficient in expression.terms:
        if isinstance(atom, FloorDiv) and abs(coefficient) == 1:
            rest = expression - Affine(((atom, coefficient),))
            spare = 0 if coefficient > 0 else atom.divisor - 1
            return rest * atom.divisor + atom.numerator * coefficient + spare
    return None
