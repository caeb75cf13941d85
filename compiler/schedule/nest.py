"""A term made ready for loops: stored tensors, element offsets, scalars hoisted, unit axes gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import sympy

from compiler.ir.affine.expression import Affine, Atom, Extent, axis, constant
from compiler.ir.affine.expression import Read as IntegerRead
from compiler.ir.loops.grammar import Address, Largest, Let, Load, Statement
from compiler.ir.scalar.conditions import Condition
from compiler.ir.tensor.axes import batch_axis
from compiler.ir.tensor.maps import interior
from compiler.ir.tensor.program import Access, Axis, Guard, Shape, Term
from compiler.ir.tensor.rename import substitute_axes, with_lengths, without_single_values
from compiler.schedule.layout import BATCH, offset

Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Nest:
    """One term over stored tensors.

    `reads` maps each body symbol to the address it stands for; `prelude` are loads and lets of values that
    no loop changes (scalars such as 1/batch_size), to be placed at the top of the kernel.
    """

    axes: tuple[Axis, ...]
    buffer: str
    target: Affine
    target_axes: tuple[Axis, ...]
    reduction_axes: tuple[Axis, ...]
    body: sympy.Expr
    reads: tuple[tuple[sympy.Symbol, Address], ...]
    guards: tuple[Guard, ...]
    prelude: tuple[Statement, ...]
    term: Term
    outer: tuple[Axis, ...] = ()
    """Axes of the term over which loops outside the nest run: in it each has one value."""

    @property
    def extents(self) -> dict[str, Extent]:
        return {a.name: a.extent for a in (*self.outer, *self.axes)}

    @cached_property
    def slopes(self) -> tuple[Mapping[Atom, int], ...]:
        """Of each read, by how many elements a step along an axis moves it."""
        return tuple(dict(address.offset.terms) for _, address in self.reads)

    @property
    def around(self) -> frozenset[str]:
        """Names of the axes that have a value already where the nest begins."""
        return frozenset(a.name for a in self.outer)


def address_at(address: Address, here: Mapping[str, Affine]) -> Address:
    """The address with affine expressions put in for axes."""
    return replace(address, offset=address.offset.substitute(here))


def nest_at(nest: Nest, here: Mapping[str, Affine], room: str = "") -> Nest:
    """The nest with affine expressions put in for axes where it reads and writes: its axes begin there. What
    lies in the `room` begins with them anyway."""
    reads = ((s, a if a.buffer == room else address_at(a, here)) for s, a in nest.reads)
    return replace(nest, target=nest.target.substitute(here), reads=tuple(reads))


def make_nest(term: Term, target: str, shapes: Shapes, prefix: str, numbered: bool = False) -> Nest:
    """Lay out a term's tensors and hoist what no loop changes; `prefix` keeps local names apart.

    Where the points of the reduction are `numbered`, a number is saved and read elsewhere: a point that
    guards leave out has one too, so that the reduction still runs over all of them."""
    term = without_single_values(term)
    term = term if numbered else within_bounds(term)
    ends = _longest(term)
    term = replace(term, axes=with_lengths(term.axes, _end_name))
    addresses = {s: _address(a, shapes[a.tensor], term.extents) for s, a in term.reads}
    prelude: list[Statement] = [*ends]
    fixed: dict[sympy.Symbol, sympy.Symbol] = {}
    for symbol, address in addresses.items():
        if address.offset.is_constant and not shapes[address.buffer]:
            local = sympy.Symbol(f"{prefix}{local_name(address.buffer)}", real=True)
            prelude.append(Load(local.name, address))
            fixed[symbol] = local
    body = term.body.xreplace(fixed)
    body, lets = _hoist(body, frozenset(fixed.values()), prefix)
    prelude += lets
    reads = tuple((s, a) for s, a in addresses.items() if s not in fixed)
    outer = tuple(a for a in term.axes if a.outer)
    return Nest(
        _inner(term.axes),
        target,
        offset(term.target, shapes[target]),
        _inner(term.target_axes),
        _inner(term.reduction_axes),
        body,
        reads,
        term.guards,
        tuple(prelude),
        term,
        outer,
    )


def within_bounds(term: Term) -> Term:
    """The term whose reductions run from 0 over just the points that guards of one axis allow.

    y[u] += h[t-1,u]·z[t]  for t:28 if t - 1 >= 0   is   y[u] += h[t,u]·z[t+1]  for t:27
    """
    for a in term.reduction_axes:
        own = [guard for guard in term.guards if guard.affine.axes == {a.name}]
        if own and a.extent is not None and all(map(_is_bound, own)):
            inside = interior(replace(term, guards=tuple(own)), a.name)
            if inside:
                guards = tuple(guard for guard in term.guards if guard not in own)
                end = a.end and replace(a.end, shift=a.end.shift - inside.start)
                shorter = replace(a, extent=len(inside), end=end)
                axes = [shorter if one == a else one for one in term.axes]
                shift = {a.name: axis(a.name) + inside.start}
                term = substitute_axes(replace(term, guards=guards), shift, axes)
    return term


def _longest(term: Term) -> Iterator[Statement]:
    """The local integers at which axes end: the longest of the examples at hand."""
    examples = batch_axis(term.axes)
    if examples is not None:
        ends = dict.fromkeys(a.end.lengths for a in term.axes if a.end)
        yield from (longest(name, examples, _end_name(name)) for name in ends)


def longest(lengths: str, examples: Axis, local: str) -> Largest:
    """The largest of the integers `lengths`, one for each example, in a local variable."""
    return Largest(local, examples.name, BATCH, Address(lengths, axis(examples.name)))


def _end_name(lengths: str) -> str:
    return f"{local_name(lengths)}_most"


def _is_bound(guard: Guard) -> bool:
    return guard.kind == ">=" and all(isinstance(atom, str) for atom, _ in guard.affine.terms)


def _inner(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    return tuple(a for a in axes if not a.outer)


def _address(access: Access, shape: Shape, extents: Mapping[str, Extent]) -> Address:
    """Where an access reads, with the tests that a padded one needs (those that intervals do not prove)."""
    where = offset(access.indices, shape)
    if access.outside is None:
        return Address(access.tensor, where)
    tests = []
    for index, extent in zip(access.indices, shape, strict=True):
        if extent is None:
            continue
        low, high = index.interval(extents)
        if low is None or low < 0:
            tests.append(Guard(">=", index))
        if high is None or high >= extent:
            tests.append(Guard(">=", extent - 1 - index))
    return Address(access.tensor, where, tuple(tests), access.outside)


def _hoist(body: sympy.Expr, scalars: frozenset[sympy.Symbol], prefix: str) -> tuple[sympy.Expr, list[Let]]:
    """Name the largest subexpressions of scalars alone: `p / B` becomes `p * s`, with `s = 1 / B`."""
    if not scalars:
        return body, []
    lets: list[Let] = []
    names: dict[sympy.Expr, sympy.Symbol] = {}

    def visit(expression: sympy.Basic) -> sympy.Basic:
        # Most bodies have no scalar, and SymPy looks for symbols anew at every depth.
        if not expression.args or scalars.isdisjoint(expression.free_symbols):
            return expression
        if isinstance(expression, sympy.Add | sympy.Mul):
            fixed = [a for a in expression.args if a.free_symbols <= scalars]
            if any(a.free_symbols for a in fixed) and len(fixed) < len(expression.args):
                rest = [visit(a) for a in expression.args if not a.free_symbols <= scalars]
                return expression.func(name_of(expression.func(*fixed)), *rest)
        # What a choice asks is no number that a name could stand for; its sides are.
        hoisted = expression.free_symbols and expression.free_symbols <= scalars
        if hoisted and not isinstance(expression, Condition):
            return name_of(expression)
        return expression.func(*map(visit, expression.args))

    def name_of(expression: sympy.Expr) -> sympy.Expr:
        if not expression.args:
            return expression
        if expression not in names:
            names[expression] = sympy.Symbol(f"{prefix}scalar_{len(names)}", real=True)
            lets.append(Let(names[expression].name, expression))
        return names[expression]

    return visit(body), lets


def local_name(name: str) -> str:
    """A tensor's name with everything but letters and digits replaced, for locals that hold its values."""
    return "".join(ch if ch.isalnum() else "_" for ch in name)


class Integers:
    """Turns integer reads inside affine expressions into loads of local integers.

    `label[b] + 3` becomes `label_0 + 3`, with `label_0 = label[b]` loaded first; the loads stand in
    `statements` in the order in which they are needed.
    """

    def __init__(self, shapes: Shapes, prefix: str):
        self._shapes = shapes
        self._prefix = prefix
        self._names: dict[IntegerRead, str] = {}
        self.statements: list[Statement] = []

    def local(self, affine: Affine) -> Affine:
        """The expression with every read replaced by a local integer."""
        total = constant(affine.constant)
        for atom, coefficient in affine.terms:
            total = total + self._atom(atom) * coefficient
        return total

    def _atom(self, atom: Atom) -> Affine:
        if isinstance(atom, str):
            return axis(atom)
        if isinstance(atom, IntegerRead):
            if atom not in self._names:
                position = self.local(offset(atom.indices, self._shapes[atom.tensor]))
                name = f"{self._prefix}{local_name(atom.tensor)}_{len(self._names)}"
                self.statements.append(Load(name, Address(atom.tensor, position), integer=True))
                self._names[atom] = name
            return axis(self._names[atom])
        changed = replace(atom, numerator=self.local(atom.numerator))
        return Affine(((changed, 1),))
