"""Checks the invariants of a tensor program, between any two stages.

    verify(program)     raises CompilerBug, naming the definition and the term, or returns nothing

What holds for a verified program: every name is defined once and before it is read; every axis is bound
once; circles go in steps; every read without a value for "outside" stays inside its tensor wherever the
term's guards hold; integer reads keep their declared limits; the batch dimension is indexed by the batch axis
alone. So neither the interpreter nor a kernel generated from the program ever reads outside a tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine, Read
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.scalar.choices import NOT_NUMBERS
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.circles import NoOrder, circle_of, problem_of
from compiler.ir.tensor.kinds import SCALAR_KINDS, Dtype, Kind, Operation, Role
from compiler.ir.tensor.printer import integer_limits, print_affine, print_term, window_size
from compiler.ir.tensor.program import Definition, Program, Shape, Tensor, Term
from compiler.ir.tensor.stepwise import has_plain_steps

Sound = dict[int, tuple[Definition, "Stands"]]
"""Definitions that were found right, by `id`, each with what stood before it of what it reads: a pass leaves
most of a program as it was. They are kept, so that no id is used twice."""


def verify(program: Program, sound: Sound | None = None) -> None:
    """Raise CompilerBug for the first invariant that the program breaks. What is known to be `sound` is not
    looked at again, and what is found to be so is added."""
    for message in violations(program, sound):
        raise CompilerBug(message)


def violations(program: Program, sound: Sound | None = None) -> Iterator[str]:
    """Every broken invariant, in program order; of definitions that are not known to be `sound`."""
    sound = {} if sound is None else sound
    names = [*(tensor.name for tensor in program.inputs), *(d.name for d in program.definitions)]
    yield from (f"{name}: defined {n} times" for name, n in sorted(Counter(names).items()) if n > 1)
    for tensor in program.inputs:
        yield from (f"{tensor.kind} {tensor.name}: {message}" for message in _tensor(tensor))
    limits = integer_limits(program)
    known = {
        tensor.name: _Known(tensor.shape, tensor.dtype, limits.get(tensor.name)) for tensor in program.inputs
    }
    computed = {d.name: _Known(d.shape, d.dtype, limits.get(d.name)) for d in program.definitions}
    for definition in program.definitions:
        yield from (f"{definition.name}: {message}" for message in _definition(definition))
        # A member of a circle may read all of it; of which steps is looked at for the circle as a whole.
        known.update((name, computed[name]) for name in program.circle_of.get(definition.name, ()))
        before = tuple((n, known[n]) for n in definition.tensors if n in known)
        found_before = sound.get(id(definition))
        if found_before is None or found_before[1] != before:
            wrong = _of_terms(definition, before)
            yield from wrong
            if not wrong:
                sound[id(definition)] = definition, before
        known[definition.name] = computed[definition.name]
    yield from _circles(program)
    yield from (f"output {name} is not defined" for name in program.outputs if name not in known)


def _circles(program: Program) -> Iterator[str]:
    """The members of a circle stand together, in plain steps, and no read goes forward."""
    for names in dict.fromkeys(program.circle_of.values()):
        first = program.positions[names[0]]
        members = program.definitions[first : first + len(names)]
        if tuple(member.name for member in members) != names:
            yield f"{', '.join(names)}: something else stands among the members of the circle"
            return
        circle = circle_of(members)
        if isinstance(circle, NoOrder):
            yield f"{names[0]}: {problem_of(circle)}"
            return
        for member in members:
            for number, term in enumerate(member.terms, 1):
                if not has_plain_steps(term, member.shape, circle.carried(member.name)):
                    yield f"{member.name}, term {number}: a step writes more than its own slice"


@dataclass(frozen=True)
class _Known:
    """What a reader relies on of a tensor that stands before it."""

    shape: Shape
    dtype: Dtype
    limit: int | None


Stands = tuple[tuple[str, _Known], ...]
"""What definitions read, with what stands of each before them."""


@lru_cache(maxsize=4096)
def _of_terms(definition: Definition, known: Stands) -> tuple[str, ...]:
    """What is wrong with the terms of a definition that reads what is `known`.

    Kept, because most definitions go through a pass unchanged, and the programs of a module share them."""
    limits = {name: entry.limit for name, entry in known if entry.limit is not None}
    found = []
    for number, term in enumerate(definition.terms, 1):
        for message in _Term(definition, term, dict(known), limits).violations():
            line = print_term(term, definition.operation, limits)
            found.append(f"{definition.name}, term {number}: {message}\n    {line}")
    return tuple(found)


def _tensor(tensor: Tensor) -> Iterator[str]:
    if tensor.kind not in get_args(Kind):
        yield f"unknown kind {tensor.kind!r}"
    if (tensor.dtype == "index") != (tensor.limit is not None):
        yield "a limit belongs to dtype index, and dtype index needs one"
    if tensor.kind in SCALAR_KINDS and (tensor.shape or tensor.dtype != "real"):
        yield "a scalar is a real tensor of no dimension"
    yield from _role(tensor)
    if tensor.kind == "iota" and (
        len(tensor.shape) != 1 or has_batch(tensor.shape) or tensor.dtype != "real"
    ):
        yield "the values of an axis are a real tensor of one dimension of known extent"
    yield from _shape(tensor.shape)


def _definition(definition: Definition) -> Iterator[str]:
    if definition.operation not in get_args(Operation):
        yield f"unknown operation {definition.operation!r}"
    chooses = definition.operation in ("argmax", "argmin")
    if chooses and len(definition.terms) != 1:
        yield f"{definition.operation} over {len(definition.terms)} terms: a winner is defined for one"
    elif chooses and window_size(definition) is None:
        yield f"{definition.operation} over the batch: the number of positions must be known"
    if chooses != (definition.dtype == "index"):
        yield f"{definition.operation} of dtype {definition.dtype}: winners alone are of dtype index"
    if definition.at_once and chooses:
        yield "no winner is found over the whole of the batch at once"
    yield from _role(definition)
    yield from _shape(definition.shape)


def _role(entry: Tensor | Definition) -> Iterator[str]:
    if (entry.role is None) != (not entry.of):
        yield "a role is to a tensor, and nothing is of a tensor without one"
    elif entry.role is not None and entry.role not in get_args(Role):
        yield f"unknown role {entry.role!r}"


def _shape(shape: Shape) -> Iterator[str]:
    if any(extent is not None and extent < 1 for extent in shape):
        yield f"empty shape {shape}"


class _Term:
    """The checks of one term. `known` holds what stands before its definition."""

    def __init__(
        self,
        definition: Definition,
        term: Term,
        known: Mapping[str, _Known],
        limits: Mapping[str, int],
    ):
        self.definition, self.term, self.known, self.limits = definition, term, known, limits
        self.extents = term.extents

    def violations(self) -> Iterator[str]:
        """Later checks take the earlier ones for granted, so the first group that fails is the last."""
        for group in (self.binding, self.symbols, self.tensors, self.ranks, self.batch, self.bounds):
            found = list(group())
            yield from found
            if found:
                return

    def binding(self) -> Iterator[str]:
        """Every axis is bound once; guards are well formed."""
        for name, number in Counter(axis.name for axis in self.term.axes).items():
            if number > 1:
                yield f"axis {name} is bound {number} times"
        for axis in self.term.axes:
            if axis.extent is not None and axis.extent < 1:
                yield f"axis {axis} is empty"
        for name in sorted(frozenset().union(*(affine.axes for affine in self.term.affines()))):
            if name not in self.extents:
                yield f"axis {name} is not bound"
        for guard in self.term.guards:
            if guard.kind not in (">=", "==", "%") or (guard.kind == "%" and guard.modulus < 1):
                yield f"malformed guard {guard}"

    def symbols(self) -> Iterator[str]:
        """The body's symbols and the reads are the same; no access is read under two symbols."""
        if not isinstance(self.term.body, sympy.Expr):
            yield f"the body is not a scalar expression: {self.term.body!r}"
            return
        for number in sorted(self.term.body.atoms(*NOT_NUMBERS), key=str):
            yield f"the body holds {number}, which no float computation may start from: {self.term.body}"
        read = Counter(symbol for symbol, _ in self.term.reads)
        used = self.term.body.free_symbols
        for symbol in sorted(used - read.keys(), key=str):
            yield f"symbol {symbol} of the body stands for no read"
        for symbol in sorted(read.keys() - used, key=str):
            yield f"the body does not use {symbol}, the read {self.term.access(symbol)}"
        for symbol in (symbol for symbol, number in read.items() if number > 1):
            yield f"symbol {symbol} stands for several reads"
        for access, number in Counter(access for _, access in self.term.reads).items():
            if number > 1:
                yield f"{number} symbols stand for {access}"

    def tensors(self) -> Iterator[str]:
        """What is read stands before; what serves as an index is of dtype index, with its own limit."""
        for name in self.term.tensors:
            if name not in self.known:
                yield f"{name} is read before it is defined"
        for read in self.integer_reads():
            entry = self.known.get(read.tensor)
            if entry is None:
                continue
            if entry.dtype != "index":
                yield f"{read} is used as an index, but {read.tensor} is of dtype {entry.dtype}"
            elif read.extent != self.limits.get(read.tensor):
                limit = self.limits.get(read.tensor)
                yield f"{read} is taken to be below {read.extent}, but {read.tensor} has the limit {limit}"

        for axis in self.term.axes:
            ends = self.known.get(axis.end.lengths) if axis.end else None
            if axis.end is None or ends is None:
                continue
            if ends.dtype != "index" or ends.shape != (None,) or axis.end.shift > 0:
                yield f"axis {axis} ends at no length of an example: {axis.end}"
            elif axis.extent is None or sum(a.extent is None for a in self.term.axes) != 1:
                yield f"axis {axis} ends at the length of no example of the term"

    def integer_reads(self) -> list[Read]:
        return list(dict.fromkeys(read for affine in self.term.affines() for read in affine.reads))

    def places(self) -> Iterator[tuple[str, tuple[Affine, ...], Shape]]:
        """Everything that is indexed: (how it is printed, its indices, its shape)."""
        yield f"the target {self.definition.name}", self.term.target, self.definition.shape
        for _, access in self.term.reads:
            yield str(access), access.indices, self.known[access.tensor].shape
        for read in self.integer_reads():
            yield str(read), read.indices, self.known[read.tensor].shape

    def ranks(self) -> Iterator[str]:
        for text, indices, shape in self.places():
            if len(indices) != len(shape):
                yield f"{text} has {len(indices)} indices, its tensor has {len(shape)}"

    def batch(self) -> Iterator[str]:
        """A batch dimension is indexed by a bare batch axis, everywhere."""
        for text, indices, shape in self.places():
            for index, extent in zip(indices, shape, strict=True):
                if extent is None and not self.is_batch(index):
                    yield f"{text}: the batch dimension is indexed by {index}, not by a batch axis alone"

    def is_batch(self, index: Affine) -> bool:
        return index.single_axis is not None and self.extents[index.single_axis] is None

    def bounds(self) -> Iterator[str]:
        """Reads stay inside where they must; so does the target of an argmax, of which nothing is dropped."""
        facts = [fact for guard in self.term.guards for fact in facts_of(guard)]
        for _, access in self.term.reads:
            if access.outside is None:
                shape = self.known[access.tensor].shape
                yield from self.leaving(str(access), access.indices, shape, facts)
        if self.definition.dtype == "index":
            yield from self.leaving("the target", self.term.target, self.definition.shape, [])
        for affine in (*self.term.target, *(i for _, access in self.term.reads for i in access.indices)):
            yield from self.inner_reads(affine, facts)
        for guard in self.term.guards:
            # A guard is tested after the guards with fewer reads: only those may be relied on.
            sooner = [g for g in self.term.guards if len(g.affine.reads) < len(guard.affine.reads)]
            yield from self.inner_reads(guard.affine, [fact for g in sooner for fact in facts_of(g)])

    def inner_reads(self, affine: Affine, facts: list[Affine]) -> Iterator[str]:
        for read in affine.reads:
            yield from self.leaving(str(read), read.indices, self.known[read.tensor].shape, facts)

    def leaving(
        self, text: str, indices: Sequence[Affine], shape: Shape, facts: list[Affine]
    ) -> Iterator[str]:
        for index, extent in zip(indices, shape, strict=True):
            if extent is None:
                continue
            printed = print_affine(index, self.limits)
            if not is_nonnegative(index, self.extents, facts):
                yield f"{text}: cannot prove {printed} >= 0"
            if not is_nonnegative(extent - 1 - index, self.extents, facts):
                yield f"{text}: cannot prove {printed} < {extent}"
