"""Every definition of every layer's derivation in each printed form: text reads back, the others parse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import sympy
from matplotlib.mathtext import MathTextParser

from compiler.derive.vjp import vjp
from compiler.ir.scalar.choices import Absolute, Maximum, Select, Sign
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, NotEqual
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Definition, Program, Tensor
from compiler.ir.tensor.prune import part_of
from compiler.language.formula import Operand, compile_formula
from compiler.show import scalars
from compiler.show.definitions import statements
from compiler.show.latex import latex
from compiler.show.mathml import math
from compiler.show.names import Called, called
from compiler.show.notation import Node, Statement, walk
from compiler.show.text import text
from compiler.tools.derive.reading import read_formula
from tests.derive.cases import Case
from tests.derive.layer_cases import other_layer_cases
from tests.derive.rungs import simplified

SLOW = ("normalization", "gelu-approximate", "huber", "separable", "mish", "clip")
CASES = [case for case in other_layer_cases() if not any(word in case.name for word in SLOW)]
KINDS = {case.name.split("-")[0]: case for case in reversed(CASES)}
"""The first of each kind; `make long` has all."""
every_case = pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.long] * (c not in KINDS.values())) for c in CASES], ids=str
)
BATCH = 2

matplotlib.use("Agg")


@cache
def derived(case: Case) -> tuple[Program, Called]:
    program = case.build()
    pulled, _ = vjp(program, case.output, case.wrt, seed="input")
    simple, _ = simplified(case)
    return simple, called((pulled, simple))


def written(case: Case) -> Iterator[tuple[Definition, Statement]]:
    program, names = derived(case)
    for definition in program.definitions:
        for statement in statements(definition, names):
            yield definition, statement


@every_case
def test_latex_parses_and_mathml_is_well_formed(case: Case) -> None:
    for _, statement in written(case):
        assert_latex(statement)
        assert_mathml(statement)


def assert_latex(node: Node) -> None:
    """By a parser of a large part of LaTeX; what it lacks is put in other words first."""
    printed = latex(node)
    assert printed.count("{") == printed.count("}"), printed
    assert printed.count(r"\left") == printed.count(r"\right") + printed.count(r"\leftarrow"), printed
    for begin, kind in re.findall(r"\\(begin|end)\{(\w+)\}", printed):
        assert kind == "cases", begin
    plain = re.sub(r"\\begin\{cases\}(.*?)\\end\{cases\}", r"\\left(\1\\right)", printed)
    while "cases" in plain:
        plain = plain.replace(r"\begin{cases}", r"\left(").replace(r"\end{cases}", r"\right)")
    plain = plain.replace("&", r"\;").replace(r"\\", r"\;")
    plain = re.sub(r"\\text\{([^}]*)\}", r"\\mathrm{\1}", plain)
    plain = plain.replace(r"\mathrel{+}=", "+=").replace(r"\displaystyle", "")
    MathTextParser("agg").parse(f"${plain}$")


def assert_mathml(node: Node) -> None:
    """Well-formed, of elements that MathML Core has, with the arguments that each takes."""
    root = ElementTree.fromstring(math(node, block=True).replace("\u2061", "").replace("&#160;", " "))
    takes = {"mfrac": 2, "msub": 2, "msup": 2, "mover": 2, "munder": 2, "msubsup": 3, "munderover": 3}
    known = {*takes, "math", "mrow", "mi", "mn", "mo", "mtext", "msqrt", "mtable", "mtr", "mtd"}
    for element in root.iter():
        assert element.tag in known, element.tag
        assert element.tag not in takes or len(element) == takes[element.tag], ElementTree.tostring(element)
    assert root.get("alttext") == text(node)


@every_case
def test_text_reads_back(case: Case) -> None:
    """As the formula language, where it has words for all that stands there: the same values."""
    program, names = derived(case)
    rng = np.random.default_rng(0)
    for definition in program.definitions:
        (*others, statement) = statements(definition, names)
        if others or statement.sign == "+=" or definition.dtype == "index":
            continue
        given = [program[name] for name in definition.tensors]
        if any(getattr(tensor, "kind", "") in ("random", "iota") for tensor in given):
            continue
        if cuts(definition, program) or any(word in text(statement) for word in ("log1p", "expm1")):
            continue
        tensors = [Tensor(t.name, t.shape, "input", t.dtype, limit_of(program, t)) for t in given]
        values = {t.name: drawn(rng, t) for t in tensors}
        expected = run(part_of(tensors, [definition], [definition.name]), values, batch=BATCH)
        found = run_text(text(statement), definition, tensors, values, names)
        np.testing.assert_allclose(found, expected[definition.name], rtol=1e-12, atol=1e-12)


def cuts(definition: Definition, program: Program) -> bool:
    """Whether an axis stands alone at a longer dimension, which the language takes for a mistake."""
    return any(
        index.single_axis is not None and term.extents[index.single_axis] != extent
        for term in definition.terms
        for _, access in term.reads
        for index, extent in zip(access.indices, program.shape(access.tensor), strict=True)
    )


def limit_of(program: Program, entry: Tensor | Definition) -> int | None:
    if isinstance(entry, Tensor):
        return entry.limit
    return None if entry.dtype == "real" else int(np.prod([a.extent for a in entry.terms[0].reduction_axes]))


def drawn(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    shape = concrete_shape(tensor.shape, BATCH)
    if tensor.dtype == "index":
        return rng.integers(0, tensor.limit, shape)
    return rng.uniform(0.1, 1, shape)


def run_text(
    line: str, definition: Definition, tensors: list[Tensor], values: dict, names: Called
) -> np.ndarray:
    """What a formula computes that reads tensors by the names that they have on the page."""
    formula = read_formula(line).text
    operands = {
        names[t.name].text: Operand(t.name, t.shape, t.dtype, t.limit)
        for t in tensors
        if names[t.name].text != "batch_size"
    }
    left = names[definition.name].text
    axes = {a.name: a.extent for t in definition.terms for a in t.axes if a.extent is not None}
    compiled = compile_formula(
        formula, operands=operands, results={left: Operand("result", definition.shape)}, sizes=axes
    )
    size = [Tensor("batch_size", (), "batch_size")] if "batch_size" not in values else []
    program = part_of([*tensors, *size], compiled.definitions, ("result",))
    return run(program, {n: v for n, v in values.items() if n in program}, batch=BATCH)["result"]


X, Y = sympy.symbols("r0 r1", real=True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ((3 * X + 2) ** 2, "(3x + 2)²"),
        (sympy.Mul(6, 3 * X + 2, evaluate=False), "6·(3x + 2)"),
        (-X / Y, "-x/y"),
        (X / (2 * Y**2), "x/(2y²)"),
        (1 - sympy.tanh(X) ** 2, "1 - tanh(x)²"),
        (sympy.sqrt(X + 1) / 3, "sqrt(x + 1)/3"),
        (X ** sympy.Rational(3, 2), "x**(3/2)"),
        (sympy.exp(-X), "exp(-x)"),
        (Select(Less(X, 0), 0, X), "0 if x < 0 else x"),
        (Y * Select(Less(X, 0), 0, X), "y·(0 if x < 0 else x)"),
        (Maximum(X, Absolute(Y)) * Sign(X), "sign(x)·max(x, abs(y))"),
        (Select(Both(Less(X, Y), Either(Equal(X, 1), NotEqual(Y, 2))), X, Y), None),
        (-(X + Y), "-x - y"),
        (2 * (X - Y) / 5, "2x/5 - 2y/5"),
    ],
)
def test_scalars(body: sympy.Expr, expected: str | None) -> None:
    nodes = {s: scalars.axis_name(name) for s, name in ((X, "x"), (Y, "y"))}
    node = scalars.body(body, nodes)
    assert expected is None or text(node) == expected
    assert_latex(node)
    assert_mathml(node)
    assert list(walk(node))


def test_names_show_what_a_tensor_is_to_another() -> None:
    program, names = derived(next(case for case in CASES if case.name == "softmax"))
    assert names["y.cotangent"].text == "y_bar"
    assert names["y.cotangent"].marks == ("bar",)
    assert names["sum1.max"].words == ("maximum",)
    assert len({name.text for name in names.names.values()}) == len(names.names)
    assert {entry.name for entry in program.entries} <= names.names.keys()
