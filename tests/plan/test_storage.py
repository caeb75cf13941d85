"""Places follow from the rows of a signature and the roles of tensors, however many rows there are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis
from compiler.ir.module.entry_point import EntryPoint, Role, given_roles
from compiler.ir.module.grammar import Place
from compiler.ir.module.signature import Row, Signature, argument_names
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Tensor, make_term, read_symbol
from compiler.plan.storage import placed, storage_of

SIGNATURE = Signature(
    (
        Row("image", "input", (None, 4)),
        Row("words", "input", (None, 7), "index", 50),
        Row("a", "parameter", (3, 5)),
        Row("b", "parameter", (20,)),
        Row("mean", "state", (5,)),
        Row("m", "slot", ()),
        Row("v", "slot", ()),
    )
)


def copied(name: str, source: str, size: int, batch: bool) -> Definition:
    """name[b, i] = source[b, i], or the sum over the batch."""
    axes = (Axis("b", None), Axis("i", size))
    target = (axis("b"), axis("i")) if batch else (axis("i"),)
    reads = ((read_symbol(0), Access(source, (axis("b"), axis("i")))),)
    shape = (None, size) if batch else (size,)
    return Definition(name, shape, "sum", (make_term(axes, target, read_symbol(0), reads),))


def test_parameters_lie_in_one_arena_and_states_behind_the_slots() -> None:
    storage = storage_of(SIGNATURE)
    assert storage.parameters.offsets == {"a": 0, "b": 16} and storage.parameters.size == 48
    assert storage.first_state == 96
    given = [Tensor("a", (3, 5), "parameter"), Tensor("b", (20,), "parameter")]
    given += [Tensor("mean", (5,), "state"), Tensor("rate", (), "rate")]
    program = Program(tuple(given), (), ())
    where = placed(EntryPoint("nothing", program, given_roles(program)), storage)
    assert where.given == {
        "a": Place("parameter"),
        "b": Place("parameter", 16),
        "mean": Place("state", 96),
        "rate": Place("scalar", 1),
    }
    assert where.lanes == {}


def test_several_outputs_of_each_example_follow_one_another() -> None:
    """And gradients by inputs stand among them; sums over the batch go where their parameter's sum is."""
    definitions = (
        copied("first", "image", 4, True),
        copied("second", "image", 4, True),
        copied("image.cotangent", "image", 4, True),
        copied("a.cotangent", "image", 4, False),
    )
    program = Program((Tensor("image", (None, 4), "input"),), definitions, tuple(d.name for d in definitions))
    results = {"first": Role("output", "first"), "second": Role("output", "second")}
    results |= {"image.cotangent": Role("gradient", "image"), "a.cotangent": Role("gradient", "b")}
    where = placed(EntryPoint("both", program, given_roles(program) | results), storage_of(SIGNATURE))
    assert where.given == {
        "image": Place("input"),
        "first": Place("output"),
        "second": Place("output", 4),
        "image.cotangent": Place("output", 8),
    }
    assert where.lanes == {"a.cotangent": 16}


def test_a_new_value_is_not_written_over_what_is_still_read() -> None:
    flat = {"p": Role("parameters"), "new": Role("parameters")}
    late = copied("late", "p", 1, True)
    new = replace(copied("new", "p", 1, True), shape=(None,))
    term = make_term((Axis("b", None),), (axis("b"),), sympy.S.One)
    new = replace(new, terms=(term,))
    program = Program((Tensor("p", (None, 1), "state"),), (new, late), ("new",))
    with pytest.raises(CompilerBug, match="after writing over it"):
        placed(EntryPoint("update", program, flat, batch="parameters"), storage_of(SIGNATURE))


def test_every_tensor_that_a_caller_knows_has_a_role() -> None:
    program = Program((Tensor("x", (None, 4), "input"),), (copied("y", "x", 4, True),), ("y",))
    with pytest.raises(CompilerBug, match="nameless: y has no role"):
        EntryPoint("nameless", program, given_roles(program))


def test_arguments_have_letters_while_there_is_one_of_each() -> None:
    assert argument_names(["input", "label"]) == ["x", "y"]
    assert argument_names(["input", "input", "label"]) == ["x1", "x2", "y"]
