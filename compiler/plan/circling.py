"""What the schedule of a circle must know of its program: the steps, and what is read of them outside."""

from __future__ import annotations

from dataclasses import replace

from compiler.errors import CompilerBug
from compiler.ir.tensor.circles import Circle, NoOrder, circle_of, problem_of
from compiler.ir.tensor.ends import read_behind
from compiler.ir.tensor.program import Program, Tensor
from compiler.schedule.chains import Group
from compiler.schedule.context import Context


def in_circle(context: Context, group: Group, program: Program) -> Context:
    """The context of a group, with the steps of its circle where it is one.

    Raises CompilerBug where no order of steps computes the circle."""
    circle = _circle(program, group)
    if circle is None:
        return context
    outside, unread = _read_outside(program, group), _unread(program, circle)
    return replace(context, outside=outside, circle=circle, unread=unread)


def _circle(program: Program, group: Group) -> Circle | None:
    """The steps of a group that is a circle."""
    if group[0] not in program.circle_of:
        return None
    circle = circle_of(tuple(d for d in program.definitions if d.name in group))
    if isinstance(circle, NoOrder):
        raise CompilerBug(f"{group[0]}: {problem_of(circle)}")
    return circle


def _read_outside(program: Program, group: Group) -> frozenset[str]:
    """The members of a circle that something else reads, or that are asked for."""
    read = (name for name in group if any(d.name not in group for d in program.readers[name]))
    return frozenset(read) | (program.results & frozenset(group))


def _unread(program: Program, circle: Circle) -> frozenset[str]:
    """The members of a circle that nothing reads behind the ends of all examples."""
    carried = dict(zip(circle.names, circle.dimensions, strict=True))
    terms = (term for name in carried for term in program.definitions[program.positions[name]].terms)
    ends = (a.end.lengths for term in terms for a in term.axes if a.end)
    lengths = next((tensor for name in ends if isinstance(tensor := program[name], Tensor)), None)
    if lengths is None:
        return frozenset()
    return frozenset(name for name, k in carried.items() if not read_behind(program, name, k, lengths))
