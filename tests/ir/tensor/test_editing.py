"""Programs after edits: what stands where, and that what is known of the program is what is true of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.ir.affine.domain import Axis
from compiler.ir.affine.expression import axis, constant
from compiler.ir.tensor.axes import (
    AxisNames,
    are_all,
    are_whole,
    batch_axis,
    batch_first,
    has_batch,
    plain_axes,
    runs_over_batch,
)
from compiler.ir.tensor.editing import (
    extended,
    inserted,
    joined,
    mapped,
    replaced,
    replaced_all,
    without_unused,
)
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Access, Definition, Program, Tensor, move_term
from compiler.ir.tensor.prune import in_order, needed_for, part_of, prune, without_unread
from compiler.ir.tensor.rename import renamed
from compiler.ir.tensor.verify import verify

I = (Axis("i", 3),)  # noqa: E741


def definition(name: str, *reads: str, **fields) -> Definition:
    terms = tuple(move_term(I, (axis("i"),), Access(tensor, (axis("i"),))) for tensor in reads)
    return Definition(name, (3,), "sum", terms, **fields)


@st.composite
def random_programs(draw) -> Program:
    """Up to 8 sums of what stands before them."""
    names = ["x", "z"]
    definitions = []
    for number in range(draw(st.integers(1, 8))):
        reads = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
        definitions.append(definition(f"d{number}", *reads))
        names.append(f"d{number}")
    inputs = tuple(Tensor(name, (3,), "input") for name in ("x", "z"))
    outputs = draw(st.lists(st.sampled_from(names[2:]), min_size=1, max_size=2, unique=True))
    return Program(inputs, tuple(definitions), tuple(outputs))


def results(program: Program) -> dict[str, np.ndarray]:
    arrays = {"x": np.array([1.0, 2.0, 3.0]), "z": np.array([10.0, 20.0, 30.0])}
    values = run(program, {t.name: arrays[t.name.strip("'")] for t in program.inputs})
    return {name: values[name] for name in program.outputs}


def check_known(program: Program) -> None:
    """What an edit has carried over is what is found anew."""
    verify(program)
    anew = Program(program.inputs, program.definitions, program.outputs)
    names = {entry.name for entry in (*program.inputs, *program.definitions)}
    assert dict(program.positions) == dict(anew.positions)
    assert {n: program.readers[n] for n in names} == {n: anew.readers[n] for n in names}
    assert all(program[name] == anew[name] for name in names)
    assert program == anew


@settings(max_examples=30)
@given(random_programs(), st.data())
def test_a_definition_put_in_several_steps_gives_the_same_values(program, data):
    old = data.draw(st.sampled_from(program.definitions))
    first = replace(old, name="first", role="selected", of=old.name)
    last = definition(old.name, "first")
    changed = replaced(program, old.name, first, last)
    check_known(changed)
    assert changed == replaced_all(program, {old.name: (first, last)})
    for name, value in results(program).items():
        assert np.array_equal(results(changed)[name], value)


@settings(max_examples=30)
@given(random_programs())
def test_what_nothing_needs_goes(program):
    pruned = prune(program)
    check_known(pruned)
    gone = without_unused(program, [d.name for d in program.definitions])
    check_known(gone)
    assert gone == pruned
    assert results(pruned).keys() == results(program).keys()
    backwards = part_of(program.inputs, reversed(program.definitions), program.outputs)
    assert {d.name for d in backwards.definitions} == {d.name for d in pruned.definitions}
    assert backwards.inputs == without_unread(pruned).inputs
    assert all(np.array_equal(results(backwards)[n], v) for n, v in results(program).items())
    (output, *_) = program.outputs
    assert needed_for(program, output).outputs == (output,)


@settings(max_examples=30)
@given(random_programs(), st.data())
def test_a_copy_stands_right_behind_what_it_copies(program, data):
    names = [*(t.name for t in program.inputs), *(d.name for d in program.definitions)]
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    copies = [definition(f"copy of {name}", name, role="packed", of=name) for name in chosen]
    changed = inserted(program, copies)
    check_known(changed)
    for copy in copies:
        before = changed.definitions[: changed.positions[copy.name]]
        behind = [d for d in before if d.role is None]
        assert (behind[-1].name if behind else None) == (copy.of if copy.of in program.positions else None)


@settings(max_examples=30)
@given(random_programs(), random_programs())
def test_programs_side_by_side(one, other):
    names = {entry.name: f"{entry.name}'" for entry in (*other.inputs, *other.definitions)}
    both = joined([one, renamed(other, names)])
    check_known(both)
    expected = results(one) | {names[name]: value for name, value in results(other).items()}
    assert all(np.array_equal(results(both)[name], value) for name, value in expected.items())


def test_more_of_everything():
    program = Program((Tensor("x", (3,), "input"),), (definition("a", "x"),), ("a",))
    more = extended(program, [Tensor("z", (3,), "input")], [definition("b", "a", "z")], ["b"])
    check_known(more)
    assert [d.name for d in more.definitions] == ["a", "b"] and more.outputs == ("a", "b")
    longer = mapped(more, lambda t: replace(t, origin="here"), lambda d: replace(d, origin="there"))
    assert {t.origin for t in longer.inputs} == {"here"} and {d.origin for d in longer.definitions} == {
        "there"
    }


def test_an_order_is_changed_only_where_it_must_be():
    a, b, c = definition("a", "c"), definition("b", "x"), definition("c", "x")
    assert [d.name for d in in_order([a, b, c])] == ["c", "a", "b"]


def test_questions_about_the_batch():
    batch, row = Axis("b", None), Axis("i", 3)
    sums = move_term((row, batch), (axis("i"),), Access("x", (axis("b"), axis("i"))))
    alone = move_term((row,), (axis("i"),), Access("w", (axis("i"),)))
    assert (
        runs_over_batch(sums)
        and not runs_over_batch(alone)
        and runs_over_batch(alone, sums)
        and not runs_over_batch()
    )
    assert batch_axis(sums.axes) == batch and batch_axis(alone.axes) is None
    assert batch_first((row, batch)) == [batch, row]
    assert has_batch((None, 3)) and not has_batch((3,)) and not has_batch(())


@pytest.mark.parametrize(
    ("indices", "plain", "whole", "all_of_them"),
    [
        ((axis("i"), axis("j")), ("i", "j"), True, True),
        ((axis("j"),), ("j",), True, False),
        ((axis("i"), axis("i")), None, False, False),
        ((axis("i") + 1, axis("j")), None, False, False),
        ((constant(0),), None, False, False),
        ((), (), True, False),
    ],
)
def test_plain_indices(indices, plain, whole, all_of_them):
    axes = (Axis("i", 3), Axis("j", 4))
    shape = tuple({"i": 3, "j": 4}.get(index.single_axis, 3) for index in indices)
    assert plain_axes(indices) == plain
    assert are_whole(indices, axes, shape) is whole
    assert are_all(indices, axes, shape) is all_of_them
    assert not indices or not are_whole(indices, axes, tuple(n + 1 for n in shape))


def test_names_of_axes_are_never_given_twice():
    names = AxisNames({"p", "q"})
    assert [names.fresh(wanted) for wanted in ("p", "p", "r", "r", "q1", "q")] == [
        "p1", "p2", "r", "r1", "q1", "q2",
    ]  # fmt: skip
