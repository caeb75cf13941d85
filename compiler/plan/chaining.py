"""Which kernels of a plan compute a chain of definitions: for the plan, and for its prices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from compiler.ir.affine.domain import End
from compiler.ir.tensor.program import Program
from compiler.plan.kernels import Kernels
from compiler.plan.stages import Stage
from compiler.schedule.chains import Fusing, Group, fused_groups
from compiler.schedule.context import context_of
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings


def with_chains(
    groups: list[Group],
    program: Program,
    stage: Mapping[str, Stage],
    settings: Settings,
    kernels: Kernels,
) -> dict[Group, Schedule | None]:
    """The groups with chains of them joined. A circle neither follows a contraction nor is followed, and all
    of a chain end alike."""
    apart = {name: (when, program.circle_of.get(name), _ends(program, name)) for name, when in stage.items()}
    first = {n for n, when in stage.items() if when.kind == "tile" and n not in program.circle_of}
    context = partial(context_of, program=program, settings=settings)
    return fused_groups(groups, Fusing(program, apart, first, settings.machine, kernels.choose, context))


def _ends(program: Program, name: str) -> frozenset[End]:
    """The ends of what a definition computes."""
    definition = program.definition(name)
    axes = (a for term in definition.terms for a in term.target_axes) if definition else ()
    return frozenset(a.end for a in axes if a.end)
