"""Thousands of random index maps: every claim is checked by enumeration, every inversion by the interpreter.

CHAINRULE_FUZZ sets how many maps are tried (4000, of which `make test` tries 1000).
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from compiler.ir.affine.expression import FloorDiv, Mod
from compiler.ir.tensor.interpreter import affine_values, run
from compiler.ir.tensor.maps import (
    covers,
    disjoint,
    domain_size,
    free_axes,
    injective_given,
    inside,
    interior,
    is_injective,
)
from compiler.ir.tensor.program import Definition
from compiler.passes.bounds import bounds
from compiler.passes.gather.gather import Inversion, gather, iteration_count
from tests.ir.affine.random_maps import BATCH, Case, cases, has_duplicates, in_tensor, points_of

MAPS = int(os.environ.get("CHAINRULE_FUZZ", "4000"))
CHUNKS = 8
ORDINARY = 1


def elements(shape) -> int:
    return int(np.prod([BATCH if n is None else n for n in shape]))


def check_claims(case: Case, seen: Counter) -> None:
    """Each claim of `maps` about the term, against its enumerated points."""
    term, shape = case.term, case.shape
    points = points_of(term, case.arrays)
    everywhere = points_of(term, case.arrays, guarded=False)
    injective = not has_duplicates(points.target)
    seen["injective"] += injective
    seen["injective, proven"] += is_injective(term)
    assert injective or not is_injective(term)

    # A free axis takes one value for each target.
    for name in free_axes(term):
        both = np.column_stack([points.target, points.axes[name]])
        assert len(np.unique(both, axis=0)) == len(np.unique(points.target, axis=0)), name

    names = [a.name for a in term.axes]
    targets = [a.name for a in term.target_axes]
    for fixed in (*combinations(names, 0), *combinations(names, 1), *combinations(names, 2)):
        if injective_given(term, frozenset(fixed)):
            told = points.distinct([*targets, *(n for n in fixed if n not in targets)])
            held = [told.axes[n] for n in fixed]
            assert not has_duplicates(np.column_stack([told.target, *held])), fixed

    assert np.all(in_tensor(everywhere.target, shape)) or not inside(term.target, shape, term.extents)
    written = np.unique(points.target[in_tensor(points.target, shape)], axis=0)
    complete = len(written) == elements(shape)
    has_reads = any(a.reads for a in term.affines())
    seen["covered"] += complete
    seen["covered, proven"] += covers(term, shape)
    assert complete or not covers(term, shape)
    if not has_reads and None not in shape:
        # Without reads the claim is exact on boxes of this size.
        assert covers(term, shape) == complete
    assert domain_size(term, BATCH) == len(points.target)

    for name, extent in term.extents.items():
        middle = interior(term, name)
        held = np.isin(everywhere.axes[name], list(middle))
        for guard in term.guards:
            if guard.kind == ">=" and name in guard.affine.axes:
                alone = points_of_guard(term, guard, case)
                assert np.all(alone[held]), (name, guard)
        assert extent is None or middle.stop <= extent


def points_of_guard(term, guard, case: Case) -> np.ndarray:
    """At which points of the whole box one guard holds."""
    everywhere = points_of(term, case.arrays, guarded=False)
    return affine_values(guard.affine, everywhere.axes, case.arrays) >= 0


def check_inversion(case: Case, inversion: Inversion, seen: Counter) -> None:
    """What an `Inversion` says of its terms, against their enumerated points."""
    for one, other in combinations(inversion.terms, 2):
        if disjoint(one, other):
            a, b = points_of(one, case.arrays).target, points_of(other, case.arrays).target
            assert not {*map(tuple, a)} & {*map(tuple, b)}
    writes, boxes = [], []
    for term in inversion.terms:
        target_axes = [a.name for a in term.target_axes]
        writes.append(points_of(term, case.arrays).distinct(target_axes).target)
        boxes.append(points_of(term, case.arrays, guarded=False).target)
        if inversion.kind == "gather":
            used = [a for i in term.target for a, _ in i.terms]
            assert len(used) == len(set(used)) and all(isinstance(a, str) for a in used)
            assert all(c > 0 for i in term.target for _, c in i.terms)
    if inversion.stores and writes:
        assert not has_duplicates(np.concatenate(writes))
    if inversion.covers:
        stored = np.concatenate(boxes if inversion.kind == "gather" else writes)
        assert np.all(in_tensor(stored, case.shape)) or inversion.kind == "scatter"
        inside_tensor = stored[in_tensor(stored, case.shape)]
        assert len(np.unique(inside_tensor, axis=0)) == elements(case.shape)
    seen[inversion.kind] += 1
    seen[f"{inversion.kind} that stores"] += inversion.stores
    seen["phases"] += len(inversion.terms) > 1


def check_values(case: Case, open_labels: bool, seen: Counter) -> None:
    """The scatter, the bounded scatter and the gather are the same tensor, for a sum and for a max."""
    program, _ = bounds(case.program())
    bounded = program.definitions[0].terms[0]
    if not bounded.reads:
        assert not np.any(run(case.program(), case.arrays, batch=BATCH)["y"])
        return
    held = points_of(bounded, case.arrays).target
    assert np.all(in_tensor(held, case.shape))
    inversion = gather(bounded, case.shape, open_labels=open_labels)
    check_inversion(case, inversion, seen)
    operation = "max" if seen["maps"] % 5 == 0 else "sum"
    names = {"y": case.term, "bounded": bounded}
    definitions = [Definition(name, case.shape, operation, (term,)) for name, term in names.items()]
    definitions.append(Definition("gathered", case.shape, operation, inversion.terms))
    values = run(case.program().with_definitions(definitions), case.arrays, batch=BATCH)
    assert np.array_equal(values["y"], values["bounded"])
    assert np.array_equal(values["y"], values["gathered"]), inversion
    divisions = [a for i in bounded.affines() for a in i.atoms() if isinstance(a, FloorDiv | Mod)]
    if not any(a.reads for a in bounded.affines()):
        # No point is visited twice, no point is visited in vain, and no division appears.
        assert iteration_count(inversion.terms, BATCH) == len(held)
        left = [a for t in inversion.terms for i in t.affines() for a in i.atoms()]
        assert divisions or not any(isinstance(a, FloorDiv | Mod) for a in left)


@pytest.mark.parametrize(
    "chunk", [pytest.param(n, marks=[pytest.mark.long] * (n >= ORDINARY)) for n in range(CHUNKS)]
)
def test_claims_and_inversions_of_random_maps(chunk):
    seen = Counter()
    for case in cases(-(-MAPS // CHUNKS), seed=chunk):
        seen["maps"] += 1
        check_claims(case, seen)
        check_values(case, open_labels=seen["maps"] % 3 == 0, seen=seen)
    print(dict(sorted(seen.items())))
    # The checks mean little if nothing is ever claimed.
    assert seen["injective, proven"] > 0.6 * seen["injective"]
    assert seen["covered, proven"] > 0.6 * seen["covered"]
    assert seen["gather"] > 0.4 * seen["maps"] and seen["phases"] > 0.1 * seen["maps"]
