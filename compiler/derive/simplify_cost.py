"""What a term costs per training step, in additions: the one number that decides every rewrite.

cost = points of the domain × (operations of the body + reads + one write), and a definition adds one write
per element. What depends on no axis, such as 1/batch_size, is computed once, and is free. The batch's
extent is not known here; a usual one is assumed. Only the order of costs matters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from compiler.derive.scalar import operations
from compiler.ir.tensor_program import Definition, Extent, Program, Term

USUAL_BATCH = 128


def volume(extents: Iterable[Extent]) -> int:
    product = 1
    for extent in extents:
        product *= USUAL_BATCH if extent is None else extent
    return product


def term_cost(term: Term) -> int:
    points = volume(a.extent for a in term.axes)
    once = frozenset(symbol for symbol, access in term.reads if not access.indices)
    return points * (operations(term.body, once) + len(term.reads) - len(once) + 1)


def definition_cost(definition: Definition) -> int:
    return volume(definition.shape) + sum(map(term_cost, definition.terms))


def kept_alive(program: Program, reader: str, tensors: Collection[str]) -> int:
    """Σ over tensors of size × how long it is kept: from its definition to its last reader.

    Decides between forms of equal work. With the mask of a ReLU read from its output, the input dies as
    soon as the output stands, and can be overwritten by it. `reader` is taken to read `tensors`.
    """
    born = {definition.name: k for k, definition in enumerate(program.definitions)}
    last = {**{tensor.name: -1 for tensor in program.inputs}, **born}
    for k, definition in enumerate(program.definitions):
        for name in tensors if definition.name == reader else definition.tensors:
            last[name] = max(last[name], k)
    for name in program.outputs:
        last[name] = len(born)
    return sum(volume(program.shape(name)) * (end - born.get(name, -1)) for name, end in last.items())
