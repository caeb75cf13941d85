"""What a term costs per training step, in additions: the one number that decides every rewrite.

cost = points of the domain × (operations of the body + reads + one write), and a definition adds one write
per element. What depends on no axis, such as 1/batch_size, is computed once, and is free. The batch's
extent is not known here; a usual one is assumed. Only the order of costs matters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from compiler.ir.tensor.program import Definition, Extent, Program, Term
from compiler.simplify.scalar import operations

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


def kept_alive(program: Program, reader: str, tensors: Collection[str], among: Collection[str]) -> int:
    """Σ over the tensors `among` all of size × how long it is kept: from its definition to its last reader.

    Decides between forms of equal work. With the mask of a ReLU read from its output, the input dies as
    soon as the output stands, and can be overwritten by it. `reader` is taken to read `tensors`.
    """
    total = 0
    for name in among:
        born = program.positions.get(name, -1)
        last = born
        if name in program.results:
            last = len(program.definitions)
        else:
            others = (d for d in reversed(program.readers[name]) if d.name != reader)
            other = next(others, None)
            places = [] if other is None else [program.positions[other.name]]
            places += [program.positions[reader]] if name in tensors else []
            last = max([born, *places])
        total += volume(program.shape(name)) * (last - born)
    return total
