"""Sites: parts of a program that can be computed otherwise, where that is predicted to cost less.

    ȳ[2i + w[i]] += ḡ[i]            site: ȳ and K̄         slot ȳ: (ȳ.selected)
    K̄[p] += x[h+p]·ȳ[h]                                   slot K̄: (selected) or (masked)

A pass that has to choose says what there is to choose from. It asks for no price and takes no decision: the
price of a form is what it costs behind the passes that follow, which a pass does not know. `choose` takes the
decision for each site in turn, by the price that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from compiler.ir.tensor.editing import inserted, replaced_all
from compiler.ir.tensor.program import Definition, Program, Rewrite

Form = tuple[Definition, ...]
Price = Callable[[Program, Iterable[str]], float]
"""Predicted cycles a tile of definitions of a program, as they come out of the passes that follow."""


@dataclass(frozen=True)
class Slot:
    """What may stand in the place of a definition: one of several forms, each some definitions or none."""

    place: str
    forms: tuple[Form, ...]


@dataclass(frozen=True)
class Site:
    """Definitions that can be computed otherwise, and what the record says of it."""

    slots: tuple[Slot, ...]
    before: str
    after: str
    copies: tuple[Definition, ...] = ()
    """New copies that the forms read, each of a tensor of the program."""
    remark: str = ""
    gain: float = 1.0
    """The share to which the price must fall, or below. At the same price other forms store less."""

    @property
    def old(self) -> tuple[str, ...]:
        return tuple(slot.place for slot in self.slots)

    def new(self, forms: Sequence[Form]) -> tuple[str, ...]:
        return tuple(definition.name for definition in chain(self.copies, *forms))

    def applied(self, program: Program, forms: Sequence[Form]) -> Program:
        """The program with a form in each slot, and each copy right behind what it copies."""
        return inserted(replaced_all(program, dict(zip(self.old, forms, strict=True))), self.copies)


Sites = Callable[[Program, str], Iterator[Site]]
"""What there is to choose from at a definition of a program."""


def choose(program: Program, rule: str, sites: Sites, price: Price) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program with the cheapest of what there is at each definition, in order, where the price falls."""
    rewrites: list[Rewrite] = []
    for name in [definition.name for definition in program.definitions]:
        # What was changed before may have left others out.
        found = sites(program, name) if name in program else ()
        changes = (_cheapest(site, program, price) for site in found)
        paying = [c for c in changes if c.after <= c.site.gain * c.before]
        if paying:
            best = min(paying, key=lambda c: c.after - c.before)
            program = best.program
            rewrites.append(best.rewrite(rule))
    return program, tuple(rewrites)


@dataclass(frozen=True)
class _Change:
    """A site with the cheapest form in each slot, and the prices."""

    site: Site
    program: Program
    before: float
    after: float

    def rewrite(self, rule: str) -> Rewrite:
        why = f"predicted {self.after:,.0f} cycles a tile instead of {self.before:,.0f}"
        why += f"; {self.site.remark}" if self.site.remark else ""
        return Rewrite(rule, self.site.before, self.site.after, why)


def _cheapest(site: Site, program: Program, price: Price) -> _Change:
    """Each slot gets the form that costs least by itself, the other slots being as they are then."""
    forms = [slot.forms[0] for slot in site.slots]

    def priced_in(k: int, form: Form) -> float:
        others = [*forms[:k], form, *forms[k + 1 :]]
        return price(site.applied(program, others), [definition.name for definition in form])

    for k, slot in enumerate(site.slots):
        if len(slot.forms) > 1:
            forms[k] = min(slot.forms, key=partial(priced_in, k))
    candidate = site.applied(program, forms)
    return _Change(site, candidate, price(program, site.old), price(candidate, site.new(forms)))
