"""A program as the body of a function: names, statements, and the formula above each as a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from compiler.emit.arrays.backend import BATCH, Backend
from compiler.emit.arrays.discarded import discards, quietly
from compiler.emit.arrays.steps import StepWriter
from compiler.emit.arrays.terms import ArrayWriter
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.circles import circles
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Definition, Program, Tensor
from compiler.show.definitions import statements
from compiler.show.names import Called
from compiler.show.text import text

COMPUTED = ("batch_size", "iota")
"""Kinds of tensors that a text computes itself."""


class Namer:
    """What a text calls the tensors of programs, and their axes, without taking a name twice, or one that
    is `reserved` for what the text declares itself."""

    def __init__(self, called: Called, programs: Iterable[Program], reserved: Iterable[str]):
        self.called = called
        names = self.free = Names(reserved)
        self.names: dict[str, str] = {}
        for program in programs:
            for entry in program.entries:
                if entry.name not in self.names:
                    self.names[entry.name] = names.fresh(called[entry.name].text)
        axes = {a.name for p in programs for d in p.definitions for t in d.terms for a in t.axes}
        self.axes = {a: names.fresh(a if a.isidentifier() else "axis") for a in sorted(axes)}


def arguments(program: Program) -> list[Tensor]:
    """What a function of the program is called with."""
    return [tensor for tensor in program.inputs if tensor.kind not in COMPUTED]


def shapes_told(given: Sequence[Tensor], namer: Namer, help: str) -> list[str]:
    """A docstring that says what a function is for, and the shape of each argument that has axes."""
    shapes = [f"{namer.names[t.name]}: shape {_shape(t, 'batch')}" for t in _checked(given)]
    return [f'"""{help}', "", *shapes, '"""'] if shapes else [f'"""{help}"""']


def checks(given: Sequence[Tensor], namer: Namer) -> list[str]:
    """The statement that refuses arguments of other sizes than the code is written for."""
    names = {namer.names[t.name]: _shape(t, '"batch"') for t in _checked(given)}
    pairs = ", ".join(f"{name}=({name}, {shape})" for name, shape in names.items())
    return [f"check_shapes({pairs})"] if pairs else []


def _checked(given: Sequence[Tensor]) -> Sequence[Tensor]:
    """All arguments, unless all are scalars: no size is in the code then, and arrays go by elements."""
    return given if any(tensor.shape for tensor in given) else ()


def _shape(tensor: Tensor, batch: str) -> str:
    sizes = [batch if size is None else str(size) for size in tensor.shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def body(
    program: Program,
    definitions: Sequence[Definition],
    namer: Namer,
    backend: Backend,
    there: Sequence[Tensor | Definition],
    given: Sequence[Tensor | Definition],
) -> list[str]:
    """The statements that compute these definitions, each below what it says, where `there` is at hand;
    of it, `given` may be arrays of any kind."""
    begun = {program.circle_of[circle.names[0]][0]: circle for circle in circles(program)}
    writer = ArrayWriter(program, backend, namer.names, namer.axes)
    in_steps = StepWriter(program, backend, namer.names, namer.axes, namer.called, namer.free)
    lines: list[str] = []
    if backend.given and any(definition.name in begun for definition in definitions):
        read = {name for definition in definitions for name in definition.tensors}
        lines += [backend.given.format(array=namer.names[t.name]) for t in given if t.name in read]
    made = ""
    for definition in definitions:
        if definition.name in begun:
            lines += in_steps.statements(begun[definition.name])
            made = ""  # its loops go over the same names
        elif definition.name not in program.circle_of:
            lines += [f"# {text(s)}" for s in statements(definition, namer.called)]
            own: list[str] = []
            for line in writer.statements(definition):
                # Grids that are there are not made again.
                own += [line] if line != made else []
                made = line if line in writer.grids else made
            lines += quietly(own, any(map(discards, definition.terms)), backend)
    return [*_before(lines, namer, backend, there), *lines]


def _before(
    lines: list[str], namer: Namer, backend: Backend, there: Sequence[Tensor | Definition]
) -> list[str]:
    """What the statements use of their surroundings."""
    code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    used = set(re.findall(r"\w+", code))
    found = []
    numbers = [namer.names[t.name] for t in there if t.dtype == "real" and not t.shape]
    if backend.scalar and ("/" in code or "**" in code):
        found += [f"{n} = {backend.scalar.format(array=n)}" for n in numbers if n in used]
    rows = next((t for t in there if has_batch(t.shape)), None)
    if rows is not None and BATCH in used:
        found.append(f"{BATCH} = {namer.names[rows.name]}.shape[{rows.shape.index(None)}]")
    real = next((t for t in there if t.dtype == "real"), None)
    if real is not None and not used.isdisjoint(backend.attributes):
        name = namer.names[real.name]
        read = ", ".join(f"{name}.{attribute}" for attribute in backend.attributes)
        found.append(f"{', '.join(backend.attributes)} = {read}")
    return found


def indented(lines: Iterable[str], depth: int = 1) -> str:
    return "\n".join("    " * depth + line if line else "" for line in lines)


def helpers(code: str, backend: Backend) -> str:
    """The definitions of the functions that a text calls and does not import, and what it imports."""
    used = [text for call, text in backend.helpers.items() if call in code]
    whole = "\n\n\n".join((*used, code))
    imports = [*(["import math", ""] if "math." in whole else []), *backend.imports]
    imports += [line for name, line in backend.imports_used.items() if re.search(rf"\b{name}\.", whole)]
    return "\n".join(imports) + "\n\n\n" + whole + "\n"
