"""Prints loop nests as Cython: one line a statement, and what must be declared before them."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.emit.cython import lists, statements
from compiler.emit.cython.calls import rows_of
from compiler.emit.cython.names import unique_identifiers
from compiler.emit.cython.writer import Writer
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Collect,
    Kernel,
    Let,
    Limit,
    Lists,
    Load,
    Pick,
    Points,
    Statement,
)
from compiler.ir.loops.walk import names_set, parts
from compiler.ir.loops.walk import statements as every_statement

FORMS = statements.FORMS | lists.FORMS
"""How each statement of the grammar is written."""


@dataclass
class PrintedKernel:
    """A kernel's text: its parameters, declarations of local variables, and body lines (indented by
    levels)."""

    parameters: list[str]
    variables: list[str]
    """By C type, several in a row."""
    lines: list[str]


def print_kernel(kernel: Kernel, lengths: tuple[int, ...]) -> PrintedKernel:
    """Cython text of a kernel; `lengths` are the lanes of the machine's vector types, the shortest first."""
    locals_ = _local_names(kernel.body)
    buffers = unique_identifiers((buffer.name for buffer in kernel.buffers), locals_)
    writer = Writer(kernel, FORMS, buffers, lengths, _vector_names(kernel.body), _addressing(kernel.body))
    writer.block(kernel.body, 1)
    parameters = [
        f"{'' if buffer.written else 'const '}{buffer.element_type}* {buffers[buffer.name]}"
        for buffer in kernel.buffers
    ]
    return PrintedKernel(parameters, _declarations(writer), writer.lines)


def _declarations(writer: Writer) -> list[str]:
    """Local variables in rows; Cython wants each array in a declaration of its own."""
    lines = []
    for kind in sorted({*writer.variables.values(), *(kind for kind, _ in writer.arrays.values())}):
        rows = rows_of([name for name, known in writer.variables.items() if known == kind])
        arrays = [f"{name}[{size}]" for name, (known, size) in writer.arrays.items() if known == kind]
        lines += [f"cdef {kind} {names}" for names in (*rows, *arrays)]
    return lines


def _local_names(body: Body) -> set[str]:
    names: set[str] = set()
    for statement in every_statement(body):
        names.update(names_set(statement))
        if isinstance(statement, Lists):
            names |= {"entry", *lists.list_names(statement)}
    return names


def _vector_names(body: Body) -> frozenset[str]:
    return frozenset(s.name for s in every_statement(body) if isinstance(s, Load | Let | Pick) and s.width)


def _addressing(body: Body) -> frozenset[str]:
    found = (affine.axes for statement in every_statement(body) for affine in _places(statement))
    return frozenset().union(*found)


def _places(statement: Statement) -> list[Affine]:
    """What a statement counts elements or steps with."""
    places = [address.offset for address in parts(statement, Address)]
    places += [limit.affine for limit in parts(statement, Limit)]
    if isinstance(statement, Points):
        places.append(statement.count)
    elif isinstance(statement, Collect):
        places += [statement.bucket, *statement.integers]
    return places
