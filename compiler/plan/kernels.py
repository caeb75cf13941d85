"""Schedules and kernels of a module, each made once for all that compute the same under other names.

Twenty equal blocks are scheduled once and written once. A call that comes later has the kernel of the first,
and its own tensors in the places of the first one's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from compiler.ir.loops.grammar import Kernel
from compiler.ir.tensor.program import Definition
from compiler.plan.stages import StageKind
from compiler.plan.whole import can_be_shared, shared_out
from compiler.schedule.choosing import Table, find_schedule, schedule_of
from compiler.schedule.context import Context, Entries
from compiler.schedule.forms import Form, Forms
from compiler.schedule.kernel import build_kernel, kernel_steps
from compiler.schedule.schedule import Schedule
from compiler.schedule.strategies.table import STRATEGIES


@dataclass(frozen=True)
class Call:
    """One kernel call; `tensors` are bound to the kernel's buffers in order."""

    kernel: Kernel
    """Which may have been written for entries of other names."""
    tensors: tuple[str, ...]
    schedule: Schedule
    """What the kernel was written from."""
    entries: Entries
    """What is computed."""
    written: Entries
    """What the kernel was written for: the entries, or others of other names."""

    @property
    def steps(self) -> tuple[Kernel, ...]:
        """The kernel as it was behind each step that made it: what a verifier looks at between any two."""
        return (*kernel_steps(self.written, self.schedule), self.kernel)

    @property
    def computes(self) -> str:
        """The tensor that is computed, or the first of them."""
        return self.entries[0].name


@dataclass(frozen=True)
class _Made:
    kernel: Kernel
    schedule: Schedule
    written: Entries
    numbers: tuple[int, ...]
    """Of each buffer's tensor, in the form; room is none."""


@dataclass(frozen=True)
class Kernels:
    """What has been made for a module by the strategies of a table."""

    table: Table = STRATEGIES
    forms: Forms = field(default_factory=Forms)
    schedules: dict[Form, Schedule | None] = field(default_factory=dict)
    forms_of: dict[int, tuple[object, Form]] = field(default_factory=dict)
    """Of chains' schedules and of their tiles, by `id`; they are kept, so that no id is used twice."""
    made: dict[tuple[Form, StageKind], _Made] = field(default_factory=dict)

    def choose(self, entries: Entries, context: Context) -> Schedule | None:
        """As `find_schedule`; that of one entry may be of tensors with other names, as for a price."""
        if context.circle is not None:
            return find_schedule(entries, context, self.table)
        form = self.form(entries, context)
        if form in self.schedules and (len(entries) == 1 or self.schedules[form] is None):
            return self.schedules[form]
        found = find_schedule(entries, context, self.table)
        self.schedules.setdefault(form, found)
        if found is not None and len(entries) > 1:
            self.forms_of[id(found)] = found, form
            if found.tile is not None:
                self.forms_of[id(found.tile)] = found.tile, form
        return found

    def form(self, entries: Entries, context: Context) -> Form:
        """The form of entries, of which a tile that is kept was some shorter chain's."""
        shorter = None if context.tile is None else self.forms_of[id(context.tile)][1]
        return self.forms.of(entries, context, shorter)

    def call(self, entries: Entries, context: Context, kind: StageKind, chain: Schedule | None) -> Call:
        """The call of the kernel that computes entries: by the schedule of their `chain`, or by one that is
        chosen here for their context."""
        if context.circle is not None:
            circling = schedule_of(entries, context, self.table)
            kernel = build_kernel(entries, circling)
            return Call(kernel, tuple(buffer.tensor for buffer in kernel.buffers), circling, entries, entries)
        form = self.form(entries, context) if chain is None else self.forms_of[id(chain)][1]
        if (form, kind) not in self.made:
            schedule = schedule_of(entries, context, self.table) if chain is None else chain
            kernel = _kernel(entries, schedule, kind)
            named = (buffer.tensor for buffer in kernel.buffers if not buffer.room)
            numbers = tuple(map(form.tensors.index, named))
            self.made[form, kind] = _Made(kernel, schedule, entries, numbers)
        known = self.made[form, kind]
        # Room comes behind the tensors, and has a name in the kernel alone.
        rooms = (buffer.tensor for buffer in known.kernel.buffers if buffer.room)
        tensors = (*(form.tensors[n] for n in known.numbers), *rooms)
        return Call(known.kernel, tensors, known.schedule, entries, known.written)


def _kernel(entries: Entries, schedule: Schedule, kind: StageKind) -> Kernel:
    """The kernel, shared out among threads where it runs by itself and is worth it."""
    kernel, first = build_kernel(entries, schedule), entries[0]
    alone = kind == "before" and isinstance(first, Definition)
    if kind == "whole" or (alone and can_be_shared(cast(Definition, first), kernel, schedule.settings)):
        return shared_out(kernel)
    return kernel
