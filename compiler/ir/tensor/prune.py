"""Drop the definitions that no output needs, and put definitions into an order in which each reads only
what stands before it, or what is in its circle."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.ir.tensor.components import components
from compiler.ir.tensor.program import Definition, Program, Tensor


def prune(program: Program) -> Program:
    """The same outputs from fewer definitions; inputs are kept, they are the program's signature."""
    needed, waiting = set(program.outputs), list(program.outputs)
    while waiting:
        place = program.positions.get(waiting.pop())
        reads = () if place is None else program.definitions[place].tensors
        waiting += (name for name in reads if name not in needed)
        needed.update(reads)
    kept = tuple(definition for definition in program.definitions if definition.name in needed)
    return program if len(kept) == len(program.definitions) else program.with_definitions(kept)


def needed_for(program: Program, *outputs: str) -> Program:
    """What these outputs need of the program; inputs are kept."""
    return prune(program.replace(outputs=outputs))


def part_of(inputs: Iterable[Tensor], definitions: Iterable[Definition], outputs: Iterable[str]) -> Program:
    """A program of definitions in any order: only what the outputs need, and only inputs that are read."""
    return without_unread(prune(Program(tuple(inputs), in_order(definitions), tuple(outputs))))


def without_unread(program: Program) -> Program:
    """The program without inputs that no definition reads."""
    read = {name for definition in program.definitions for name in definition.tensors}
    return program.replace(inputs=tuple(tensor for tensor in program.inputs if tensor.name in read))


def in_order(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """The given order, changed only where a definition reads one that stands after it, or where something
    else stands among those of a circle."""
    by_name = {definition.name: definition for definition in definitions}
    found = components({name: definition.tensors for name, definition in by_name.items()})
    return tuple(by_name[name] for names in found for name in names)
