"""Changes to programs: definitions replaced, inserted, appended, left out, joined.

    y: x -> h -> y     replaced(y, "h", g, h)          x -> g -> h -> y
    y: x -> h -> y     replaced_all(y, {"h": ()})      x -> y, where y reads h no more
    y: x -> h -> y     inserted(y, [copy of x])        x -> copy -> h -> y

A pass makes changes one by one, and a program of a thousand layers has thousands of definitions. So a small
change must cost what it changes (`replaced`, `without_unused`): what is known of the program that is left is
kept, tuples and dictionaries are copied, and nothing else is done for each definition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from compiler.ir.tensor.program import NAME, Definition, Program, Tensor, positions_of

FEW = 3
"""Definitions that are replaced one by one, each in a copy of what is known of the program."""


def replaced(program: Program, name: str, *by: Definition) -> Program:
    """The program with one definition replaced by others, the last of which has its name."""
    place = program.positions[name]
    return _spliced(program, place, by)


def replaced_all(program: Program, by: Mapping[str, Sequence[Definition]]) -> Program:
    """The program with several definitions replaced, each by others, or by none."""
    if len(by) <= FEW:
        for name in [name for name in by if name in program.positions]:
            program = _spliced(program, program.positions[name], tuple(by[name]))
        return program
    return program.with_definitions(new for old in program.definitions for new in by.get(old.name, (old,)))


def inserted(program: Program, new: Iterable[Definition]) -> Program:
    """The program with more definitions, which read only what it has: each right behind what it reads, and
    behind the circle that this is in."""
    new = tuple(new)
    if not new:
        return program
    positions, circle_of = program.positions, program.circle_of
    behind: defaultdict[int, list[Definition]] = defaultdict(list)
    for definition in new:
        read = (circle_of.get(tensor, (tensor,))[-1] for tensor in definition.tensors)
        behind[max((positions.get(tensor, -1) for tensor in read), default=-1)].append(definition)
    definitions = list(behind[-1])
    for position, definition in enumerate(program.definitions):
        definitions += [definition, *behind[position]]
    return program.with_definitions(definitions)


def extended(
    program: Program,
    inputs: Iterable[Tensor] = (),
    definitions: Iterable[Definition] = (),
    outputs: Iterable[str] = (),
) -> Program:
    """The program with more of each, behind those that it has."""
    return Program(
        (*program.inputs, *inputs), (*program.definitions, *definitions), (*program.outputs, *outputs)
    )


def mapped(
    program: Program, tensor: Callable[[Tensor], Tensor], definition: Callable[[Definition], Definition]
) -> Program:
    """The program with each given tensor and each definition changed."""
    inputs, definitions = map(tensor, program.inputs), map(definition, program.definitions)
    return Program(tuple(inputs), tuple(definitions), program.outputs)


def joined(programs: Iterable[Program]) -> Program:
    """Several programs that share no name as one."""
    programs = tuple(programs)
    inputs = (tensor for program in programs for tensor in program.inputs)
    definitions = (definition for program in programs for definition in program.definitions)
    outputs = (name for program in programs for name in program.outputs)
    return Program(tuple(inputs), tuple(definitions), tuple(outputs))


def without_unused(program: Program, suspects: Iterable[str]) -> Program:
    """The program without those suspects that nothing needs, and without what then is needed no more."""
    waiting = list(suspects)
    while waiting:
        name = waiting.pop()
        if name in program.positions and not program.readers[name] and name not in program.results:
            place = program.positions[name]
            waiting += program.definitions[place].tensors
            program = _spliced(program, place, ())
    return program


def _spliced(program: Program, place: int, by: tuple[Definition, ...]) -> Program:
    definitions, old = program.definitions, program.definitions[place]
    result = Program(program.inputs, definitions[:place] + by + definitions[place + 1 :], program.outputs)
    same_names = [definition.name for definition in by] == [old.name]
    index = program._index | {definition.name: definition for definition in by}
    if old.name not in map(NAME, by):
        del index[old.name]
    positions = program.positions if same_names else positions_of(result.definitions)
    readers = program.readers.copy()
    for tensor in dict.fromkeys((*old.tensors, *(name for new in by for name in new.tensors))):
        new = [definition for definition in by if tensor in definition.tensors]
        if tensor not in old.tensors:
            found = sorted((*readers[tensor], *new), key=lambda definition: positions[definition.name])
        else:
            found = [d for one in readers[tensor] for d in (new if one is old else (one,))]
        readers[tensor] = tuple(found)
    known = {"_index": index, "positions": positions, "readers": readers, "results": program.results}
    if old.name not in program.circle_of and all(
        program.positions.get(name, -1) < place for new in by for name in new.tensors
    ):
        known["circle_of"] = program.circle_of
    # A frozen dataclass keeps its cached properties here.
    result.__dict__.update(known)
    return result
