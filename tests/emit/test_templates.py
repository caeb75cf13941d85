"""Templates print: nothing is computed while one is filled, and no number of a model's stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import jinja2
import pytest
from jinja2 import nodes

from compiler.emit.cython.names import TEMPLATES

ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg)
COMPUTING = {"sum", "min", "max", "round", "int", "float", "abs", "sort", "unique", "groupby", "batch"}
"""Filters that compute something."""
CONVENTIONS = re.compile(r"\b255\b")
"""Numbers of a model's, such as what bytes are scaled by."""
PATHS = sorted(TEMPLATES.glob("*.jinja"))


def computed(text: str) -> Iterator[str]:
    """What is computed while a template is filled, and numbers that stand between."""
    tree = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).parse(text)
    for node in tree.find_all(ARITHMETIC):
        yield f"{node.lineno}: {type(node).__name__}"
    for node in tree.find_all(nodes.Filter):
        if node.name in COMPUTING:
            yield f"{node.lineno}: {node.name}"
    for data in tree.find_all(nodes.TemplateData):
        yield from (f"{data.lineno}: {number}" for number in CONVENTIONS.findall(data.data))


@pytest.mark.parametrize("name", [path.name for path in PATHS])
def test_nothing_is_computed_in_a_template(name: str) -> None:
    assert list(computed((TEMPLATES / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ size * 4 }}",
        "{{ inputs + labels }}",
        "{{ rows | sum(attribute='size') }}",
        "pixel / 255",
        "{{ -n }}",
    ],
)
def test_a_planted_one_is_found(text: str) -> None:
    assert len(list(computed(text))) == 1
