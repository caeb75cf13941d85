"""Some definitions of a program as a program of their own.

h += x·w                                   input h
y += h²        fragment of y and z:        y += h²
z += y + h                                 z += y + h
v += y                                     outputs y, z        (v reads y; nothing in the fragment reads z)
"""

from __future__ import annotations

from collections.abc import Iterable

from compiler.ir.tensor.printer import window_size
from compiler.ir.tensor.program import Definition, Program, Tensor


def fragment(program: Program, names: Iterable[str]) -> Program:
    """The definitions `names`, in their order; what else they read is given, and what else is read of them,
    or by nobody, are the outputs."""
    inside = frozenset(names)
    places = sorted(program.positions[name] for name in inside)
    definitions = tuple(program.definitions[place] for place in places)
    read = dict.fromkeys(tensor for definition in definitions for tensor in definition.tensors)
    inputs = tuple(_given(program[name]) for name in read if name not in inside)
    outputs = tuple(d.name for d in definitions if _is_wanted(d.name, program, inside))
    return Program(inputs, definitions, outputs)


def _is_wanted(name: str, program: Program, inside: frozenset[str]) -> bool:
    readers = program.readers[name]
    return name in program.results or not readers or any(reader.name not in inside for reader in readers)


def _given(entry: Tensor | Definition) -> Tensor:
    if isinstance(entry, Tensor):
        return entry
    limit = window_size(entry) if entry.dtype == "index" else None
    return Tensor(
        entry.name,
        entry.shape,
        "input",
        entry.dtype,
        limit,
        origin=entry.origin,
        role=entry.role,
        of=entry.of,
    )
