"""Recurrences over sequences end at the longest of a tile: the bits of all steps, and fewer of them.

Every program that a module has goes through the same pass: forward, gradients by parameters and inputs, JVP,
HVP, gradients of each example. The interpreter of loop nests says where something is read that was not
computed, and the one of programs is given NaN there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy

from compiler.driver import Driver
from compiler.entry_points import ENTRY_POINTS, entry_points
from compiler.frontend.lower import lower
from compiler.ir.loops.grammar import Kernel, Largest
from compiler.ir.loops.interpret import Arguments, Memory, element_type, run_kernel
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import statements
from compiler.ir.tensor.ends import length_in, read_behind
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Axis, Definition, Guard, Program, Tensor, make_term
from compiler.ir.tensor.verify import verify
from compiler.language.description import Model
from compiler.language.layers import GRU, LSTM, Bidirectional, Dense, Input, SimpleRNN
from compiler.language.layers.base import Node
from compiler.language.losses import MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.passes.lengths import lengths
from compiler.pricing import cost_for
from compiler.schedule.settings import Settings
from tests.harness import compile_programs, plans_of
from tests.machines import TARGETS, native
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs
from tests.schedule.verifying import verify_plan

MACHINE = TARGETS["x86-64-v3"]
STEPS, BATCH = 4, 5
WITHOUT = frozenset(["lengths"])
EVERY = ("input_gradient", "jvp", "hvp", "per_example", "inference")
SEQUENCES = ([0] * 5, [1] * 5, [STEPS] * 5, [0, 1, 2, STEPS, 1])
NETWORKS: dict[str, tuple[Callable[[Node], Node], tuple[str, ...]]] = {
    "lstm": (lambda x: Dense(2)(LSTM(3)(x)), ("gradient", *EVERY)),
    "two-lstms": (lambda x: LSTM(2)(LSTM(2, return_sequences=True)(Dense(2)(x))), ("gradient",)),
    "gru": (lambda x: GRU(3)(x), ("gradient",)),
    "gru-before": (lambda x: GRU(2, reset_after=False, return_sequences=True)(x), ("input_gradient",)),
    "backwards": (lambda x: SimpleRNN(3, go_backwards=True, return_sequences=True)(x), ("gradient", "jvp")),
    "both-ways": (lambda x: Bidirectional(SimpleRNN(2))(x), ("gradient",)),
}
"""A network of each kind, and which programs of it are looked at."""


@cache
def programs(name: str) -> dict[str, Program]:
    """Programs of a network as they are before planning."""
    network, wanted = NETWORKS[name]
    x = Input(STEPS, 2, lengths=True)
    model = Model(x, network(x), loss=MeanSquaredError(), optimizer=SGD(0.1))
    recipes = [recipe for recipe in ENTRY_POINTS if recipe.name in wanted]
    driver = Driver(cost_for(MACHINE, "float32"))
    points = entry_points(lower(model), driver, [recipe.mode for recipe in recipes], recipes)
    return {point.name: point.program for point in points}


def is_length(tensor: Tensor) -> bool:
    return tensor.dtype == "index" and tensor.limit == STEPS + 1


def given_to(program: Program, sizes: list[int]) -> dict[str, np.ndarray]:
    (name,) = (tensor.name for tensor in program.inputs if is_length(tensor))
    return {**random_inputs(program, BATCH, "float32"), name: np.array(sizes)}


@pytest.mark.parametrize(("name", "tile"), [*((name, 3) for name in NETWORKS), ("lstm", 1)])
def test_the_bits_of_all_steps(name: str, tile: int) -> None:
    settings = Settings(MACHINE, "float32", tile)
    every = tuple(programs(name).values())
    ending = interpret_programs(every, settings)
    whole = interpret_programs(every, settings, WITHOUT)
    for number, program in enumerate(every):
        assert any(isinstance(s, Largest) for k in ending.plans[number].kernels for s in statements(k.body))
        for sizes in SEQUENCES:
            found = ending.run(number, given_to(program, sizes), batch=BATCH)
            wanted = whole.run(number, given_to(program, sizes), batch=BATCH)
            for output, value in wanted.items():
                np.testing.assert_array_equal(found[output], value, f"{output} of {sizes}")


@pytest.mark.long
@pytest.mark.parametrize("tile", [2, 4])
def test_the_same_bits_in_c_by_any_number_of_threads(tile: int) -> None:
    every = [program for name in ("lstm", "gru") for program in programs(name).values()]
    settings = Settings(native(), "float32", tile)
    ending = compile_programs(every, settings, extra_flags=("-O1",))
    whole = compile_programs(every, settings, extra_flags=("-O1",), without=WITHOUT)
    for number, program in enumerate(every):
        for sizes in SEQUENCES:
            given = given_to(program, sizes)
            wanted = whole.run(number, given, batch=BATCH)
            for threads in (1, 2):
                found = ending.run(number, given, batch=BATCH, threads=threads)
                for output, value in wanted.items():
                    np.testing.assert_array_equal(found[output], value, f"{output} of {sizes}")


@pytest.mark.parametrize("name", ["lstm", "backwards"])
def test_accesses_are_proven_and_kernels_read_back(name: str) -> None:
    for program in list(programs(name).values())[:2]:
        (plan,) = plans_of([program], Settings(TARGETS["x86-64-v4"], "float32", 4))
        verify_plan(plan)
        for kernel in plan.kernels:
            assert parse_kernel(print_kernel(kernel)) == kernel


def with_sevens(program: Program) -> Program:
    """The program with another value wherever all has ended and nothing is read."""
    (tensor,) = filter(is_length, program.inputs)

    def changed(definition: Definition) -> Definition:
        for k, size in enumerate(definition.shape):
            first = definition.terms[0]
            length, ended = (
                length_in(first, tensor),
                [term.target[k].single_axis for term in definition.terms],
            )
            ends = all(
                any(a.end and a.name == n for a in t.axes)
                for n, t in zip(ended, definition.terms, strict=True)
            )
            if size == STEPS and length and ends and not read_behind(program, definition.name, k, tensor):
                axes = [Axis(a.name, a.extent) for a in first.target_axes]
                test = Guard(">=", first.target[k] - length)
                more = make_term(axes, first.target, sympy.Integer(7), (), (test,))
                return replace(definition, terms=(*definition.terms, more))
        return definition

    return program.with_definitions(map(changed, program.definitions))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_ended_is_read_by_nobody(name: str) -> None:
    seen = 0
    for program in programs(name).values():
        result, rewrites = lengths(program)
        assert rewrites and parse_program(print_program(result)) == result
        other = with_sevens(result)
        verify(other)
        seen += other != result
        for sizes in SEQUENCES[-1:]:
            given = given_to(program, sizes)
            wanted = run(program, given, batch=BATCH)
            for changed in (result, other):
                found = run(changed, given, batch=BATCH)
                for output in program.outputs:
                    np.testing.assert_allclose(found[output], wanted[output], rtol=1e-12, atol=1e-14)
    assert seen


def circle_kernels(program: Program) -> list[tuple[Program, Kernel]]:
    (plan,) = plans_of([program], Settings(MACHINE, "float32", BATCH))
    members = plan.program.circle_of
    return [(plan.program, call.kernel) for call in plan.calls if call.computes in members]


@pytest.mark.parametrize("longest", [0, 1, 3, STEPS])
def test_as_many_steps_as_the_longest_has(longest: int) -> None:
    """What a step makes of the states is computed as often as the longest sequence has steps."""
    seen = 0
    for program, kernel in circle_kernels(programs("lstm")["gradient"]):
        memories = {}
        for buffer in kernel.buffers:
            shape = concrete_shape(program.shape(buffer.tensor), BATCH)
            kind = element_type(buffer.element, np.float32)
            values = np.ones(shape, kind)
            if buffer.element == "index":
                values[:] = [longest, *[0] * (BATCH - 1)]
            memories[buffer.name] = Memory.of(values, known=not buffer.written)
        run_kernel(kernel, memories, np.float32, Arguments(BATCH))
        for buffer in kernel.buffers:
            steps = np.frombuffer(memories[buffer.name].known, np.uint8).reshape(
                concrete_shape(program.shape(buffer.tensor), BATCH)
            )
            if buffer.tensor.endswith((".z", ".new.cotangent")):
                assert steps[:, :longest].all() and not steps[:, longest:].any()
                seen += 1
    assert seen == 2


KEPT = """
input x: (batch, 4, 3) real
input n: (batch,) index < 5
h: (batch, 4, 3) real = sum
    for b:batch, t:4, u:3 if -t + n[b] - 1 >= 0: [b, t, u] += x[b, t, u]
    for b:batch, t:4, u:3 if t - 1 >= 0: [b, t, u] += h[b, t - 1, u]/2
y: (batch, 4, 3) real = sum
    for b:batch, t:4, u:3: [b, t, u] += tanh(h[b, t, u])
outputs y
"""
"""A state that goes on changing behind the end."""


def test_what_is_not_proven_runs_to_the_end() -> None:
    """Of a state that halves behind the end too, what is added ends alone."""
    program = parse_program(KEPT)
    result, _ = lengths(program)
    first, second = result.definitions[0].terms
    assert any(a.end for a in first.axes) and not any(a.end for a in second.axes)
    assert all(a.end is None for term in result.definitions[1].terms for a in term.axes)
    more = parse_program(KEPT.replace("index < 5", "index < 6"))
    assert lengths(more) == (more, ())


def test_without_lengths_nothing_changes() -> None:
    program = parse_program(
        KEPT.replace(" if -t + n[b] - 1 >= 0", "").replace("input n: (batch,) index < 5\n", "")
    )
    assert lengths(program) == (program, ())
