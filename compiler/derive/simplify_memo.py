"""What one call of `simplify` has worked out already; it is thrown away with the call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from compiler.derive.simplify_terms import injected, pointwise
from compiler.ir.tensor_program import Definition, Term

Sign = Literal["positive", "nonnegative", "real"]


@dataclass(frozen=True)
class Facts:
    """What is asked again and again about a definition."""

    definition: Definition
    tensors: tuple[str, ...]
    function: Term | None
    """The definition as a pointwise function, if it is one."""
    injection: Term | None
    """The definition as a function with a place for every value, if it is one."""


@dataclass(frozen=True)
class Memo:
    signs: dict[str, Sign] = field(default_factory=dict)
    facts_by_identity: dict[int, Facts] = field(default_factory=dict)
    """By `id`: hashing a definition is slow, and the facts hold on to it, so that no id is used twice."""

    def facts(self, definition: Definition) -> Facts:
        key = id(definition)
        if key not in self.facts_by_identity:
            self.facts_by_identity[key] = Facts(
                definition, definition.tensors, pointwise(definition), injected(definition)
            )
        return self.facts_by_identity[key]

    def tensors(self, definition: Definition) -> tuple[str, ...]:
        return self.facts(definition).tensors

    def pointwise(self, definition: Definition) -> Term | None:
        return self.facts(definition).function
