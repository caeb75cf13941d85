"""Compute once what is defined twice: definitions that are equal up to the names of their axes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from compiler.ir.tensor.program import Definition, Program, Rewrite
from compiler.ir.tensor.prune import in_order
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.rename import canonical, reading


def share(program: Program) -> tuple[Program, list[Rewrite]]:
    """Of equal definitions keep the first, or the one that is an output; two outputs are both kept."""
    kept: dict[tuple[object, ...], Definition] = {}
    names: dict[str, str] = {}
    standing: defaultdict[str, list[str]] = defaultdict(list)
    rewrites = []
    for definition in program.definitions:
        renamed = _renamed(definition, names)
        identity = formula_of(renamed)
        first = kept.setdefault(identity, renamed)
        if first is renamed or (first.name in program.results and renamed.name in program.results):
            continue
        keep, drop = (first, renamed) if renamed.name not in program.results else (renamed, first)
        kept[identity] = keep
        # What the dropped one stood for, the kept one stands for now.
        moved = [*standing.pop(drop.name, ()), drop.name]
        names.update(dict.fromkeys(moved, keep.name))
        standing[keep.name] += moved
        rewrites.append(rewritten("share", drop, keep, "the same up to the names of axes"))
    if not rewrites:
        return program, rewrites
    definitions = (_renamed(d, names) for d in program.definitions if d.name not in names)
    return program.with_definitions(in_order(definitions)), rewrites


def _renamed(definition: Definition, names: Mapping[str, str]) -> Definition:
    """The definition reading, and being of, the tensors that are kept."""
    same = reading(definition, names)
    return replace(same, of=names[same.of]) if same.of in names else same


def formula_of(definition: Definition) -> tuple[object, ...]:
    terms = tuple(map(canonical, definition.terms))
    terms = terms if len(terms) == 1 else tuple(sorted(terms, key=str))
    return definition.shape, definition.operation, definition.dtype, terms
