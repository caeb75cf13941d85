"""Which schedule definitions get: the one place where that is decided."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

from compiler.errors import CompilerBug
from compiler.ir.tensor.program import Definition
from compiler.schedule.context import Context, Entries
from compiler.schedule.pieces import pieces_of
from compiler.schedule.schedule import InTurn, Schedule, Strategy, TermsSchedule
from compiler.schedule.strategies import recurrence, wavefront
from compiler.schedule.strategies.table import STRATEGIES

Table = tuple[Strategy, ...]


def schedule_of(entries: Entries, context: Context, table: Table = STRATEGIES) -> Schedule:
    """The schedule of what one kernel computes. Raises CompilerBug where no strategy fits."""
    found = find_schedule(entries, context, table)
    if found is None:
        raise CompilerBug(f"{entries[0].name}: no strategy of the table computes it")
    return found


@lru_cache(maxsize=1024)
def find_schedule(entries: Entries, context: Context, table: Table = STRATEGIES) -> Schedule | None:
    """The schedule by the first strategy that fits; of a sum, schedules of its terms until all have one.

    Kept, because what is priced is written later, and the programs of a module share most of their kernels.
    """
    if context.circle is not None:
        choose = partial(find_schedule, table=table)
        steps = recurrence.match(entries, context, choose)
        return steps and (wavefront.match(steps, entries, context, choose) or steps)
    first = entries[0]
    if len(entries) > 1 or not isinstance(first, Definition) or first.operation != "sum":
        return _first_match(entries, context, table)
    left = pieces_of(first, context.shapes, context.settings)
    parts: list[TermsSchedule] = []
    while left:
        found = _first_match(entries, replace(context, pieces=left, before=len(parts)), table)
        if not isinstance(found, TermsSchedule):
            return None
        parts.append(found)
        left = tuple(piece for piece in left if piece.number not in found.taken)
    return parts[0] if len(parts) == 1 else InTurn(context.tensors, context.settings, tuple(parts))


def _first_match(entries: Entries, context: Context, table: Table) -> Schedule | None:
    return next((found for match in table if (found := match(entries, context)) is not None), None)
