"""Loop nests: what a schedule produces and the emitter prints, still free of any language's syntax.

    Loop      for variable in range(max(lower), min(upper), step): body
    If        if all tests: body, else: otherwise
    Load      name = buffer[offset]            (a scalar, a vector, or the first lanes of one)
    Let       name = expression                (SymPy over local names)
    Mask      name = name where integers[offset] == affine, else 0
    Pick      name = values[integers[offset]]  (of every lane)
    Transpose lane c of vector r and lane r of vector c change places
    Lanes     name = sum of the lanes of a vector
    Index     name = affine                    (an integer)
    Largest   name = the largest of integers, 0 where there are none
    Store     buffer[offset] (+)= expression
    Fetch     buffer[offset] is asked for: it will soon be wanted
    Fill      buffer[offset : offset + count] = 0
    Random    buffer[0 : count] = counter-based uniforms
    Lists     empty lists of (real value, integers), one for each bucket
    Collect   append an entry to a bucket's list, unless its value is zero
    Points    list the values of a variable for which not all of some elements are zero
    Buckets   for each bucket whose list is not empty: body
    Chunks    for each so many entries of a bucket's list: body
    Each      for each entry of a bucket's list, or of a chunk of it: body

Offsets are affine in loop variables and count elements. `batch` is a variable of every kernel: the
number of examples in the tile at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import sympy

from compiler.ir.affine.expression import Affine, constant
from compiler.ir.affine.kept_hash import keeps_hash
from compiler.ir.tensor.program import Guard

Expression: TypeAlias = sympy.Expr
Width = int
"""Lanes of a value: 0 is a scalar, the machine's vector length a whole vector, between them a partial one."""
Set = Annotated[str, "set"]
"""The name of a local variable to which the statement gives a value, or for each pass of its body one."""
Used = Annotated[str, "used"]
"""The name of a local variable that has one, beside those in expressions."""
Updated = Annotated[str, "set", "used"]
"""The name of a local variable whose value the statement changes."""


@dataclass(frozen=True)
class Limit:
    """`⌊affine / divisor⌋`, or `⌈affine / divisor⌉` when it is a lower bound."""

    affine: Affine
    divisor: int = 1


@dataclass(frozen=True)
class Loop:
    """`for variable in range(max(lower…), min(upper…), step)`; `upper` is exclusive.

    A `shared` loop runs from 0 to a constant, and does part number `part` of `parts` of its steps.
    """

    variable: Set
    lower: tuple[Limit, ...]
    upper: tuple[Limit, ...]
    body: Body
    step: int = 1
    shared: bool = False


@dataclass(frozen=True)
class If:
    """Integer tests, and that a local value is not zero: all must hold."""

    tests: tuple[Guard, ...]
    body: Body
    otherwise: Body = ()
    nonzero: Used | None = None


@dataclass(frozen=True)
class Address:
    """Element `offset` of a buffer; where an `inside` test fails, a load gives `outside`, untouched."""

    buffer: str
    offset: Affine
    inside: tuple[Guard, ...] = ()
    outside: float = 0.0


@dataclass(frozen=True)
class Load:
    """`name = value at address`; `width` 0 loads a scalar of the buffer's type."""

    name: Set
    address: Address
    width: Width = 0
    integer: bool = False


@dataclass(frozen=True)
class Let:
    """`name = value`, a real scalar or vector; `update` writes it `name += value`."""

    name: Set
    value: Expression
    width: Width = 0
    update: bool = False


@dataclass(frozen=True)
class Mask:
    """Zero the lanes of the vector `name` at which the integers from `address` on differ from `value`."""

    name: Updated
    address: Address
    value: Affine
    width: Width


@dataclass(frozen=True)
class Pick:
    """Of the vectors `values` the one that the integers from `address` on say, lane by lane."""

    name: Set
    values: tuple[Used, ...]
    address: Address
    width: Width


@dataclass(frozen=True)
class Transpose:
    """The vectors `values`, as many as each has lanes, are the rows of a square that is transposed."""

    values: tuple[Updated, ...]
    width: Width


@dataclass(frozen=True)
class Lanes:
    """`name` is the sum of the lanes of the local vector `vector`."""

    name: Set
    vector: Used
    width: Width


@dataclass(frozen=True)
class Index:
    """`name = value`, an integer; with a width a vector of integers, all of them 0."""

    name: Set
    value: Affine
    width: Width = 0


@dataclass(frozen=True)
class Largest:
    """`name` is the largest of 0 and the integers at `address` for the first `count` values of `variable`."""

    name: Set
    variable: Set
    count: Affine
    address: Address


@dataclass(frozen=True)
class Choose:
    """`name, winner = value, position if value beats name` (keeping the first of equals; NaN wins)."""

    name: Updated
    value: Expression
    better: str
    winner: Updated | None = None
    position: Affine = field(default_factory=lambda: constant(0))
    width: Width = 0


@dataclass(frozen=True)
class Store:
    """`address (+)= value`; an integer store writes the affine `value` (with a width, a vector)."""

    address: Address
    value: Expression | Affine
    width: Width = 0
    accumulate: bool = False


@dataclass(frozen=True)
class Fetch:
    """What stands at and around `address` will soon be read and written: it is asked for, nothing changes."""

    address: Address


@dataclass(frozen=True)
class Fill:
    """Set `count` elements of a buffer to zero; `count` may depend on the batch."""

    buffer: str
    count: Affine


@dataclass(frozen=True)
class Random:
    """Fill a buffer with uniforms of a stream: `row` for an example, from `first·row` on, or `row` in all."""

    buffer: str
    stream: int
    row: int
    per_example: bool


@dataclass(frozen=True)
class Lists:
    """`buckets` empty lists of up to `capacity` entries: a real value and `integers` integers each."""

    name: str
    buckets: int
    capacity: int
    integers: int


@dataclass(frozen=True)
class Collect:
    """Append (value, integers) to the list of a bucket unless the local `value` is zero; no branch."""

    lists: Lists
    bucket: Affine
    value: Used
    integers: tuple[Affine, ...]


@dataclass(frozen=True)
class Points:
    """List each of the first `count` values of `variable` for which elements at `addresses` are not all 0."""

    lists: Lists
    variable: Set
    count: Affine
    addresses: tuple[Address, ...]


@dataclass(frozen=True)
class Buckets:
    """`for variable in range(buckets)`: the body, where that list is not empty."""

    lists: Lists
    variable: Set
    body: Body


@dataclass(frozen=True)
class Span:
    """Of a list the entries from number `start + first` to before number `start + end`, as far as there are;
    `start` is the variable of a chunk."""

    start: Used
    first: int
    end: int


@dataclass(frozen=True)
class Chunks:
    """For every `size`-th entry of a bucket's list, or its `span`: the body, its number in `variable`."""

    lists: Lists
    bucket: Affine
    variable: Set
    size: int
    body: Body
    span: Span | None = None


@dataclass(frozen=True)
class Each:
    """For each entry of a bucket's list, or its `span`, in order: its parts in locals, then the body."""

    lists: Lists
    bucket: Affine
    value: Set | None
    integers: tuple[Set, ...]
    body: Body
    span: Span | None = None


Statement = (
    Loop
    | If
    | Load
    | Let
    | Mask
    | Pick
    | Transpose
    | Lanes
    | Index
    | Largest
    | Choose
    | Store
    | Fetch
    | Fill
    | Random
    | Lists
    | Collect
    | Points
    | Buckets
    | Chunks
    | Each
)
Body = tuple[Statement, ...]
"""What a field is declared to be that holds statements: traversals (`walk`) find it by this type."""


@dataclass(frozen=True)
class Buffer:
    """A pointer argument of a kernel. `element` is "real", "index" (int32) or "small" (uint8)."""

    name: str
    tensor: str
    element: str
    written: bool
    base: int = 0
    """Elements of the tensor before the first that the kernel's pointer points at."""
    room: int = 0
    """Elements, where it is no tensor but room that a kernel is given for what it makes on the way: there is
    nothing in it at first, and nobody reads what is left."""

    @property
    def element_type(self) -> str:
        return {"real": "real", "index": "int32", "small": "uint8"}[self.element]


@keeps_hash
@dataclass(frozen=True)
class Kernel:
    """One function of the generated module, with what its header says."""

    name: str
    buffers: tuple[Buffer, ...]
    body: Body
    formula: tuple[str, ...]
    schedule: str
    operations: int
    """Floating-point operations for one example (for one call, when no loop runs over the batch)."""
    per_example: bool
    origin: str = ""
    shared: bool = False
    """Called once for each of `parts` parts, over the whole batch, by as many threads."""
