"""What a module is written and built for: a machine model, and what its C is made of.

A target is data. A backend writes plain C, in vectors of the C compiler, and puts the target's own words
where it has some: the generic text stands beside them, behind `#else`, so that a module builds with
any C compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.machine.machine import Machine


@dataclass(frozen=True)
class Partial:
    """The first lanes of a vector in memory, in one instruction, where the C compiler defines `macro`.

    C expressions: `load` gives a vector of which the first `n` lanes are the reals at `p`, and the others 0;
    `store` writes the first `n` lanes of `v` to `p`."""

    macro: str
    load: str
    store: str


@dataclass(frozen=True)
class Widening:
    """Bytes to the integers of a vector, one for each lane, where the C compiler defines `macro`.

    `wide` is a C expression of `few`, a variable of the type `few` that as many bytes as there are lanes are
    copied into; the rest of it is 0."""

    macro: str
    few: str
    wide: str


@dataclass(frozen=True)
class Pairs:
    """Pairs of bfloat16 in the bits of float32, where the C compiler defines `macro`.

    C expressions: `pair` of the vectors `low` and `high`, lane by lane; `neighbours` of `first` and then of
    `second`; `products` adds to `sum` both products of the pairs `a` and `b`."""

    macro: str
    pair: str
    neighbours: str
    products: str


@dataclass(frozen=True)
class Intrinsics:
    """The target's words for vectors of so many bytes of a dtype; what it has none for is plain C."""

    vector_bytes: int
    dtype: str
    partial: Partial | None = None
    widening: Widening | None = None
    pairs: Pairs | None = None


@dataclass(frozen=True)
class Processor:
    """What `native` can mean: a machine model, known by the macros that a C compiler predefines for it.

    `known_by` are sets of macros, each of which is enough."""

    name: str
    known_by: tuple[tuple[str, ...], ...]
    machine: Machine


@dataclass(frozen=True)
class Target:
    """A machine model under the name that compilers have for it, and what C for it is made of.

    `flags` are for the C compiler. `native_flags` ask it for this very processor, on machines that
    Python's `platform.machine()` calls one of `architectures` (lower case). `headers` are lines of C. A C
    compiler that defines the macro `bfloat16` has a processor with products of such numbers."""

    name: str
    machine: Machine
    flags: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    native_flags: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    intrinsics: tuple[Intrinsics, ...] = ()
    processors: tuple[Processor, ...] = ()
    bfloat16: str = ""

    def words(self, vector_bytes: int, dtype: str) -> Intrinsics:
        """The target's own words for a vector type; none of its own where the table has no row."""
        rows = (row for row in self.intrinsics if (row.vector_bytes, row.dtype) == (vector_bytes, dtype))
        return next(rows, Intrinsics(vector_bytes, dtype))

    def native(self, processor: Processor, macros: frozenset[str]) -> Target:
        """This target for the processor that the C compiler itself runs on, for which it defines these."""
        machine = replace(processor.machine, bfloat16=self.bfloat16 in macros)
        return replace(self, name="native", machine=machine, flags=self.native_flags)
