"""A program as functions of Cython: plain loops over typed memoryviews, as a person writes them first.

What a model's module has is scheduled, with tiles and vectors; this is what it computes, loop by loop.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from compiler.emit.arrays.backend import BATCH
from compiler.emit.arrays.function import Namer, arguments, checks, indented, shapes_told
from compiler.emit.arrays.module import Function, without_unread_seeds
from compiler.emit.arrays.steps import AtStep, at_step, loop_of
from compiler.ir.affine.domain import Axis
from compiler.ir.affine.guards import boundary_guards
from compiler.ir.scalar.held import StopGradient
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.circles import circles
from compiler.ir.tensor.program import Definition, Program, Shape, Tensor, Term
from compiler.ir.tensor.prune import needed_for
from compiler.ir.tensor.rename import rename_axes
from compiler.schedule.steps import Steps
from compiler.show.definitions import statements, term_body
from compiler.show.names import Called
from compiler.show.notation import (
    ATOM,
    CHOICE,
    OR,
    Call,
    Choice,
    Indexed,
    Name,
    Negative,
    Node,
    Number,
    Power,
    Whole,
    walk,
)
from compiler.show.scalars import affine, guard
from compiler.show.text import Text, text

FUNCTIONS = (
    *("exp", "expm1", "log", "log1p", "sqrt", "pow", "fabs", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "erf", "erfc"),
)
"""Of C's mathematical library."""
OTHERWISE = {"abs": "fabs", "max": "maximum", "min": "minimum"}
WORDS = {"pi": repr(math.pi), "e": repr(math.e), "inf": "INFINITY", "nan": "NAN"}
LOCAL = ("value", "best")
TYPES = {"real": "double", "index": "long long", "bool": "bint"}
DTYPES = {"real": "np.float64", "index": "np.int64", "bool": "np.intc"}
DIRECTIVES = "# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True"
"""Cython heeds them before all else in a file alone, its docstring too. With C's division 1/0 is infinite,
and does not raise."""
HELPERS = {
    "sign": """cdef double sign(double x) noexcept:
    return x if x != x else (x > 0) - (x < 0)""",
    "maximum": """cdef double maximum(double x, double y) noexcept:
    return x if x > y or x != x else y""",
    "minimum": """cdef double minimum(double x, double y) noexcept:
    return x if x < y or x != x else y""",
    "floor_divided": """@cython.cdivision(False)
cdef Py_ssize_t floor_divided(Py_ssize_t x, Py_ssize_t y) noexcept:
    return x // y""",
    "remainder": """@cython.cdivision(False)
cdef Py_ssize_t remainder(Py_ssize_t x, Py_ssize_t y) noexcept:
    return x % y""",
}
"""What a file defines of these if it calls it. What is no number stays so, as in formulas; C rounds whole
numbers towards 0, and an index is rounded down."""
RESERVED = frozenset(
    (
        *(BATCH, *LOCAL, *FUNCTIONS, *HELPERS, *WORDS, "INFINITY", "NAN", "check_shapes", "cython"),
        *("np", "range", "Py_ssize_t", "double", "long", "bint"),
        *("cdef", "cpdef", "ctypedef", "cimport", "include", "extern", "const", "volatile", "sizeof", "new"),
        *("NULL", "DEF", "IF", "ELIF", "ELSE", "int", "short", "char", "float", "signed", "unsigned", "void"),
        *("gil", "nogil", "inline", "struct", "union", "enum", "object", "complex", "readonly", "public"),
    )
)
"""What a file declares, calls or imports, and the words of Cython's own grammar."""
WHOLE = {"//": "floor_divided", "%": "remainder"}


def cython_text(functions: Sequence[Function], called: Called, helper: str, about: str) -> str:
    """A file of functions; `helper` defines `check_shapes`, `about` is the file's docstring."""
    parts = [needed_for(f.program, *f.results) for f in functions]
    namer = Namer(called, parts, {*RESERVED, *(function.name for function in functions)})
    code = "\n\n\n".join(_function(f, part, namer) for f, part in zip(functions, parts, strict=True))
    used = [name for name in FUNCTIONS if f"{name}(" in code]
    used += [name for name in ("INFINITY", "NAN") if name in code]
    imports = [f"from libc.math cimport {', '.join(used)}", ""] if used else []
    helpers = [helper] if "check_shapes(" in code else []
    helpers += [text for name, text in HELPERS.items() if re.search(rf"\b{name}\(", code)]
    imports[:0] = ["cimport cython"] if any("@cython." in text for text in helpers) else []
    head = [DIRECTIVES, "", about, *imports, "import numpy as np"]
    return "\n\n\n".join(["\n".join(head), *helpers, code]) + "\n"


def _function(function: Function, program: Program, namer: Namer) -> str:
    program = without_unread_seeds(program)
    given = arguments(program)
    listed = ", ".join(_argument(t, namer) for t in given)
    axes = dict.fromkeys(namer.axes[a.name] for d in program.definitions for t in d.terms for a in t.axes)
    lines = [*shapes_told(given, namer, function.help), *checks(given, namer)]
    here = len(lines)
    rows = next((t for t in given if has_batch(t.shape)), None)
    if rows is not None:
        where = rows.shape.index(None)
        lines.append(f"cdef Py_ssize_t {BATCH} = {namer.names[rows.name]}.shape[{where}]")
    sizes = (tensor.name for tensor in program.inputs if tensor.kind == "batch_size")
    lines += [f"cdef double {namer.names[name]} = {BATCH}" for name in sizes]
    writer = _Writer(program, namer)
    begun = {program.circle_of[circle.names[0]][0]: circle for circle in circles(program)}
    for definition in program.definitions:
        if definition.name in begun:
            found = at_step(program, begun[definition.name], namer.axes, namer.free)
            axes |= dict.fromkeys(loop.name for places in found.places.values() for _, loop in places)
            lines += ["", *writer.circle(found)]
        elif definition.name not in program.circle_of:
            lines += ["", *writer.definition(definition)]
    local = [name for name in LOCAL if any(f"{name} = " in line for line in lines)]
    counters = [f"cdef Py_ssize_t {', '.join(axes)}"] if axes else []
    lines[here:here] = [*counters, *([f"cdef double {', '.join(local)}"] if local else [])]
    results = ", ".join(_result(program[name].shape, namer.names[name]) for name in function.results)
    return f"def {function.name}({listed}):\n{indented([*lines, f'return {results}'])}"


def _argument(tensor: Tensor, namer: Namer) -> str:
    kind, name = TYPES[tensor.dtype], namer.names[tensor.name]
    return f"const {kind}[{_dimensions(tensor.shape)}] {name}" if tensor.shape else f"{kind} {name}"


def _dimensions(shape: Shape) -> str:
    return ", ".join(":" for _ in shape)


def _result(shape: Shape, name: str) -> str:
    return f"np.asarray({name})" if shape else name


class _Writer:
    def __init__(self, program: Program, namer: Namer):
        self.program, self.namer = program, namer
        names = {
            t: replace(name, text=namer.names.get(t, name.text)) for t, name in namer.called.names.items()
        }
        self.called = replace(namer.called, names=names)
        self.print = _Loops({namer.names[e.name]: self.shape(e.shape) for e in program.entries})

    def shape(self, shape: Shape) -> tuple[str, ...]:
        return tuple(BATCH if extent is None else str(extent) for extent in shape)

    def definition(self, definition: Definition) -> Iterator[str]:
        yield from (f"# {text(s)}" for s in statements(definition, self.namer.called))
        yield self._declared(definition)
        for term in definition.terms:
            renamed = rename_axes(term, {a.name: self.namer.axes[a.name] for a in term.axes})
            yield from self._term(definition, renamed)

    def circle(self, found: AtStep) -> Iterator[str]:
        """The loops of a circle, whose axes have the names that the text gives them."""
        yield from map(self._declared, found.members.values())
        yield from self._steps(found, found.steps)

    def _steps(self, found: AtStep, steps: Steps) -> Iterator[str]:
        yield loop_of(steps)
        for part in steps.body:
            lines = self._steps(found, part) if isinstance(part, Steps) else self._member(found, part)
            yield from (f"    {line}" for line in lines)

    def _member(self, found: AtStep, member: Definition) -> Iterator[str]:
        yield from (f"# {text(s)}" for s in statements(member, self.namer.called))
        for term in member.terms:
            yield from self._term(member, replace(term, guards=(*found.tests(member), *term.guards)))

    def _term(self, definition: Definition, term: Term) -> Iterator[str]:
        # What is written outside is dropped, which has to be said here.
        guards = (*term.guards, *boundary_guards(term.target, definition.shape, term.extents))
        term = replace(term, guards=tuple(dict.fromkeys(guards)))
        self.print.extents = dict(zip((a.name for a in term.axes), self._extents(term), strict=True))
        if definition.operation in ("argmax", "argmin"):
            yield from self._place(definition, term)
        else:
            yield from self._loops(term.axes, self._guarded(term, self._combined(definition, term)))

    def _extents(self, term: Term) -> tuple[str, ...]:
        return self.shape(tuple(axis.extent for axis in term.axes))

    def _declared(self, definition: Definition) -> str:
        name, kind = self.namer.names[definition.name], TYPES[definition.dtype]
        first = {"max": "-INFINITY", "min": "INFINITY"}.get(definition.operation)
        if not definition.shape:
            return f"cdef {kind} {name} = {first or 0}"
        extents = self.shape(definition.shape)
        shape = f"({', '.join(extents)}{',' if len(extents) == 1 else ''})"
        made = f"np.full({shape}, {first})" if first else f"np.zeros({shape}, {DTYPES[definition.dtype]})"
        return f"cdef {kind}[{_dimensions(definition.shape)}] {name} = {made.replace(', np.float64', '')}"

    def _combined(self, definition: Definition, term: Term) -> list[str]:
        target, body = self._target(definition, term), term_body(term, self.called)
        if definition.operation == "sum":
            return [f"{target} += {self.print.inside(body, OR)}"]
        sign = "<=" if definition.operation == "max" else ">="
        # What is no number stays.
        return [f"value = {self.print(body)}", f"if not value {sign} {target}:", f"    {target} = value"]

    def _place(self, definition: Definition, term: Term) -> Iterator[str]:
        """The first place, in the order of the loops, where the largest value is."""
        largest = definition.operation == "argmax"
        position = ""
        for axis in term.reduction_axes:
            position = f"({position})*{axis.extent} + {axis.name}" if position else axis.name
        inner = [
            f"value = {self.print(term_body(term, self.called))}",
            f"if value {'>' if largest else '<'} best:",
            "    best = value",
            f"    {self._target(definition, term)} = {position}",
        ]
        body = [f"best = {'-' if largest else ''}INFINITY"]
        body += self._loops(term.reduction_axes, self._guarded(term, inner))
        yield from self._loops(term.target_axes, body)

    def _target(self, definition: Definition, term: Term) -> str:
        indices = tuple(affine(i, self.called) for i in term.target)
        return self.print(Indexed(self.called[definition.name], indices))

    def _guarded(self, term: Term, lines: list[str]) -> list[str]:
        if not term.guards:
            return lines
        conditions = " and ".join(self.print.index(guard(g, self.called)) for g in term.guards)
        return [f"if {conditions}:", *(f"    {line}" for line in lines)]

    def _loops(self, axes: Sequence[Axis], body: list[str]) -> Iterator[str]:
        """Loops over the axes that no loop around runs over."""
        axes = [axis for axis in axes if not axis.outer]
        for depth, axis in enumerate(axes):
            extent = BATCH if axis.extent is None else axis.extent
            yield f"{'    ' * depth}for {axis.name} in range({extent}):"
        yield from (f"{'    ' * len(axes)}{line}" for line in body)


class _Index(Text):
    """Prints an index as an expression of C's whole numbers."""

    times = "*"

    def whole(self, node: Whole) -> str:
        if not any(isinstance(part, Negative) for part in walk(node.above)):
            return super().whole(node)
        return f"{WHOLE[node.operator]}({self(node.above)}, {self(node.below)})"


class _Loops(Text):
    """Prints a scalar body as an expression of C's numbers."""

    times = "*"

    def __init__(self, shapes: dict[str, tuple[str, ...]]):
        self.shapes = shapes
        self.extents: dict[str, str] = {}
        """Of the axes of the term that is printed."""

    def number(self, node: Number) -> str:
        return f"{node.text}.0" if node.text.isdigit() else node.text

    def name(self, node: Name) -> str:
        return WORDS.get(node.text, node.text) if node.letters == node.text else node.text

    def index(self, node: Node) -> str:
        return _Index()(node)

    def whole(self, node: Whole) -> str:
        return self.index(node)

    def indexed(self, node: Indexed) -> str:
        plain = super().indexed(replace(node, outside=None))
        if node.outside is None:
            return plain
        inside = (
            f"0 <= {self.index(i)} < {extent}"
            for i, extent in zip(node.indices, self.shapes[node.name.text], strict=True)
            if not (isinstance(i, Name) and self.extents[i.text] == extent)
        )
        return f"({plain} if {' and '.join(inside) or 'True'} else {self(node.outside)})"

    def power(self, node: Power) -> str:
        if isinstance(node.exponent, Number) and node.exponent.text == "2":
            base = self.inside(node.base, ATOM)
            return f"({base}*{base})"
        return f"pow({self(node.base)}, {self(node.exponent)})"

    def call(self, node: Call) -> str:
        if node.function == StopGradient.name:
            return f"({self(node.arguments[0])})"
        return f"{OTHERWISE.get(node.function, node.function)}({', '.join(self.all(node.arguments))})"

    def choice(self, node: Choice) -> str:
        return f"({super().choice(node)})"

    def inside(self, node: Node, least: int) -> str:
        # A choice has its own brackets.
        return self(node) if isinstance(node, Choice) and least > CHOICE else super().inside(node, least)
