"""Every schedule, for every machine model and dtype, in the interpreter of loop nests, without a C compiler.

What is computed is compared with the interpreter of tensor programs; every access is checked on the way.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from compiler.ir.loops.grammar import Statement
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import statements
from compiler.ir.tensor.printer import print_program
from compiler.machine.target import Target
from compiler.schedule.choosing import Table
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings
from compiler.schedule.strategies import recurrence, wavefront
from compiler.schedule.strategies.long_scatter import LongScatter
from compiler.schedule.strategies.packed_panels import PackedPanels
from compiler.schedule.strategies.paired_panels import PairedPanels
from compiler.schedule.strategies.recurrence import Recurrence
from compiler.schedule.strategies.table import STRATEGIES
from compiler.schedule.strategies.wavefront import Wavefront
from tests.derive.cases import Case, NoRegularPoint
from tests.derive.random_programs import random_cases
from tests.derive.rungs import compare
from tests.machines import MODELS, every_model
from tests.schedule import test_long_scatters, test_pairs, test_panels, test_recurrences, test_wavefronts
from tests.schedule.building import SEED, STEP, computed, expected, lowered, pullback
from tests.schedule.running import InterpretedPrograms, interpret_programs
from tests.schedule.samples import Sample, samples
from tests.schedule.test_strategies import match_zeros
from tests.schedule.verifying import verify_plan

DTYPES = {"float64": 1e-11, "float32": 2e-4}
"""Tolerance relative to the largest entry; float32 is compared with float64."""
SCHEDULES = (
    r"register tile",
    r"plain loops",
    r"scatter, serial",
    r"outermost, adding to memory",
    r"nonzero factors listed along .*first$",
    r"a list for each",
    r"products along vectors",
    r"sums computed together",
    r"gather, computed together",
    r"where the input is not 0",
    r"sums in \d parts",
    r"the rest in registers",
    r"sums in the same registers",
    r"lanes along .* added up at the end",
    r"lanes along .* compared at the end",
    r"counter-based",
    r"plain loop$",
)
"""What a kernel's header says of its schedule: the table has each."""
WRITTEN = {"intel-avx512": "float64", "avx2": "float64"}
"""Machines, and in which dtype, whose kernels are looked at as well as run."""
VERIFIED = "avx2"
"""Whose kernels are verified here; of all machines random programs are, and in `make long` models."""
ELSEWHERE = {
    LongScatter: test_long_scatters,
    PackedPanels: test_panels,
    PairedPanels: test_pairs,
    Recurrence: test_recurrences,
    Wavefront: test_wavefronts,
}
"""Schedules that have tests of their own in the interpreter."""


def worst(module: InterpretedPrograms, sample: Sample, batch: int) -> float:
    """The largest error of any output, relative to its largest entry."""
    found = module.run(0, sample.inputs(batch), batch=batch, seed=SEED, step=STEP)
    errors = []
    for name, wanted in sample.expected(batch).items():
        assert found[name].shape == wanted.shape
        errors.append(np.abs(found[name] - wanted).max(initial=0) / max(1, np.abs(wanted).max(initial=0)))
    return max(errors)


@pytest.mark.parametrize("number", range(len(MODELS)), ids=list(MODELS))
def test_every_schedule(number: int) -> None:
    """Each machine in one dtype, those of which nothing else is asked a third of the table; the test below
    has all in both."""
    name, dtype = tuple(MODELS)[number], tuple(DTYPES)[number % len(DTYPES)]
    chosen = slice(None) if WRITTEN.get(name) == dtype else slice(number % 3, None, 3)
    check_every_schedule(MODELS[name], dtype, chosen)


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
@every_model
def test_every_schedule_in_every_dtype(target: Target, dtype: str) -> None:
    check_every_schedule(target, dtype)


def check_every_schedule(target: Target, dtype: str, chosen: slice = slice(None)) -> None:
    wrong, table = [], samples()[chosen]
    modules = kept(target, dtype) if WRITTEN.get(target.name) == dtype else planned(table, target, dtype)
    for sample, module in zip(table, modules, strict=True):
        for batch in sample.batches:
            error = worst(module, sample, batch)
            if not error <= DTYPES[dtype]:
                wrong.append(f"{sample.name}, batch {batch}: off by {error:.1e}")
    assert not wrong, "\n".join(wrong)


def planned(table: Sequence[Sample], target: Target, dtype: str) -> Iterator[InterpretedPrograms]:
    """Each sample's kernels."""
    for sample in table:
        yield interpret_programs([sample.ready(target, dtype)], sample.settings(target, dtype))


@cache
def kept(target: Target, dtype: str) -> tuple[InterpretedPrograms, ...]:
    return tuple(planned(samples(), target, dtype))


def test_the_table_has_every_schedule_and_every_statement() -> None:
    """And what is written down of each kernel reads back as the kernel; it keeps the rules all along."""
    notes, kinds, used = set(), set(), set()
    for machine, dtype in WRITTEN.items():
        for module in kept(MODELS[machine], dtype):
            (plan,) = module.plans
            if machine == VERIFIED:
                verify_plan(plan)
            calls = [call for phase in plan.phases for call in (*phase.before, *phase.tile)]
            used |= {type(part) for call in calls for part in call.schedule.parts}
            for kernel in plan.kernels:
                notes.add(kernel.schedule)
                kinds |= {type(statement) for statement in statements(kernel.body)}
                assert parse_kernel(print_kernel(kernel)) == kernel
    assert kinds == set(Statement.__args__)
    missing = [kind for kind in SCHEDULES if not any(re.search(kind, note) for note in notes)]
    assert not missing
    assert without_sample(STRATEGIES, used) == []
    assert without_sample((*STRATEGIES, match_zeros), used) == ["Zeros"]


def without_sample(table: Table, used: set[type]) -> list[str]:
    """Schedules of a table that no kernel here has: each needs a sample, or a test of its own."""
    modules = [sys.modules[match.__module__] for match in (*table, recurrence.match, wavefront.match)]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Schedule) and kind.__module__ == module.__name__
        if not inspect.isabstract(kind)
    }
    elsewhere = {kind for kind, test in ELSEWHERE.items() if test.interpret_programs is interpret_programs}
    return sorted(kind.__name__ for kind in kinds - used - elsewhere)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random_cases(), st.sampled_from(sorted(MODELS)), st.sampled_from([1, 2, 4]))
def test_random_programs(case: Case, machine: str, tile: int) -> None:
    """Any program and its cotangents, as the interpreter of tensor programs has them from the raw ones."""
    pair = pullback(case)
    note(print_program(pair.raw))
    program = lowered(pair.simplified, MODELS[machine], "float64")
    module = interpret_programs([program], Settings(MODELS[machine], "float64", tile))
    for plan in module.plans:
        verify_plan(plan)
    for batch in (1, 3):
        try:
            wanted = expected(pair, batch)
        except NoRegularPoint:
            assume(False)
        found = computed(module, 0, pair, batch)
        for name, value in wanted.items():
            assert compare(found[name], value, name).error < 1e-9, (name, machine, tile, batch)
