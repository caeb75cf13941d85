"""The one representation between a formula and its loops: a tensor program.

    Program     inputs, definitions in order, outputs
    Definition  one tensor: shape, dtype, operation in {sum, max, min, argmax, argmin}, its terms
    Term        for axes, if guards: target[affine, …] (operation)= body(reads)
    Access      tensor[affine, …], and what a read outside the tensor gives
    Guard       affine >= 0, affine == 0, or affine % modulus == 0

A convolution is one term: `for b,h,w,o,p,q,c: y[b,h,w,o] += kernel[p,q,c,o] * x[b, 2*h+p, 2*w+q, c]`.

The body is a SymPy *scalar* expression. Its leaves are plain real symbols, each for one access: SymPy's
`diff` is exact, and sees no index. Meaning of a definition: the tensor starts at the identity of its
operation (0, -inf, inf); every point of every term whose guards hold combines its body into the target. A
write whose target lies outside the tensor is dropped, which is the transpose of a read that gives 0
outside, so that padding needs no rule of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from operator import attrgetter
from typing import Any

import sympy

from compiler.ir.affine.domain import Axis, Guard, Shape
from compiler.ir.affine.expression import Affine, Extent, Read, axis
from compiler.ir.affine.kept_hash import keeps_hash
from compiler.ir.tensor.components import circles_among
from compiler.ir.tensor.kinds import Dtype, Kind, Operation, Role
from compiler.ir.tensor.names import Names, fresh

NAME = attrgetter("name")
IDENTITY = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}


@dataclass(frozen=True)
class Access:
    """A read `tensor[indices]`; `outside` is the value it gives outside, None promises "always inside"."""

    tensor: str
    indices: tuple[Affine, ...]
    outside: float | None = None

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        what = self.tensor if self.outside is None else f"pad({self.tensor}, {self.outside:g})"
        return f"{what}[{', '.join(map(str, self.indices))}]"


@keeps_hash
@dataclass(frozen=True)
class Term:
    """`for axes, if guards: target (operation)= body`; `reads` maps the body's symbols to accesses."""

    axes: tuple[Axis, ...]
    target: tuple[Affine, ...]
    body: sympy.Expr
    reads: tuple[tuple[sympy.Symbol, Access], ...] = ()
    guards: tuple[Guard, ...] = ()

    @property
    def extents(self) -> dict[str, Extent]:
        return {axis.name: axis.extent for axis in self.axes}

    @property
    def target_axes(self) -> tuple[Axis, ...]:
        """Axes that occur in the target map, in domain order."""
        used = frozenset().union(*(index.axes for index in self.target))
        return tuple(axis for axis in self.axes if axis.name in used)

    @property
    def reduction_axes(self) -> tuple[Axis, ...]:
        """Axes that do not occur in the target map: what they range over is combined."""
        used = frozenset().union(*(index.axes for index in self.target))
        return tuple(axis for axis in self.axes if axis.name not in used)

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor this term reads: by the body, by an index, a guard, an end; in order, no repeats."""
        names = [access.tensor for _, access in self.reads]
        names += [read.tensor for affine in self.affines() for read in affine.reads]
        return tuple(dict.fromkeys([*names, *(a.end.lengths for a in self.axes if a.end)]))

    def affines(self) -> tuple[Affine, ...]:
        """Every index expression of the term: target, accesses, guards."""
        of_reads = [index for _, access in self.reads for index in access.indices]
        return (*self.target, *of_reads, *(guard.affine for guard in self.guards))

    def access(self, symbol: sympy.Symbol) -> Access:
        return dict(self.reads)[symbol]


@keeps_hash
@dataclass(frozen=True)
class Definition:
    """One computed tensor. `argmax`/`argmin` give the row-major position of the first winner
    among the reduction axes of its single term, as dtype "index"."""

    name: str
    shape: Shape
    operation: Operation
    terms: tuple[Term, ...]
    dtype: Dtype = "real"
    origin: str = ""
    """The layer that it comes from."""
    role: Role | None = None
    of: str = ""
    """The tensor to which it has its role, which the program may no longer have."""
    at_once: bool = False
    """It runs once, over the whole of the batch, instead of tile by tile, or in a kernel of what does."""

    def made_of(self, name: str, role: Role, **changes: Any) -> Definition:
        """A definition of another name that has a role to this one."""
        return replace(self, name=name, role=role, of=self.name, **changes)

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for term in self.terms for name in term.tensors))


@dataclass(frozen=True)
class Tensor:
    """A tensor that the program is given. Two kinds need no value: a "random" one has the counter-based
    uniform in [0, 1) of (seed, step, stream, element), an "iota" one, of shape (n,), has 0, 1, …, n - 1."""

    name: str
    shape: Shape
    kind: Kind
    dtype: Dtype = "real"
    limit: int | None = None
    """For dtype "index": values lie in [0, limit)."""
    stream: int = 0
    """For kind "random": which of the independent streams."""
    origin: str = ""
    """The layer that it comes from."""
    role: Role | None = None
    of: str = ""
    """As in a definition."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """What is given reads nothing."""
        return ()


@dataclass(frozen=True)
class Program:
    """Given tensors, definitions in an order in which each reads only what stands before it, outputs.

    Definitions that need each other, or themselves, are a circle, whose members stand together: each computes
    a step of its elements from those of earlier steps (`circles.py`)."""

    inputs: tuple[Tensor, ...]
    definitions: tuple[Definition, ...]
    outputs: tuple[str, ...]

    @property
    def entries(self) -> tuple[Tensor | Definition, ...]:
        """All that is given or computed, in order."""
        return (*self.inputs, *self.definitions)

    @cached_property
    def _index(self) -> dict[str, Tensor | Definition]:
        return {entry.name: entry for entry in self.entries}

    def __getitem__(self, name: str) -> Tensor | Definition:
        return self._index[name]

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def shape(self, name: str) -> Shape:
        return self._index[name].shape

    def definition(self, name: str) -> Definition | None:
        """The definition of `name`, None when it is an input."""
        entry = self._index[name]
        return entry if isinstance(entry, Definition) else None

    def names(self) -> Names:
        """Makes names that the program has not."""
        return Names(self._index)

    def fresh(self, wanted: str) -> str:
        """A name that the program has not: `wanted` itself, or that with a number."""
        return fresh(wanted, self._index)

    def find(self, role: Role, of: str) -> str | None:
        """The last tensor that has this role to `of`, None when there is none."""
        return self._by_role.get((role, of))

    @cached_property
    def _by_role(self) -> dict[tuple[Role | None, str], str]:
        return {(entry.role, entry.of): entry.name for entry in self._index.values()}

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Where each definition stands."""
        return positions_of(self.definitions)

    @cached_property
    def results(self) -> frozenset[str]:
        """The outputs, to look up."""
        return frozenset(self.outputs)

    @cached_property
    def readers(self) -> dict[str, tuple[Definition, ...]]:
        """The definitions that read each tensor, in order; nobody reads a name that is not there."""
        found: defaultdict[str, list[Definition]] = defaultdict(list)
        for definition in self.definitions:
            for name in definition.tensors:
                found[name].append(definition)
        return defaultdict(tuple, {name: tuple(readers) for name, readers in found.items()})

    @cached_property
    def circle_of(self) -> Mapping[str, tuple[str, ...]]:
        """For each definition that needs itself: all that are in its circle, in order."""
        places = self.positions
        if not any(places.get(n, -1) >= k for k, d in enumerate(self.definitions) for n in d.tensors):
            return {}
        found = circles_among({d.name: d.tensors for d in self.definitions})
        return {name: names for names in found for name in names}

    def in_one_circle(self, one: str, other: str) -> bool:
        """Whether both need each other: what is put of one into the other is read of another step."""
        return other in self.circle_of.get(one, ())

    @cached_property
    def batch_size(self) -> str | None:
        """The given tensor that holds the size of the batch, if there is one."""
        return next((tensor.name for tensor in self.inputs if tensor.kind == "batch_size"), None)

    def replace(self, **changes: Any) -> Program:
        return replace(self, **changes)

    def with_definitions(self, definitions: Iterable[Definition]) -> Program:
        return replace(self, definitions=tuple(definitions))


def positions_of(definitions: Iterable[Definition]) -> dict[str, int]:
    """Where each definition stands."""
    return dict(zip(map(NAME, definitions), count(), strict=False))


def read_symbol(position: int) -> sympy.Symbol:
    """The canonical symbol of a term's read number `position`."""
    return sympy.Symbol(f"r{position}", real=True)


class Reads:
    """Interns accesses while a body is built: the same access is always the same symbol."""

    def __init__(self, reads: Iterable[tuple[sympy.Symbol, Access]] = ()):
        self._symbols: dict[Access, sympy.Symbol] = {}
        self._taken: set[sympy.Symbol] = set()
        for symbol, access in reads:
            self._symbols[access] = symbol
            self._taken.add(symbol)

    def symbol(self, access: Access) -> sympy.Symbol:
        """The symbol that stands for `access`."""
        if access not in self._symbols:
            position = len(self._symbols)
            while read_symbol(position) in self._taken:
                position += 1
            self._symbols[access] = read_symbol(position)
            self._taken.add(read_symbol(position))
        return self._symbols[access]

    def body_of(self, term: Term) -> sympy.Expr:
        """The body of a term, with what it reads among these."""
        return term.body.xreplace({symbol: self.symbol(access) for symbol, access in term.reads})

    def pairs(self) -> tuple[tuple[sympy.Symbol, Access], ...]:
        return tuple((symbol, access) for access, symbol in self._symbols.items())


def element_axes(shape: Shape) -> tuple[Axis, ...]:
    """Axes i0, i1, … that run over every element of a tensor of this shape."""
    return tuple(Axis(f"i{k}", extent) for k, extent in enumerate(shape))


def zero_term(shape: Shape) -> Term:
    """A term that adds 0 to every element of a tensor of this shape."""
    axes = element_axes(shape)
    return make_term(axes, tuple(axis(a.name) for a in axes), sympy.S.Zero)


def move_term(
    axes: Iterable[Axis], target: Iterable[Affine], source: Access, guards: Iterable[Guard] = ()
) -> Term:
    """A term that reads one value and adds it as it is: `target += source`."""
    return make_term(axes, target, read_symbol(0), [(read_symbol(0), source)], guards)


def make_term(
    axes: Iterable[Axis],
    target: Iterable[Affine],
    body: sympy.Expr,
    reads: Iterable[tuple[sympy.Symbol, Access]] = (),
    guards: Iterable[Guard] = (),
) -> Term:
    """A canonical term: unused reads dropped, equal accesses merged, symbols renamed r0, r1, … in an
    order fixed by the accesses' printed form, so that equal terms compare (and print) equal."""
    body = sympy.sympify(body)
    used = body.free_symbols
    pairs = sorted(((s, access) for s, access in reads if s in used), key=lambda pair: str(pair[1]))
    canonical: dict[Access, sympy.Symbol] = {}
    renaming: dict[sympy.Symbol, sympy.Symbol] = {}
    for symbol, access in pairs:
        canonical.setdefault(access, read_symbol(len(canonical)))
        renaming[symbol] = canonical[access]
    ordered = tuple((symbol, access) for access, symbol in canonical.items())
    merged = body.xreplace(renaming)
    if not merged.free_symbols.issuperset(symbol for symbol, _ in ordered):
        # Accesses that turned out equal have cancelled: number what is left anew.
        return make_term(axes, target, merged, ordered, guards)
    return Term(tuple(axes), tuple(target), merged, ordered, tuple(dict.fromkeys(guards)))


def integer_reads(affines: Iterable[Affine]) -> tuple[Read, ...]:
    """Every integer-tensor read in these expressions, without repeats."""
    return tuple(dict.fromkeys(read for affine in affines for read in affine.reads))


@dataclass(frozen=True)
class Rewrite:
    """One step that a stage took: what the documentation, the tests and `--dump-after` read.

    What is explained is what happened: `before` and `after` are printed from the very objects."""

    rule: str
    before: str
    after: str
    why: str
    old: tuple[Definition, ...] = field(default=(), compare=False, repr=False)
    """What was there, where the step is one from definitions to definitions …"""
    new: tuple[Definition, ...] = field(default=(), compare=False, repr=False)
    """… and what is there instead, each in an order in which it reads only what stands before it."""

    def __str__(self) -> str:
        return f"[{self.rule}] {self.before}\n    -> {self.after}\n    because {self.why}"
