"""Templates print: nothing is computed while one is filled, and what is printed decides nothing of a step.

What a module does is data (`ir/module`), of which `emit/cython` prints every loop, offset and call. Two
kinds of text are beside that. The library (`emit/cython/library`) has no places: the printed text calls it,
and it is the same in every module. Templates have places, for what differs from model to model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import jinja2
import pytest
from jinja2 import nodes

from compiler.emit.cython.names import LIBRARY, TEMPLATES

ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg)
COMPUTING = {"sum", "min", "max", "round", "int", "float", "abs", "sort", "unique", "groupby", "batch"}
"""Filters that compute something."""
CONVENTIONS = re.compile(r"\b255\b")
"""Numbers of a model's, such as what bytes are scaled by."""
WORDS_OF_C = ("preamble.pyx.jinja", "elementary.pyx.jinja", "bfloat16.pyx.jinja")
"""What an operation of a kernel is in C on a target: arithmetic, of values, and not of a step."""
OPERATION = re.compile(r"[\w)\]}'\"] (?:\*\*?|//?|%|\+|-|<<|>>) [\w({<\[]|[-+*/%]= |\bsizeof\b")
"""Arithmetic of C or Python in what is printed; operators of two values stand between blanks."""
LOOP = re.compile(r"^\s*(?:while |for .* in (?:range|enumerate)\()", re.MULTILINE)
"""Loops that count: those of a step. Others walk through names."""
BRANCH_OF_A_STEP = re.compile(r"\b(?:phase|tile|lane)s?\b *(?:[<>%]|==|!=)|\bif .*\b(?:phase|lane)\b")
PATHS = sorted(TEMPLATES.glob("*.jinja"))
NAMES = [path.name for path in PATHS]


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


def decided(text: str) -> Iterator[str]:
    """Lines of a template that print arithmetic, loops that count, or branches of a step."""
    text = re.sub(r"\{%.*?%\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{\{-?.*?-?\}\}", "PLACE", text, flags=re.DOTALL)
    text = re.sub(r'"""(.*?)"""', lambda found: "\n" * found.group().count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(text.split("\n"), start=1):
        code = re.sub(r'f?"(?:[^"\\]|\\.)*"', '""', line).partition("#")[0]
        if any(pattern.search(code) for pattern in (OPERATION, LOOP, BRANCH_OF_A_STEP)):
            yield f"{number}: {line.strip()}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_computed_in_a_template(name: str) -> None:
    assert list(computed((TEMPLATES / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WORDS_OF_C])
def test_a_template_decides_nothing_of_a_step(name: str) -> None:
    """No arithmetic, such as that of memory sizes, and no control flow: they are of the module's IR."""
    assert list(decided((TEMPLATES / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.pyx")), ids=lambda path: path.name)
def test_the_library_is_the_same_in_every_module(path: object) -> None:
    text = path.read_text(encoding="utf-8")
    assert jinja2.Environment(keep_trailing_newline=True).from_string(text).render() == text
    assert not re.search(r"\{[{%#]", text)


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


@pytest.mark.parametrize(
    "text",
    [
        "    lanes = _aligned(3 * LANE_COUNT, DTYPE)",
        "    for phase in range({{ phases }}):",
        "    while number < tiles:",
        "    memset(held, 0, count * sizeof(real))",
        "    if phase == 3:",
        "    into += {{ row.size }}",
    ],
)
def test_a_planted_decision_is_found(text: str) -> None:
    assert len(list(decided(text))) == 1
