"""Which kernels of a plan compute a chain of definitions: for the plan, and for its prices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from compiler.ir.affine.domain import End
from compiler.ir.tensor.program import Definition, Program
from compiler.plan.kernels import Kernels
from compiler.plan.stages import Stage
from compiler.plan.whole import whole_settings
from compiler.schedule.chains import Fusing, Group, fused_groups
from compiler.schedule.context import Context, Entries, context_of
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings

KINDS = ("tile", "whole")
"""Definitions whose kernels compute what follows them at once: the sums of a lane are not whole yet."""


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
    first = {n for n, when in stage.items() if when.kind in KINDS and n not in program.circle_of}
    context = partial(_context_of, program=program, settings=settings)
    return fused_groups(groups, Fusing(program, apart, first, settings.machine, kernels.choose, context))


def _context_of(entries: Entries, program: Program, settings: Settings, **more: Any) -> Context:
    """The context of definitions in a tile, or of such that run at once."""
    at_once = any(isinstance(entry, Definition) and entry.at_once for entry in entries)
    return context_of(entries, program, whole_settings(settings) if at_once else settings, **more)


def _ends(program: Program, name: str) -> frozenset[End]:
    """The ends of what a definition computes."""
    definition = program.definition(name)
    axes = (a for term in definition.terms for a in term.target_axes) if definition else ()
    return frozenset(a.end for a in axes if a.end)
