"""From a schedule to a kernel: its statements, its buffers, and what its header says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Address, Body, Buffer, Fill, Kernel, Random
from compiler.ir.loops.walk import parts, statements
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.program import Definition, Shape, Tensor
from compiler.ir.tensor.verify import is_nonnegative
from compiler.schedule.bases import with_bases
from compiler.schedule.context import Entries
from compiler.schedule.header import all_formula_lines, counted, filled_lines, operation_count, shapes_line
from compiler.schedule.schedule import Schedule


@lru_cache(maxsize=1024)
def build_kernel(entries: Entries, schedule: Schedule) -> Kernel:
    """The kernel that computes the entries by their schedule.

    Kept, because the programs of a module share most of their kernels.
    """
    return kernel_steps(entries, schedule)[-1]


def kernel_steps(entries: Entries, schedule: Schedule) -> tuple[Kernel, ...]:
    """The kernel behind each step that makes it: lowered from its schedule, and its calls' pointers moved."""
    first = entries[0]
    definitions = tuple(entry for entry in entries if isinstance(entry, Definition))
    if isinstance(first, Tensor):
        formula, operations, per_example = filled_lines(first), 0, has_batch(first.shape)
    else:
        for definition in definitions:
            _check_writes(definition, schedule.shapes[definition.name])
        formula = (*all_formula_lines(definitions), shapes_line(definitions, schedule.shapes))
        operations = sum(
            operation_count(term)
            for d in counted(definitions)
            for term in d.terms
            # What follows a sum over the batch is done once.
            if runs_over_batch(term) == runs_over_batch(*first.terms)
        )
        per_example = runs_over_batch(*first.terms)
    body = schedule.lower()
    elements = {tensor.name: tensor.element for tensor in schedule.tensors}
    kernel = Kernel(
        name=first.name,
        buffers=_buffers(body, {entry.name for entry in entries}, elements, schedule.rooms),
        body=body,
        formula=formula,
        schedule=schedule.describe(),
        operations=operations,
        per_example=per_example,
        origin=first.origin,
        shared=schedule.settings.whole,
    )
    return kernel, with_bases(kernel)


def _check_writes(definition: Definition, shape: Shape) -> None:
    """A kernel tests nothing that `bounds` has not written down as a guard: so every write must be proven."""
    for term in definition.terms:
        facts = [guard.affine for guard in term.guards if guard.kind == ">="]
        for index, extent in zip(term.target, shape, strict=True):
            sides = () if extent is None else (index, extent - 1 - index)
            if not all(is_nonnegative(side, term.extents, facts) for side in sides):
                raise CompilerBug(f"{definition.name}: a write may leave its tensor at index {index}")


def _buffers(
    body: Body, written: set[str], elements: Mapping[str, str], rooms: Mapping[str, int]
) -> tuple[Buffer, ...]:
    names: dict[str, None] = {}
    for statement in statements(body):
        names.update(dict.fromkeys(address.buffer for address in parts(statement, Address)))
        if isinstance(statement, Fill | Random):
            names.setdefault(statement.buffer)
    order = sorted(names, key=lambda name: (name in written, list(names).index(name)))
    tensors = (Buffer(n, n, elements[n], n in written) for n in order if n not in rooms)
    own = (Buffer(n, n, "real", True, room=rooms[n]) for n in order if n in rooms)
    return (*tensors, *own)
