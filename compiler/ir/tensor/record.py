"""Records of what a stage changed: text for people, and the definitions that it was printed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Rewrite, Term


def rewritten(
    rule: str, old: Definition | Iterable[Definition], new: Definition | Iterable[Definition], why: str
) -> Rewrite:
    """The record of a step by which `new` definitions stand where `old` ones were.

    The last of the new ones has the values of the last of the old ones, unless the rule derives.
    """
    old, new = _several(old), _several(new)
    return Rewrite(rule, _described(old), _described(new), why, old, new)


def alone(definition: Definition, term: Term) -> Definition:
    """The part of a definition that one of its terms, or what stands for its term, adds."""
    return replace(definition, operation="sum", terms=(term,))


def _several(definitions: Definition | Iterable[Definition]) -> tuple[Definition, ...]:
    return (definitions,) if isinstance(definitions, Definition) else tuple(definitions)


def _described(definitions: tuple[Definition, ...]) -> str:
    return "; ".join(describe_term(d.name, term, d.operation) for d in definitions for term in d.terms)
