"""The circles of a program: definitions that need each other, and the steps in which each is computed.

What a step is, and which order steps have, is found in `step_order` from the places at which terms read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from compiler.errors import ModelError, Problem
from compiler.ir.tensor.components import circles_among
from compiler.ir.tensor.program import Definition, Program
from compiler.ir.tensor.step_order import Circle, Dependence, NoOrder, arranged

__all__ = ["Circle", "NoOrder", "circle_of", "circles", "circles_of", "problem_of"]


def circles(program: Program) -> tuple[Circle, ...]:
    """The circles of a program, in order. Raises ModelError for one that no order of steps computes."""
    found = dict.fromkeys(program.circle_of.values())
    return tuple(_ordered(program.definitions[program.positions[name]] for name in names) for names in found)


def circles_of(definitions: Iterable[Definition]) -> tuple[Circle, ...]:
    """The circles of definitions in any order. Raises ModelError as `circles` does."""
    by_name = {definition.name: definition for definition in definitions}
    found = circles_among({name: definition.tensors for name, definition in by_name.items()})
    return tuple(_ordered(by_name[name] for name in names) for names in found)


def _ordered(definitions: Iterable[Definition]) -> Circle:
    members = tuple(definitions)
    circle = circle_of(members)
    if isinstance(circle, NoOrder):
        raise ModelError(problem_of(circle, members[0].origin))
    return circle


@lru_cache(maxsize=1024)
def circle_of(members: tuple[Definition, ...]) -> Circle | NoOrder:
    """The steps of definitions that need each other, or why there are none."""
    names = frozenset(member.name for member in members)
    found = (dependence for member in members for dependence in dependences(member, names))
    return arranged(found, {member.name: member.shape for member in members})


def dependences(definition: Definition, among: frozenset[str]) -> Iterator[Dependence]:
    """What a definition needs of the tensors `among`, as values or as indices."""
    for term in definition.terms:
        places = [(access.tensor, access.indices) for _, access in term.reads]
        places += [(read.tensor, read.indices) for affine in term.affines() for read in affine.reads]
        for tensor, indices in dict.fromkeys(places):
            if tensor in among:
                yield Dependence(definition.name, term.target, tensor, indices, term.axes, term.guards)


def problem_of(found: NoOrder, layer: str | None = None) -> Problem:
    """What is said to a user of a circle without an order."""
    details = found.details
    return Problem(
        found.message,
        layer=layer or None,
        expected=details["expected"],
        found=details["found"],
        advice=details["advice"],
    )
