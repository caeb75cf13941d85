"""Small changes to large programs: what is known of the program that is left is kept, not worked out anew.

A pass makes changes one by one, and a program of a thousand layers has thousands of definitions. So a change
must cost what it changes: tuples and dictionaries are copied, and nothing else is done for each definition.
"""

from __future__ import annotations

from collections.abc import Iterable

from compiler.ir.tensor.program import NAME, Definition, Program, positions_of


def replaced(program: Program, name: str, *by: Definition) -> Program:
    """The program with one definition replaced by others, the last of which has its name."""
    place = program.positions[name]
    return _spliced(program, place, by)


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
    # A frozen dataclass keeps its cached properties here.
    result.__dict__.update(known)
    return result
