"""What one call of `simplify` has worked out already; it is thrown away with the call.

The rules run in turn until none finds anything, and a program of hundreds of definitions changes in a few
places each time. So nearly everything is asked again of the very same terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from compiler.ir.tensor.program import Definition, Term
from compiler.simplify.alike import Alike
from compiler.simplify.terms import injected, pointwise

Sign = Literal["positive", "nonnegative", "real"]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Known(Generic[Answer]):
    """Answers to one question about terms and definitions.

    They are kept by `id`, since hashing a definition is slow, together with what was asked about, so that no
    id is used twice. An answer must depend on nothing else but signs, which are kept as well.
    """

    answers: dict[tuple[int, ...], tuple[tuple[object, ...], Answer]] = field(default_factory=dict)

    def get(self, about: tuple[object, ...], work_out: Callable[[], Answer]) -> Answer:
        """The answer known, or what `work_out` gives."""
        key = tuple(map(id, about))
        if key not in self.answers:
            self.answers[key] = about, work_out()
        return self.answers[key][1]


@dataclass(frozen=True)
class Facts:
    """What is asked again and again about a definition."""

    function: Term | None
    """The definition as a pointwise function, if it is one."""
    injection: Term | None
    """The definition as a function with a place for every value, if it is one."""


@dataclass(frozen=True)
class Memo:
    signs: dict[str, Sign] = field(default_factory=dict)
    known_facts: Known[Facts] = field(default_factory=Known)
    composed: Known[Definition | None] = field(default_factory=Known)
    """A definition with another one put in, before its forms are looked at."""
    tidied: Known[Term] = field(default_factory=Known)
    """A term in the cheapest form of its body."""
    parts: Known[tuple[frozenset[str], ...]] = field(default_factory=Known)
    """The tensors that each part of a function reads which an output form could replace."""
    output_forms: Known[tuple[Term, ...]] = field(default_factory=Known)
    """A term with parts expressed by a definition."""
    too_long: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of a definition and one that it reads: the operations that it would have with that put in, where they
    are too many to be looked at."""
    alike: Alike = field(default_factory=Alike)
    """The same for all that are alike."""

    def facts(self, definition: Definition) -> Facts:
        return self.known_facts.get((definition,), lambda: Facts(pointwise(definition), injected(definition)))

    def pointwise(self, definition: Definition) -> Term | None:
        return self.facts(definition).function
