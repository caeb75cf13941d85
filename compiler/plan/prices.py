"""What definitions cost together in a plan: circles, and chains whose kernels are one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Program
from compiler.machine.elements import REALS
from compiler.plan.chaining import with_chains
from compiler.plan.circling import in_circle
from compiler.plan.kernels import Kernels
from compiler.plan.stages import kernel_groups, stages
from compiler.schedule.chains import Group
from compiler.schedule.choosing import schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.layout import row_size
from compiler.schedule.settings import Settings


def whole_circles(program: Program, names: Iterable[str]) -> tuple[str, ...]:
    """The names, and those of all that a kernel computes with them: the steps of a circle are one."""
    found = dict.fromkeys(n for name in names for n in (name, *program.circle_of.get(name, ())))
    return tuple(found)


def cost_of_circles(program: Program, settings: Settings) -> float:
    """Predicted cycles a tile of all circles, and of what they wait for weights, which each step reads."""
    groups = (group for group in kernel_groups(program) if group[0] in program.circle_of)
    return sum(_cost_of_circle(group, program, settings) for group in groups)


def _cost_of_circle(group: Group, program: Program, settings: Settings) -> float:
    members = tuple(d for name in group if (d := program.definition(name)) is not None)
    context = in_circle(context_of(members, program, settings), group, program)
    schedule, machine = schedule_of(members, context), settings.machine
    shapes = {name: program.shape(name) for d in members for name in d.tensors}
    weights = REALS[settings.dtype].bytes * sum(row_size(s) for s in shapes.values() if not has_batch(s))
    read = weights / machine.bandwidth_beyond(weights)
    return schedule.cycles(machine) + schedule.rounds * read


def saved_by_fusing(program: Program, settings: Settings, kernels: Kernels) -> float:
    """Predicted cycles a tile by which kernels of several definitions take less than each by itself."""
    machine, context = settings.machine, partial(context_of, program=program, settings=settings)
    chains = with_chains(kernel_groups(program), program, stages(program), settings, kernels)
    saved = 0.0
    for chain, fused in chains.items():
        if fused is not None:
            parts = (program.definition(name) for name in chain)
            alone = (kernels.choose((d,), context((d,))) for d in parts if d is not None)
            saved += sum(s.cycles(machine) for s in alone if s is not None) - fused.cycles(machine)
    return saved
