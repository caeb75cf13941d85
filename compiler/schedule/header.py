"""What the header of a kernel says of it: its formula, the shapes of its tensors, the operations it takes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import sympy

from compiler.ir.scalar.bfloat16 import Rounded
from compiler.ir.scalar.choices import Scalar, Select
from compiler.ir.scalar.conditions import Comparison, Condition
from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Shape, Tensor, Term

TERMS_SHOWN = 9
"""Terms that are written out at most."""


def operation_count(term: Term) -> int:
    """Floating-point operations of one example: the body and, for a reduction, the addition."""
    points = prod(1 if a.extent is None else a.extent for a in term.axes)
    accumulates = term.reduction_axes or len(term.axes) > len(term.target)
    return points * (_operations(term.body) + (1 if accumulates else 0))


def _operations(body: sympy.Basic) -> int:
    """SymPy's count, and one for each comparison, maximum, minimum, magnitude, sign and power of our own;
    none for the rounding of factors, which is packing."""
    if isinstance(body, Scalar | Condition):
        own = isinstance(body, Comparison) or not isinstance(body, Select | Condition | Rounded)
        return own + sum(map(_operations, body.args))
    inside = {node: sympy.Dummy() for node in body.atoms(Scalar)}
    outermost = body.xreplace(inside).free_symbols
    return int(sympy.count_ops(body.xreplace(inside))) + sum(
        _operations(node) for node, stand_in in inside.items() if stand_in in outermost
    )


def formula_lines(definition: Definition) -> list[str]:
    """The definition in index notation, a line a term; of many terms the first and the last."""
    terms = definition.terms
    shown = terms if len(terms) <= TERMS_SHOWN else (terms[0], terms[-1])
    lines = [describe_term(definition.name, term, definition.operation) for term in shown]
    return lines if shown is terms else [lines[0], f"… {len(terms) - 2} terms more …", lines[1]]


def counted(definitions: tuple[Definition, ...]) -> tuple[Definition, ...]:
    """The definitions whose work counts: a winner comes with its max, from the same comparisons."""
    return tuple(d for d in definitions if d.operation not in ("argmax", "argmin"))


def all_formula_lines(definitions: tuple[Definition, ...]) -> list[str]:
    """The definitions of one kernel in index notation, in order."""
    return [line for definition in counted(definitions) for line in formula_lines(definition)]


def filled_lines(tensor: Tensor) -> tuple[str, ...]:
    """What a tensor that is given but for its values is filled with."""
    if tensor.kind == "random":
        return (f"{tensor.name}[...] = uniform(seed, step, stream {tensor.stream}, element)",)
    return (f"{tensor.name}[i] = i",)


def formula_of(entries: tuple[Definition, ...] | tuple[Tensor]) -> list[str]:
    """What is computed or filled, in index notation."""
    definitions = tuple(entry for entry in entries if isinstance(entry, Definition))
    filled = (line for entry in entries if isinstance(entry, Tensor) for line in filled_lines(entry))
    return [*filled, *all_formula_lines(definitions)]


def shapes_line(definitions: tuple[Definition, ...], shapes: Mapping[str, Shape]) -> str:
    """Shapes of what is written and read, such as `shapes: y (batch, 4), from x (batch, 7), K (3)`."""

    def text(name: str) -> str:
        extents = ("batch" if extent is None else str(extent) for extent in shapes[name])
        return f"{name} ({', '.join(extents)})"

    written = ", ".join(text(d.name) for d in definitions)
    names = dict.fromkeys(name for d in definitions for name in d.tensors)
    read = ", ".join(text(name) for name in names if name not in {d.name for d in definitions})
    return f"shapes: {written}" + (f", from {read}" if read else "")
