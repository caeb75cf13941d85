"""Factors of large products are rounded to bfloat16, where the machine multiplies twice as many of them.

    y[b,o] += x[b,i]·w[i,o]      is      y[b,o] += bfloat16(x[b,i])·bfloat16(w[i,o])

Asked for by the precision of a module. Parameters, sums and what is stored stay as they are; a factor is
rounded where it is packed. It is the last thing that happens to a program: derivatives are those of the
formula, and the gradient of a product is made of other products, whose factors are rounded by themselves.

Only a product that `PairedPanels` computes in less time is rounded: once over the whole batch, or in tiles
of examples of several rows each.
"""

from __future__ import annotations

from dataclasses import replace

import sympy

from compiler.ir.scalar.bfloat16 import Rounded
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Definition, Program, Rewrite, Term
from compiler.plan.whole import whole_settings
from compiler.schedule.choosing import schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.paired_panels import PairedPanels


def rounded_factors(program: Program, settings: Settings) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program with rounded factors in every product that takes less time with them."""
    rewrites: list[Rewrite] = []
    if not settings.bfloat16:
        return program, ()
    for definition in program.definitions:
        found = _rounded(definition, program, settings)
        if found is not None:
            program = replaced(program, definition.name, found)
            factors = ", ".join(t for t in found.tensors)
            rewrites.append(
                Rewrite("round", definition.name, f"of factors in bfloat16: {factors}", "it takes less time")
            )
    return program, tuple(rewrites)


def _rounded(definition: Definition, program: Program, settings: Settings) -> Definition | None:
    if definition.operation != "sum" or definition.name in program.circle_of:
        return None
    # Sums of tiles go on with what a lane holds.
    if not definition.at_once and not has_batch(definition.shape):
        return None
    terms = tuple(map(_with_rounded_factors, definition.terms))
    if terms == definition.terms:
        return None
    found = replace(definition, terms=terms)
    there = whole_settings(settings) if definition.at_once else settings
    fast, plain = _schedule(found, program, there), _schedule(definition, program, there)
    machine = settings.machine
    if not isinstance(fast, PairedPanels) or fast.cycles(machine) >= plain.cycles(machine):
        return None
    return found


def _with_rounded_factors(term: Term) -> Term:
    """The sum of products of two reads with both of them rounded; another term as it is."""
    symbols = [symbol for symbol, _ in term.reads]
    scale, body = term.body.as_independent(*symbols, as_Add=False)
    factors = [symbol for symbol in symbols if symbol in body.free_symbols]
    if not term.reduction_axes or len(factors) != 2 or body != sympy.Mul(*factors):
        return term
    return replace(term, body=scale * sympy.Mul(*map(Rounded, factors)))


def _schedule(definition: Definition, program: Program, settings: Settings) -> Schedule:
    return schedule_of((definition,), context_of((definition,), program, settings))
