"""Checks a kernel between any two steps that make it.

    verify_kernel(kernel, sizes, limits)     raises CompilerBug, naming the statement, or returns nothing

What holds for a verified kernel: every local variable has a value wherever it is read, and one type; vectors
meet vectors of as many lanes; integers are loaded from integers and stored to them; lists are declared, and
entries are of their form; only what is written is written; and each access that no list decides is proven to
stay inside its buffer (`bounds`). What a list decides, the interpreter checks (`interpret`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

import sympy

from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.bounds import Sizes, leaving
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Buckets,
    Buffer,
    Choose,
    Chunks,
    Collect,
    Each,
    Fill,
    If,
    Index,
    Kernel,
    Lanes,
    Largest,
    Let,
    Lists,
    Load,
    Loop,
    Mask,
    Pick,
    Points,
    Random,
    Span,
    Statement,
    Store,
    Transpose,
)
from compiler.ir.loops.kinds import INTEGER, Kind
from compiler.ir.loops.text import print_statement
from compiler.ir.loops.walk import bodies, names_set, names_used, parts
from compiler.ir.scalar.conditions import Comparison


def verify_kernel(kernel: Kernel, sizes: Sizes, limits: Mapping[str, int]) -> None:
    """Raise CompilerBug for the first thing that is wrong. `sizes` gives for each tensor its elements, as an
    affine of the batch; `limits` for each integer tensor the number below which its values are."""
    for message in violations(kernel, sizes, limits):
        raise CompilerBug(f"kernel {kernel.name}: {message}")


def violations(kernel: Kernel, sizes: Sizes, limits: Mapping[str, int]) -> Iterator[str]:
    """Everything that is wrong with a kernel, in its order; bounds only where nothing else is."""
    yield from _Verifier(kernel).violations() or leaving(kernel, sizes, limits)


@dataclass
class _Verifier:
    kernel: Kernel
    kinds: dict[str, Kind] = field(default_factory=dict)
    """Of every local variable that was met."""
    padded: set[str] = field(default_factory=set)
    """Vectors whose lanes beyond their width may be anything: they are no products of what was loaded."""
    lists: dict[str, Lists] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        names = Counter(buffer.name for buffer in self.kernel.buffers)
        self.messages += [f"buffer {name} is there {n} times" for name, n in names.items() if n > 1]
        self.buffers = {buffer.name: buffer for buffer in self.kernel.buffers}
        given = ["batch"] if self.kernel.per_example else []
        given += ["part", "parts"] if self.kernel.shared else []
        for name in given:
            self.kinds[name] = INTEGER
        self.block(self.kernel.body, frozenset(given))
        return self.messages

    def block(self, body: Body, known: frozenset[str]) -> frozenset[str]:
        """Checks a body where so many variables have a value; which of them have one behind it."""
        for statement in body:
            for message in self.statement(statement, known):
                self.messages.append(f"`{print_statement(statement)}`: {message}")
            inside = known | {*names_set(statement)}
            after = [self.block(one, inside) for one in bodies(statement)]
            if isinstance(statement, If):
                known = known | frozenset.intersection(*after)
            elif not after:
                known = inside
            # What a loop sets may not be there behind it: it may not have run.
        return known

    def statement(self, statement: Statement, known: frozenset[str]) -> Iterator[str]:
        yield from self.names(statement, known)
        for address in parts(statement, Address):
            if address.buffer not in self.buffers:
                yield f"there is no buffer {address.buffer}"
                return
        yield from _CHECKS[type(statement)](self, statement)

    def names(self, statement: Statement, known: frozenset[str]) -> Iterator[str]:
        """Everything that is read has a value."""
        used = dict.fromkeys(names_used(statement))
        value = getattr(statement, "value", None)
        if isinstance(value, sympy.Basic):
            used.update(dict.fromkeys(sorted(symbol.name for symbol in value.free_symbols)))
        if isinstance(statement, Let) and statement.update:
            used[statement.name] = None
        for name in used:
            if name not in known:
                yield f"{name} may have no value here"
        for name in sorted(frozenset().union(*(affine.axes for affine in parts(statement, Affine)))):
            if name not in known:
                # The variable of a list of points, or of a search, runs in the statement itself.
                if not (isinstance(statement, Points | Largest) and name == statement.variable):
                    yield f"{name} may have no value here"
            elif self.kinds.get(name, INTEGER).element != "integer":
                yield f"{name} is {self.kinds[name]}, and is used as an index"

    def declare(self, name: str, kind: Kind) -> Iterator[str]:
        if (before := self.kinds.setdefault(name, kind)) != kind:
            yield f"{name} is {kind} here and {before} elsewhere"

    def buffer(self, address: Address) -> Buffer:
        return self.buffers[address.buffer]

    def real(self, value: sympy.Expr, width: int, *, vector: bool) -> Iterator[str]:
        """An expression is of so many lanes; with `vector` it must hold a vector, not numbers alone."""
        names = [symbol.name for symbol in value.free_symbols]
        widths = {self.kinds[name].width for name in names if name in self.kinds} - {0}
        for other in sorted(widths - {width}):
            yield f"a vector of {other} lanes is used where there are {width or 'none'}"
        if vector and width and not widths:
            yield "a number alone is no vector"
        asked = {s.name for comparison in value.atoms(Comparison) for s in comparison.free_symbols}
        for name in sorted(names):
            if self.kinds.get(name, Kind("real")).element == "integer" and name not in asked:
                yield f"{name} is an integer, and is used as a real number"

    def written(self, name: str) -> Iterator[str]:
        if name not in self.buffers:
            yield f"there is no buffer {name}"
        elif not self.buffers[name].written:
            yield f"{name} is not to be written"

    def listed(self, lists: Lists) -> Iterator[str]:
        if self.lists.get(lists.name) != lists:
            yield f"there are no lists {lists.name} of this form"

    def zero_beyond(self, value: sympy.Expr) -> bool:
        """Whether the lanes beyond the width are 0, if those of all other vectors are."""
        vectors = [s for s in value.free_symbols if self.kinds.get(s.name, Kind("real")).width]
        plain = not any(symbol.name in self.padded for symbol in vectors)
        return plain and value.xreplace(dict.fromkeys(vectors, sympy.S.Zero)) == 0


def _loop(self: _Verifier, loop: Loop) -> Iterator[str]:
    yield from self.declare(loop.variable, INTEGER)
    limits = (*loop.lower, *loop.upper)
    if loop.step < 1 or not loop.lower or not loop.upper or any(limit.divisor < 1 for limit in limits):
        yield "malformed bounds"
    if loop.shared:
        zero = len(loop.lower) == 1 and loop.lower[0].affine == Affine()
        if not (zero and len(loop.upper) == 1 and loop.upper[0].affine.is_constant):
            yield "a shared loop runs from 0 to a constant"
        if not self.kernel.shared:
            yield "a loop is shared in a kernel that is not"


def _if(self: _Verifier, statement: If) -> Iterator[str]:
    if not statement.tests and statement.nonzero is None:
        yield "nothing is tested"
    if any(guard.kind == "%" and guard.modulus < 1 for guard in statement.tests):
        yield "malformed test"
    if statement.nonzero in self.kinds and self.kinds[statement.nonzero] != Kind("real"):
        yield f"{statement.nonzero} is {self.kinds[statement.nonzero]}, expected a real scalar"


def _load(self: _Verifier, load: Load) -> Iterator[str]:
    yield from self.declare(load.name, Kind("integer" if load.integer else "real", load.width))
    self.padded.discard(load.name)
    element = self.buffer(load.address).element
    if (element == "real") == load.integer:
        yield f"{load.address.buffer} holds {element} values"
    if load.width and (load.address.inside or load.integer):
        yield "vectors are loaded of real numbers and without a test"


def _let(self: _Verifier, let: Let) -> Iterator[str]:
    yield from self.declare(let.name, Kind("real", let.width))
    yield from self.real(let.value, let.width, vector=False)
    if not self.zero_beyond(let.value):
        self.padded.add(let.name)
    elif not let.update:
        self.padded.discard(let.name)


def _mask(self: _Verifier, mask: Mask) -> Iterator[str]:
    yield from self.declare(mask.name, Kind("real", mask.width))
    yield from _of_integers(self, mask.address, mask.width)


def _pick(self: _Verifier, pick: Pick) -> Iterator[str]:
    yield from self.declare(pick.name, Kind("real", pick.width))
    yield from _of_integers(self, pick.address, pick.width)
    if any(self.kinds.get(value) != Kind("real", pick.width) for value in pick.values):
        yield f"picks from what is no vector of {pick.width}"
    self.padded.add(pick.name)


def _transpose(self: _Verifier, transpose: Transpose) -> Iterator[str]:
    if len(set(transpose.values)) != transpose.width:
        yield f"{transpose.width} different vectors are a square"
    if any(self.kinds.get(value) != Kind("real", transpose.width) for value in transpose.values):
        yield f"transposes what is no vector of {transpose.width}"
    if self.padded & set(transpose.values):
        yield "transposes lanes that may be anything"


def _of_integers(self: _Verifier, address: Address, width: int) -> Iterator[str]:
    if self.buffer(address).element == "real":
        yield f"{address.buffer} holds no integers"
    if not width:
        yield "a vector is expected"


def _lanes(self: _Verifier, lanes: Lanes) -> Iterator[str]:
    yield from self.declare(lanes.name, Kind("real"))
    if self.kinds.get(lanes.vector) != Kind("real", lanes.width) or not lanes.width:
        yield f"{lanes.vector} is no vector of {lanes.width}"
    elif lanes.vector in self.padded:
        yield f"the lanes of {lanes.vector} beyond the last may not be 0"


def _index(self: _Verifier, index: Index) -> Iterator[str]:
    yield from self.declare(index.name, Kind("integer", index.width))
    if index.width and not index.value.is_constant:
        yield "a vector of integers starts from a number"


def _largest(self: _Verifier, largest: Largest) -> Iterator[str]:
    for name in names_set(largest):
        yield from self.declare(name, INTEGER)
    if self.buffer(largest.address).element == "real" or largest.address.inside:
        yield "the largest is found of integers, all of which are there"


def _choose(self: _Verifier, choose: Choose) -> Iterator[str]:
    yield from self.declare(choose.name, Kind("real", choose.width))
    yield from self.real(choose.value, choose.width, vector=True)
    if choose.better not in ("<", ">"):
        yield f"nothing is {choose.better}"
    if choose.winner is not None:
        yield from self.declare(choose.winner, Kind("integer", choose.width))


def _store(self: _Verifier, store: Store) -> Iterator[str]:
    yield from self.written(store.address.buffer)
    element = self.buffer(store.address).element
    if not isinstance(store.value, Affine):
        if element != "real":
            yield f"a real number is stored to {element} integers"
        yield from self.real(store.value, store.width, vector=True)
        return
    if store.accumulate:
        yield "integers are stored, not added"
    widths = {self.kinds.get(name, INTEGER).width for name in store.value.axes}
    if store.width and (store.value.single_axis is None or widths != {store.width} or element == "real"):
        yield f"no vector of {store.width} integers"
    if not store.width and widths - {0}:
        yield "a vector is stored to one element"


def _filled(self: _Verifier, filled: Fill | Random) -> Iterator[str]:
    yield from self.written(filled.buffer)
    real = all(b.element == "real" for b in self.kernel.buffers if b.name == filled.buffer)
    if isinstance(filled, Random) and not real:
        yield f"{filled.buffer} holds no real numbers"


def _lists(self: _Verifier, lists: Lists) -> Iterator[str]:
    if lists.buckets < 1 or lists.capacity < 1 or lists.integers < 0:
        yield "malformed lists"
    if self.lists.setdefault(lists.name, lists) != lists:
        yield f"other lists are called {lists.name}"


def _collect(self: _Verifier, collect: Collect) -> Iterator[str]:
    yield from self.listed(collect.lists)
    if len(collect.integers) != collect.lists.integers:
        yield f"an entry has {collect.lists.integers} integers, not {len(collect.integers)}"
    if self.kinds.get(collect.value, Kind("real")) != Kind("real"):
        yield f"{collect.value} is no real scalar"


def _points(self: _Verifier, points: Points) -> Iterator[str]:
    yield from self.listed(points.lists)
    yield from self.declare(points.variable, INTEGER)
    if points.lists.buckets != 1 or points.lists.integers != 1 or not points.addresses:
        yield "points are listed in one list, each as an integer"
    if any(self.buffer(address).element != "real" for address in points.addresses):
        yield "real numbers are compared with 0"


def _buckets(self: _Verifier, buckets: Buckets | Chunks) -> Iterator[str]:
    yield from self.listed(buckets.lists)
    yield from self.declare(buckets.variable, INTEGER)


def _chunks(self: _Verifier, chunks: Chunks) -> Iterator[str]:
    yield from _buckets(self, chunks)
    yield from _spanned(chunks.span)
    if chunks.size < 1:
        yield "malformed chunks"


def _each(self: _Verifier, each: Each) -> Iterator[str]:
    yield from self.listed(each.lists)
    yield from _spanned(each.span)
    if len(each.integers) != each.lists.integers:
        yield f"an entry has {each.lists.integers} integers, not {len(each.integers)}"
    for name in each.integers:
        yield from self.declare(name, INTEGER)
    if each.value is not None:
        yield from self.declare(each.value, Kind("real"))


def _spanned(span: Span | None) -> Iterator[str]:
    if span is not None and not 0 <= span.first < span.end:
        yield "malformed span"


_CHECKS = dict(zip(get_args(Statement), (
    _loop, _if, _load, _let, _mask, _pick, _transpose, _lanes, _index, _largest, _choose, _store,
    lambda self, fetch: self.written(fetch.address.buffer),
    _filled, _filled, _lists, _collect, _points, _buckets, _chunks, _each,
), strict=True))  # fmt: skip
"""In the order in which the grammar lists the statements."""
