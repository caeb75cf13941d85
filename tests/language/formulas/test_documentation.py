"""docs/formulas.md is executed: its examples are checked against JAX, its formulas are parsed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import compiler
from compiler.language.formula.parser import REDUCTIONS, parse_formula
from compiler.language.formula.syntax import FUNCTION_NAMES
from compiler.language.layers import Layer
from tests.derive.cases import Case, interpret, layer_program
from tests.derive.rungs import adjoint_identity, against_reference, taylor_slope
from tests.language.formulas.examples import EXAMPLES, VOCABULARIES
from tests.machines import MODELS
from tests.schedule.building import disagreements, interpreted, pullback
from tests.schedule.test_kernels import report

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formulas.md").read_text(encoding="utf-8")
EVERYTHING = {name: getattr(compiler, name) for name in compiler.__all__}


def blocks(section: str) -> list[str]:
    """The Python blocks of a section of the page."""
    _, _, text = PAGE.partition(f"\n## {section}\n")
    return re.findall(r"```python\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)


def layers() -> dict[str, Layer]:
    """What the examples define, by name."""
    namespace = dict(EVERYTHING)
    for block in blocks("Examples"):
        exec(block, namespace)
    return {name: value for name, value in namespace.items() if isinstance(value, Layer)}


LAYERS = layers()


def case_of(name: str) -> Case:
    layer, (shapes, reference) = LAYERS[name], EXAMPLES[name]
    described = layer.forward(*shapes)
    vocabulary = VOCABULARIES.get(name, {})
    inputs = (n for n in described.input_names(len(shapes)) if n not in vocabulary)
    wrt = (*inputs, *described.parameters)
    return Case(
        name,
        lambda: layer_program(layer, *shapes, vocabulary=vocabulary),
        "y",
        wrt,
        lambda jax, v: reference(jax.numpy, v),
        lambda rng, tensor, shape: rng.normal(scale=0.7, size=shape),
    )


def test_every_example_has_a_reference() -> None:
    assert LAYERS.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", LAYERS)
def test_example(name: str, jax) -> None:
    assert not list(LAYERS[name].problems())
    case = case_of(name)
    for rung, bound in ((adjoint_identity, 1e-12), (taylor_slope, 0.1)):
        worst = rung(case, interpret)
        assert worst.error < bound, (rung.__name__, worst)
    worst = against_reference(case, interpret, jax)
    assert worst.error < 1e-9, worst


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in (1, 2))])
def test_kernels_of_the_examples(part: int) -> None:
    table = [pullback(case_of(name)) for name in list(LAYERS)[part::3]]
    module = interpreted(table, MODELS["avx2"], "float64", tile=4)
    found = disagreements(module, table, (3,), 1e-11)
    assert not found, report(found)


def test_every_formula_of_the_page_is_read() -> None:
    first = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(parse_formula(first[1]).statements) == 6


def test_the_other_blocks_run() -> None:
    for block in blocks("A layer of your own"):
        exec(block, {**EVERYTHING, "x": compiler.Input(8)})


def test_the_grammar_names_everything() -> None:
    grammar = PAGE.partition("## Grammar")[2].partition("## Meaning")[0]
    assert set(re.search(r"^function +(.*)$", grammar, re.M)[1].split()) == set(FUNCTION_NAMES)
    assert set(re.search(r"^reduction +(.*)$", grammar, re.M)[1].split(" | ")) == set(REDUCTIONS)
