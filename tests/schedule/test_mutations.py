"""Mistakes in the scheduler, the planner and the emitter are found without a C compiler.

Each mutant of `mutants.py` is put in place, a program of the table is planned with it, and its kernels are
verified and run in the interpreter. The emitter's mutants write one kernel of all statements, whose text
stands in tests/emit. docs/mutations.md lists what caught each; UPDATE_GOLDEN=1 writes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from compiler.errors import CompilerBug
from compiler.machine.target import Target
from tests.emit.test_statements import GOLDEN, printed
from tests.harness import plans_of
from tests.machines import MODELS
from tests.schedule.building import SEED, STEP
from tests.schedule.mutants import EMITTED, MUTANTS, Mutant, in_place
from tests.schedule.own_samples import own_samples
from tests.schedule.running import InterpretedPrograms
from tests.schedule.samples import Sample, samples
from tests.schedule.verifying import verify_plan

TABLE = Path(__file__).parents[2] / "docs/mutations.md"
MACHINES = ("avx2", "intel-avx512", "scalar")
HEAD = """# Mutations

Each row is a mistake that somebody could make in the scheduler, the planner or the emitter, made on
purpose: one line of one function is changed. No C compiler is needed to find it. The *verifier*
(`compiler/ir/loops/verify.py`) says that a name has no value, that vectors of different lanes meet, or that
an access is not proven to stay inside its buffer; the *interpreter* (`compiler/ir/loops/interpret.py`) that
an access is wrong, or that pieces meet; *values* are compared with the interpreter of tensor programs; the
*text* of one kernel of all statements stands in `tests/emit`. `pytest tests/schedule/test_mutations.py`
makes each mistake again, and checks that this table says what caught it; `UPDATE_GOLDEN=1` writes it.

| mistake | in | caught by |
|---|---|---|
"""


def caught_on(sample: Sample, target: Target) -> str | None:
    """What finds that something is wrong with a program, None where nothing does."""
    ready = sample.ready(target, "float64")
    try:
        (plan,) = plans_of([ready], sample.settings(target, "float64"))
    except (CompilerBug, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"the scheduler itself ({type(error).__name__})"
    try:
        verify_plan(plan)
    except CompilerBug:
        return "verifier"
    module = InterpretedPrograms((plan,), sample.settings(target, "float64"))
    for batch in sample.batches:
        try:
            found = module.run(0, sample.inputs(batch), batch=batch, seed=SEED, step=STEP)
        except CompilerBug:
            return "interpreter"
        for name, wanted in sample.expected(batch).items():
            if not np.allclose(found[name], wanted, 1e-10, 1e-10):
                return "values"
    return None


def sample_of(mutant: Mutant) -> Sample:
    """The program that shows a mistake."""
    return next(sample for sample in (*samples(), *own_samples()) if sample.name == mutant.shown_by)


def caught_by(mutant: Mutant) -> str | None:
    """What catches a mutant of the scheduler, on the first machine on which something does."""
    sample = sample_of(mutant)
    for batch in sample.batches:
        sample.expected(batch)
    with in_place(mutant):
        for name in MACHINES:
            if (found := caught_on(sample, MODELS[name])) is not None:
                return found
    return None


def text_changes(mutant: Mutant) -> bool:
    """Whether the emitter with the mutant writes another text, or none."""
    with in_place(mutant):
        try:
            return printed() != GOLDEN.read_text(encoding="utf-8")
        except (AttributeError, TypeError, ValueError):
            return True


def rows(mutants: Sequence[Mutant], found: Sequence[str]) -> list[str]:
    both = zip(mutants, found, strict=True)
    return [f"| {mutant.mistake} | `{mutant.name}` | {by} |" for mutant, by in both]


@pytest.mark.parametrize("mutant", EMITTED, ids=lambda mutant: mutant.mistake)
def test_a_mistake_of_the_emitter(mutant: Mutant) -> None:
    assert text_changes(mutant)


@pytest.mark.skipif("UPDATE_GOLDEN" in os.environ, reason="the table is being written")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mistake)
def test_a_mistake_of_the_scheduler(mutant: Mutant) -> None:
    found = caught_by(mutant)
    assert found is not None, "nothing catches it"
    assert rows([mutant], [found])[0] in TABLE.read_text(encoding="utf-8"), f"it is caught by the {found}"


def test_the_table_is_complete() -> None:
    if "UPDATE_GOLDEN" in os.environ:
        found = [caught_by(mutant) or "nothing" for mutant in MUTANTS]
        lines = [*rows(MUTANTS, found), *rows(EMITTED, ["text"] * len(EMITTED))]
        TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    text = TABLE.read_text(encoding="utf-8")
    table = text.splitlines()[HEAD.count("\n") :]
    assert text.startswith(HEAD) and len(table) == len(MUTANTS) + len(EMITTED)
    assert all(row in table for row in rows(EMITTED, ["text"] * len(EMITTED)))


def test_without_a_mistake_nothing_is_caught() -> None:
    """Of all samples tests/schedule/test_interpreted.py sees that."""
    shown = {mutant.shown_by: sample_of(mutant) for mutant in MUTANTS}
    for sample in list(shown.values())[::4]:
        assert caught_on(sample, MODELS["avx2"]) is None, sample.name
