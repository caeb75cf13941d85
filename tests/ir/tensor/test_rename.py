"""Renaming changes names and nothing else; moving puts a term where its indices are to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Access
from compiler.ir.tensor.rename import (
    apart_from,
    canonical,
    moved,
    reading,
    rename_axes,
    renamed,
    with_accesses,
    without_single_values,
)

TEXT = """
input x: (7,) real
input K: (3,) real
input won: (3,) index < 2
y: (3,) real = sum
    for h:3, p:3 if h - p + 1 >= 0: [h] += K[p]*x[2*h + p]
z: (4,) real = sum as selected of y
    for h:3: [h + won[h]] += y[h]
outputs z
"""
PROGRAM = parse_program(TEXT)
CONVOLUTION = PROGRAM.definition("y").terms[0]
SCATTER = PROGRAM.definition("z").terms[0]


def values(program, names=lambda name: name):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal(7), "K": rng.standard_normal(3), "won": np.array([0, 1, 1])}
    (output,) = program.outputs
    return run(program, {names(name): array for name, array in arrays.items()})[output]


@settings(max_examples=30)
@given(st.permutations(["h", "p", "q", "won", "x"]))
def test_any_names_of_axes_mean_the_same(names):
    """The names may be those of other axes, and of tensors: they are put in all at once."""
    mapping = dict(zip("hp", names, strict=False))
    term = rename_axes(CONVOLUTION, mapping)
    assert [a.name for a in term.axes] == names[:2]
    assert canonical(term) == canonical(CONVOLUTION)
    again = PROGRAM.with_definitions([_with(PROGRAM.definitions[0], term), PROGRAM.definitions[1]])
    assert np.array_equal(values(again), values(PROGRAM))


def _with(definition, term):
    return type(definition)(definition.name, definition.shape, definition.operation, (term,))


def test_axes_apart_from_others_are_numbered():
    term = apart_from(CONVOLUTION, {"h", "p", "p1"})
    assert describe_term("y", term) == "y[h1] += K[p2]*x[2*h1 + p2]  for h1:3, p2:3 if h1 - p2 + 1 >= 0"


def test_a_term_is_moved_to_where_its_indices_are():
    term = moved(CONVOLUTION, [axis("h"), axis("p")], [axis("i"), axis("h")], ())
    assert describe_term("y", term).startswith("y[i] += K[h]*x[h + 2*i]")
    with pytest.raises(CompilerBug, match="not axes of their own"):
        moved(CONVOLUTION, [axis("h") + 1], [axis("i")], ())


def test_a_program_of_other_names_gives_the_same_values():
    entries = (*PROGRAM.inputs, *PROGRAM.definitions)
    other = renamed(PROGRAM, {entry.name: f"{entry.name} again" for entry in entries})
    assert other.outputs == ("z again",) and other.definitions[1].of == "y again"
    assert np.array_equal(values(other, "{} again".format), values(PROGRAM))


def test_tensors_are_renamed_in_targets_and_guards_too():
    other = reading(PROGRAM.definition("z"), {"won": "lost", "y": "v"})
    assert other.name == "z" and other.tensors == ("v", "lost")


def test_one_read_of_several_becomes_another():
    symbol = next(s for s, access in CONVOLUTION.reads if access.tensor == "K")
    term = with_accesses(CONVOLUTION, {symbol: Access("L", (axis("h"), axis("p")))})
    assert term.tensors == ("L", "x") and term.guards == CONVOLUTION.guards


def test_axes_of_one_value_go():
    term = rename_axes(SCATTER, {"h": "i"})
    single = type(term)((type(term.axes[0])("i", 1),), term.target, term.body, term.reads)
    assert without_single_values(single).axes == ()
    assert without_single_values(single, {"j"}) is single
    assert without_single_values(term) is term
