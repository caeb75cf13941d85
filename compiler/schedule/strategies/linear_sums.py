"""Several sums of the same values are computed together: loaded once, common parts added up once.

    u[0,i] = x[2i] - x[2i+2]                    for i:
    u[1,i] = x[2i+1] + x[2i+2]         ->           x0, x1, x2, x3 = x[2i], x[2i+1], x[2i+2], x[2i+3]
    u[2,i] = x[2i+2] - x[2i+1]                      u[0,i], u[1,i] = x0 - x2, x1 + x2
    u[3,i] = x[2i+1] - x[2i+3]                      u[2,i], u[3,i] = x2 - x1, x1 - x3

along vectors of an axis that is contiguous in everything. Two ways of sharing are tried. Reads are grouped
by one of their indices: where the sums restricted to a group are multiples of few different ones, these
come first; so sums over rows and columns become sums over columns of sums over rows. Then, as long as two
values occur in several sums in the same ratio, that pair is added up once, the most frequent first (C.
Paar, Optimized Arithmetic for Reed-Solomon Encoders, 1997).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

import sympy

from compiler.ir.loops.grammar import Address, Body, Let, Load, Statement, Store
from compiler.ir.tensor.program import Access
from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.schedule.context import Context, Entries
from compiler.schedule.groups import Group, group_loops, grouped, vectors_of
from compiler.schedule.nest import Nest, local_name
from compiler.schedule.schedule import TermsSchedule

Row = dict[int, sympy.Rational]
"""A sum: number of a value -> its factor."""
FrozenRow = tuple[tuple[int, sympy.Rational], ...]
"""The same, in the order of the numbers."""


@dataclass(frozen=True)
class Sum:
    """Value number `number` is this sum of earlier ones; `result` says which sum that was asked for."""

    number: int
    row: FrozenRow
    result: int | None = None


@dataclass
class _Sums:
    """Collects sums in the order in which they are computed; values below `count` exist."""

    count: int
    made: list[Sum] = field(default_factory=list)

    def add(self, row: Row, result: int | None = None) -> int:
        self.made.append(Sum(self.count, tuple(sorted(row.items())), result))
        self.count += 1
        return self.count - 1


@dataclass(frozen=True)
class LinearSums(TermsSchedule):
    """All terms of a sum, in groups."""

    strategy: ClassVar[str] = "linear sums"

    groups: tuple[Group, ...]

    def cycles(self, machine: Machine) -> float:
        lanes, costs = machine.lanes(self.settings.dtype), machine.costs(self.settings.dtype)
        return sum(_cycles(group, lanes, self.settings.tile, costs) for group in self.groups)

    def describe(self) -> str:
        notes = (f"gather, sums computed together along {group.vector_axis.name}" for group in self.groups)
        return "; ".join(dict.fromkeys(notes))

    def loops(self) -> Body:
        lanes = self.settings.machine.lanes(self.settings.dtype)
        return tuple(statement for group in self.groups for statement in _loops(group, lanes))


def match(entries: Entries, context: Context) -> LinearSums | None:
    """All terms, where they write every element once between them and all are sums of multiples."""
    groups = groups_of([piece.nest for piece in context.pieces]) if context.stores_together else None
    if groups is None:
        return None
    return LinearSums(context.tensors, context.settings, context.pieces, groups)


def groups_of(nests: Sequence[Nest]) -> tuple[Group, ...] | None:
    """The nests by their axes, where all are sums of multiples of what they read and some share a read."""
    if any(nest.reduction_axes or nest.guards or _factors(nest) is None for nest in nests):
        return None
    return grouped(nests)


def _factors(nest: Nest) -> dict[sympy.Symbol, sympy.Rational] | None:
    """The factor of each read, None when the body is not a sum of rational multiples of reads."""
    symbols = {symbol for symbol, _ in nest.reads}
    factors = nest.body.as_coefficients_dict()
    if not symbols or set(factors) != symbols or any(a.inside for _, a in nest.reads):
        return None
    return dict(factors)


def _loops(group: Group, lanes: int) -> Body:
    """The loops of a group, whose sums share what they have in common."""
    addresses, sums = _shared_sums(group)
    return group_loops(group, lanes, lambda _tile, width: _point(group, addresses, sums, width, lanes))


def _point(group: Group, addresses: Sequence[Address], sums: Sequence[Sum], width: int, lanes: int) -> Body:
    """Loads, each before the first sum that needs it; sums; stores, each behind its sum."""
    body: list[Statement] = []
    values: dict[int, sympy.Symbol] = {}
    # A variable has one type, and what fills a part of a vector may have a shorter one.
    kind = "" if width == lanes else f"{width}_"
    for entry in sums:
        for number, _ in entry.row:
            if number not in values:
                address = addresses[number]
                along = address.offset.coefficient(group.vector_axis.name) != 0
                values[number] = sympy.Symbol(f"{local_name(address.buffer)}_{kind}{number}", real=True)
                body.append(Load(values[number].name, address, width if along else 0))
        value = sum((factor * values[number] for number, factor in entry.row), sympy.S.Zero)
        values[entry.number] = sympy.Symbol(f"sum_{kind}{entry.number - len(addresses)}", real=True)
        body.append(Let(values[entry.number].name, value, width))
        if entry.result is not None:
            nest = group.nests[entry.result]
            body.append(Store(Address(nest.buffer, nest.target), values[entry.number], width))
    return tuple(body)


def _cycles(group: Group, lanes: int, batch: int, costs: Costs) -> float:
    """Cycles for one tile of the batch: loads, additions and stores of every point and vector."""
    addresses, sums = _shared_sums(group)
    additions = sum(len(entry.row) - 1 for entry in sums)
    point = costs.group_load * len(addresses) + costs.group_add * additions
    point += costs.group_store * len(group.nests)
    return vectors_of(group, lanes, batch) * point


@lru_cache(maxsize=64)
def _shared_sums(group: Group) -> tuple[list[Address], list[Sum]]:
    """What is read, and the sums to compute, common parts first."""
    numbers: dict[Address, int] = {}
    indices: list[Access] = []
    rows: list[Row] = []
    for nest in group.nests:
        row: Row = {}
        accesses = dict(nest.term.reads)
        for (symbol, address), factor in zip(nest.reads, _factors_in_order(nest), strict=True):
            if address not in numbers:
                numbers[address] = len(numbers)
                indices.append(accesses[symbol])
            row[numbers[address]] = row.get(numbers[address], 0) + factor
        rows.append(row)
    sums = _Sums(len(numbers))
    classes = _best_classes(rows, indices)
    if classes is not None:
        rows = _by_classes(rows, classes, sums)
    _pairwise(rows, sums, wanted=True)
    return list(numbers), sums.made


def _factors_in_order(nest: Nest) -> list[sympy.Rational]:
    factors = nest.body.as_coefficients_dict()
    return [factors[symbol] for symbol, _ in nest.reads]


def _best_classes(rows: Sequence[Row], accesses: Sequence[Access]) -> list[int] | None:
    """A class for each value, by one of its indices, so that sums within classes need fewest additions.

    None when no grouping needs fewer than the sums have.
    """
    best, least = None, sum(len(row) for row in rows)
    for dimension in range(max(len(access.indices) for access in accesses)):
        keys = [(a.tensor, a.indices[dimension : dimension + 1]) for a in accesses]
        order = list(dict.fromkeys(keys))
        classes = [order.index(key) for key in keys]
        parts = {(classes[min(part)], _normalised(part)) for row in rows for part in _split(row, classes)}
        cost = sum(len(part) for _, part in parts) + sum(len(_split(row, classes)) for row in rows)
        if cost < least:
            best, least = classes, cost
    return best


def _split(row: Row, classes: Sequence[int]) -> list[Row]:
    """The row's parts in each class that it has values of."""
    parts: dict[int, Row] = {}
    for number in sorted(row):
        parts.setdefault(classes[number], {})[number] = row[number]
    return [parts[key] for key in sorted(parts)]


def _normalised(row: Row) -> FrozenRow:
    """The row divided by its first factor: multiples of one sum are the same."""
    scale = row[min(row)]
    return tuple((number, row[number] / scale) for number in sorted(row))


def _by_classes(rows: Sequence[Row], classes: Sequence[int], sums: _Sums) -> list[Row]:
    """Compute the different sums of each class; the rows as sums of these."""
    made: dict[FrozenRow, int] = {}
    for key in sorted(set(classes)):
        parts = [part for row in rows for part in _split(row, classes) if classes[min(part)] == key]
        different = [p for p in dict.fromkeys(map(_normalised, parts)) if len(p) > 1]
        numbers = _pairwise([dict(part) for part in different], sums)
        made.update(zip(different, numbers, strict=True))
    result = []
    for row in rows:
        combined: Row = {}
        for part in _split(row, classes):
            first = min(part)
            combined[made.get(_normalised(part), first)] = part[first]
        result.append(combined)
    return result


Pairs = dict[tuple[int, int, sympy.Rational], None]
"""Two values of a sum, and the factor of the second over that of the first; an ordered set."""


def _pairs(row: Row) -> Pairs:
    return {(i, j, row[j] / row[i]): None for i, j in combinations(sorted(row), 2)}


def _pairwise(rows: Sequence[Row], sums: _Sums, wanted: bool = False) -> list[int]:
    """Add up pairs that several rows have in the same ratio, then the rows; each row's value by number."""
    rows = [dict(row) for row in rows]
    in_row = [_pairs(row) for row in rows]
    # Counted once: a pair that is added up changes the few rows that have it.
    counts = Counter(pair for pairs in in_row for pair in pairs)
    while counts:
        most = max(counts.values())
        if most < 2:
            break
        i, j = min(pair[:2] for pair, count in counts.items() if count == most)
        # Of several ratios, that of the first row.
        pair = next(p for pairs in in_row for p in pairs if p[:2] == (i, j) and counts[p] == most)
        number = sums.add({i: sympy.S.One, j: pair[2]})
        for row, pairs in zip(rows, in_row, strict=True):
            if pair in pairs:
                row[number] = row.pop(i)
                del row[j]
                gone = [p for p in pairs if not {i, j}.isdisjoint(p[:2])]
                for p in gone:
                    del pairs[p]
                new = {(k, number, row[number] / row[k]): None for k in row if k != number}
                pairs.update(new)
                counts.update(new.keys())
                counts.subtract(gone)
    return [sums.add(row, n if wanted else None) for n, row in enumerate(rows)]
