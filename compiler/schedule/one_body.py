"""Bodies of several schedules in one kernel: each local variable has one type.

    s: for u: acc = 0 …          acc a scalar       scalar_0 = 1/batch_size
    h: for u: acc = …            acc a vector       scalar_0 = 2*rate

The second body gets acc_1 and scalar_0_1. What clears a tensor, and what no loop changes, stands before the
loops around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from compiler.ir.loops.grammar import Body, Choose, Each, Fill, Index, Lanes, Lists, Load, Loop, Statement
from compiler.ir.loops.walk import names_set, statements, with_names
from compiler.ir.tensor.names import fresh
from compiler.schedule.schedule import Schedule

Form = object
"""What a name stands for, to compare: a type, a value that does not change, a set of lists."""


@dataclass
class OneBody:
    """Collects what stands before the loops, and keeps names apart."""

    before: dict[Statement, None] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)

    def inside(self, schedule: Schedule) -> Body:
        """The loops of a schedule, to stand inside of others."""
        prelude, loops = schedule.prelude, schedule.loops()
        forms = {name: form for statement in statements(loops) for name, form in _forms(statement)}
        forms.update((name, s) for s in prelude for name in names_set(s))
        names: dict[str, str] = {}
        for name, form in forms.items():
            if self.forms.get(name, form) != form:
                names[name] = fresh(name, {*self.forms, *forms, *names.values()})
            self.forms[names.get(name, name)] = form
        prelude, loops = with_names(prelude, names), with_names(loops, names)
        cleared = tuple(s for s in loops if isinstance(s, Fill))
        self.before.update(dict.fromkeys((*prelude, *cleared)))
        return tuple(s for s in loops if not isinstance(s, Fill))


def _forms(statement: Statement) -> Iterator[tuple[str, Form]]:
    if isinstance(statement, Lists):
        yield statement.name, statement
    integers: tuple[str, ...] = ()
    if isinstance(statement, Load):
        integers = (statement.name,) if statement.integer else ()
    elif isinstance(statement, Choose):
        integers = () if statement.winner is None else (statement.winner,)
    elif isinstance(statement, Each):
        integers = statement.integers
    elif isinstance(statement, Index | Loop) or hasattr(statement, "variable"):
        integers = names_set(statement)
    width = 0 if isinstance(statement, Lanes) else getattr(statement, "width", 0)
    for name in names_set(statement):
        yield name, (name in integers, width)
