"""What the hunter finds in its first 10,000 compositions, by kind, and how much of each kind there may be.

The aim is none of what JAX has right. Until then each kind has the share that was measured, rounded up. A
composition is in a kind with any one point of any size, the infinite included.
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import pytest

from tests.many import COMPOSITIONS
from tests.simplify.numerics.hunt import Finding, Kind, findings

COUNT, PARTS = COMPOSITIONS.many, 100
FEW = (*range(84, 88), 1, 6, 68, 72, 126, 137, 201, 247)
"""Compositions of a few tenths of a second each. Those behind the first four were infinite, no number, or far
behind JAX."""
WRONG = (Kind.REFUSED, Kind.NOT_FINITE, Kind.BEHIND)
MOST = {
    Kind.REFUSED: 0,
    # 1 of the first 300, where a rescaling takes 3e38 beyond the floats.
    Kind.NOT_FINITE: 2,
    # 2 of the first 300: tails that are added after they have been rounded.
    Kind.BEHIND: 2,
}
"""Of a hundred compositions."""


def found_in(numbers: range, jax: ModuleType) -> list[Finding]:
    return [one for number in numbers for one in findings(number, jax)]


def test_a_few_compositions(jax: ModuleType) -> None:
    wrong = [str(one) for one in found_in(FEW, jax) if one.kind in WRONG]
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_compositions(part: int, jax: ModuleType) -> None:
    each = COUNT // PARTS
    found = found_in(range(part * each, (part + 1) * each), jax)
    of_kind = Counter(one.kind for one in found)
    print(*(f"{of_kind[kind]} of {each} {kind.value}" for kind in Kind), sep="\n")
    beyond = {kind for kind, most in MOST.items() if of_kind[kind] * 100 > most * each}
    assert not beyond, "\n".join(str(one) for one in found if one.kind in beyond)
