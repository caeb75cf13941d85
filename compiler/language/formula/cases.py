"""Conditions on axes: where in a domain one holds, and where it does not.

    x[b, i, j] if j <= i else 0     becomes  x[b, i, j] where i - j >= 0, and 0 where j - i - 1 >= 0

A condition that compares affine expressions of axes is decided by the domain: each side of the choice
becomes terms of its own that run only where they are chosen. So nothing is tested in a loop that a bound of
the loop can say, and no value is computed to be thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.errors import ModelError
from compiler.ir.affine.domain import Guard
from compiler.ir.affine.expression import Affine, Mod
from compiler.language.formula.affine_index import axis_value, reads_integers_alone
from compiler.language.formula.scope import Scope
from compiler.language.formula.syntax import Compare, Extents, Logical, Node

Guards = tuple[Guard, ...]


@dataclass(frozen=True)
class Cases:
    """Where a condition holds and where it fails: of all these lists of guards one holds at each point."""

    holds: tuple[Guards, ...]
    fails: tuple[Guards, ...]


ALWAYS = Cases(((),), ())
NEVER = Cases((), ((),))


def cases_of(condition: Node, extents: Extents, scope: Scope) -> Cases | None:
    """The cases of a condition; None if something else than the place in the domain decides it."""
    match condition:
        case Compare(operator=operator, left=left, right=right):
            difference = _difference(left, right, extents, scope)
            return None if difference is None else _compared(operator, difference, extents)
        case Logical(operator="not", operands=(operand,)):
            cases = cases_of(operand, extents, scope)
            return None if cases is None else Cases(cases.fails, cases.holds)
        case Logical(operator=operator, operands=operands):
            found = [cases_of(operand, extents, scope) for operand in operands]
            parts = [cases for cases in found if cases is not None]
            if len(parts) < len(found):
                return None
            if operator == "and":
                return _all_of(parts)
            negated = _all_of([Cases(part.fails, part.holds) for part in parts])
            return Cases(negated.fails, negated.holds)
    return None


def _difference(left: Node, right: Node, extents: Extents, scope: Scope) -> Affine | None:
    """`left - right` if both are affine in the axes."""
    if not all(reads_integers_alone(side, scope) for side in (left, right)):
        return None
    try:
        return axis_value(left, extents, scope) - axis_value(right, extents, scope)
    except ModelError:
        # It is a condition on real numbers then; what is wrong with it, if anything, shows where it is built.
        return None


def _compared(operator: str, difference: Affine, extents: Extents) -> Cases:
    """The cases of `difference operator 0`, without those that never occur."""
    at_least, positive = Guard(">=", difference), Guard(">=", difference - 1)
    at_most, negative = Guard(">=", -difference), Guard(">=", -difference - 1)
    equal = _equal(difference)
    sides = {
        ">=": ((at_least,), (negative,)),
        ">": ((positive,), (at_most,)),
        "<=": ((at_most,), (positive,)),
        "<": ((negative,), (at_least,)),
        "==": ((equal,), (positive, negative)),
        "!=": ((positive, negative), (equal,)),
    }
    holds, fails = (tuple(_possible(side, extents)) for side in sides[operator])
    if not fails:
        return ALWAYS
    return Cases(holds, fails) if holds else NEVER


def _equal(difference: Affine) -> Guard:
    """`difference == 0`; a remainder that is 0 is divisibility."""
    if len(difference.terms) == 1 and difference.constant == 0:
        ((atom, coefficient),) = difference.terms
        if isinstance(atom, Mod) and abs(coefficient) == 1:
            return Guard("%", atom.numerator, atom.divisor)
    return Guard("==", difference)


def _possible(guards: tuple[Guard, ...], extents: Extents) -> list[Guards]:
    found: list[Guards] = []
    for guard in guards:
        low, high = guard.affine.interval(extents)
        if guard.kind == "%":
            possible = True
        elif guard.kind == "==":
            possible = (low is None or low <= 0) and (high is None or high >= 0)
        else:
            possible = high is None or high >= 0
        if possible:
            found.append((guard,))
    return found


def _all_of(parts: list[Cases]) -> Cases:
    """Several conditions at once; it fails where the first that fails is the first, the second, …"""
    holds: list[Guards] = [()]
    fails: list[Guards] = []
    for part in parts:
        fails += [(*before, *guards) for before in holds for guards in part.fails]
        holds = [(*before, *guards) for before in holds for guards in part.holds]
    return Cases(tuple(holds), tuple(fails))
