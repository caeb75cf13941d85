"""Random terms whose index maps are of the kinds that layers have, and brute force over their points.

The body of each term is one read of `weights`, a tensor with one random integer for each point of the domain:
so no two points can be exchanged, lost or visited twice without changing a sum, and sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from compiler.ir.affine.expression import (
    Affine,
    Read,
    atom_of,
    axis,
    constant,
    floor_div,
    mod,
    ravel,
    unravel,
)
from compiler.ir.tensor.interpreter import affine_values
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Reads,
    Shape,
    Tensor,
    Term,
    make_term,
)

BATCH = 2
POINTS = 700
"""A domain has at most this many points, and ten times as many when every read is opened into axes."""


@dataclass(frozen=True)
class Case:
    """A random term of a tensor of `shape`, with the inputs that it reads."""

    term: Term
    shape: Shape
    inputs: tuple[Tensor, ...]
    arrays: dict[str, np.ndarray]

    def program(self, operation: str = "sum") -> Program:
        return Program(self.inputs, (Definition("y", self.shape, operation, (self.term,)),), ("y",))


class Maker:
    """Grows the axes and rows of one random target map."""

    def __init__(self, random: Random):
        self.random = random
        self.axes: list[Axis] = []
        self.rows: list[Affine] = []
        self.batched: int | None = None
        self.reads: list[tuple[str, tuple[Axis, ...], int]] = []

    def new_axis(self, *extents: int) -> Affine:
        name = f"{'abcdefghijklmn'[len(self.axes)]}"
        self.axes.append(Axis(name, self.random.choice(extents)))
        return axis(name)

    def plain(self) -> None:
        self.rows.append(self.new_axis(1, 2, 3))

    def batch(self) -> None:
        if self.batched is None:
            self.batched = len(self.rows)
            self.axes.append(Axis("batch", None))
            self.rows.append(axis("batch"))

    def window(self) -> None:
        """`s*h + d*p - a`, the map of a strided, dilated, padded window."""
        h, p = self.new_axis(1, 2, 3, 4, 5), self.new_axis(1, 2, 3, 4)
        stride, dilation = self.random.choice((1, 1, 2, 2, 3, -1, -2)), self.random.choice((1, 1, 1, 2, 3))
        self.rows.append(h * stride + p * dilation + self.random.randint(-3, 3))

    def strided(self) -> None:
        factor = self.random.choice((1, 2, 3, -1, -2))
        self.rows.append(self.new_axis(2, 3, 5) * factor + self.random.randint(-2, 3))

    def raveled(self) -> None:
        shape = tuple(self.random.choice((1, 2, 3, 4)) for _ in range(2))
        digits = tuple(self.new_axis(n) for n in shape)
        self.rows.append(ravel(digits, shape) + self.random.choice((0, 0, 0, 1, -1)))

    def reshaped(self) -> None:
        h, w = self.new_axis(2, 3), self.new_axis(2, 3, 4)
        width = next(a.extent for a in self.axes if axis(a.name) == w)
        self.rows += unravel(h * width + w, (9, self.random.choice((2, 3, 4))))

    def shared(self) -> None:
        """Rows that mix the same axes, with any small coefficients."""
        mixed = [self.new_axis(2, 3, 4) for _ in range(self.random.randint(1, 3))]
        for _ in range(self.random.randint(1, 2)):
            terms = (a * self.random.choice((-3, -2, -1, 0, 1, 1, 2)) for a in mixed)
            self.rows.append(sum(terms, constant(self.random.randint(-2, 2))))

    def read(self, extent: int) -> Affine:
        """A read of a fresh integer tensor over one or two of the axes that there are."""
        indexed = tuple(self.random.sample(self.axes, min(len(self.axes), self.random.randint(1, 2))))
        name = f"integers{len(self.reads)}"
        self.reads.append((name, indexed, extent))
        return atom_of(Read(name, tuple(axis(a.name) for a in indexed), extent))

    def winner(self) -> None:
        """`s*h + digit of a saved winner`, in two dimensions; sometimes digits are missing or overlap."""
        h, w = self.new_axis(2, 3), self.new_axis(1, 2, 3)
        height, width = self.random.choice((1, 2, 3)), self.random.choice((1, 2, 3))
        stride, pad = self.random.choice((1, 2, 3)), self.random.choice((0, 0, 1))
        won = self.read(max(1, height * width - self.random.choice((0, 0, 0, 1))))
        row, column = h * stride + floor_div(won, width) - pad, w * stride + mod(won, width) - pad
        whole = h * stride + won - pad
        self.rows += self.random.choice(
            [[row, column], [row, column], [row, column], [row], [column], [whole, column]]
        )

    def label(self) -> None:
        if self.axes:
            self.rows.append(self.read(self.random.choice((2, 4))))

    def guard(self) -> Guard:
        """A random condition on one or two axes."""
        chosen = self.random.sample([a.name for a in self.axes], min(2, len(self.axes)))
        terms = (axis(name) * self.random.choice((-2, -1, 1, 1, 2)) for name in chosen)
        affine = sum(terms, constant(self.random.randint(-1, 3)))
        kind = self.random.choice((">=", ">=", "%", "=="))
        return Guard(kind, affine, self.random.choice((2, 3)) if kind == "%" else 0)


PIECES = ("plain", "window", "window", "strided", "raveled", "reshaped", "shared", "winner", "label", "batch")


def random_case(random: Random) -> Case:
    """One random term with at most `POINTS` points."""
    while True:
        maker = Maker(random)
        for _ in range(random.randint(1, 3)):
            getattr(maker, random.choice(PIECES))()
        if random.random() < 0.4:
            maker.new_axis(1, 2, 3)
        points = np.prod([a.extent or BATCH for a in maker.axes])
        opened = points * np.prod([extent for _, _, extent in maker.reads])
        if maker.rows and points <= POINTS and opened <= 10 * POINTS:
            return _finished(maker, random)


def _finished(maker: Maker, random: Random) -> Case:
    random.shuffle(maker.axes)
    extents = {a.name: a.extent for a in maker.axes}
    shape = tuple(
        None if k == maker.batched else _dimension(row, extents, random) for k, row in enumerate(maker.rows)
    )
    guards = [maker.guard() for _ in range(random.choice((0, 0, 0, 1, 2)))]
    reads = Reads()
    weight = reads.symbol(Access("weights", tuple(axis(a.name) for a in maker.axes)))
    term = make_term(maker.axes, maker.rows, weight, reads.pairs(), guards)
    numbers = np.random.default_rng(random.getrandbits(32))
    inputs = [Tensor("weights", tuple(extents.values()), "input")]
    arrays = {"weights": numbers.integers(1, 1000, [n or BATCH for n in extents.values()]).astype(float)}
    for name, indexed, extent in maker.reads:
        inputs.append(Tensor(name, tuple(a.extent for a in indexed), "label", "index", extent))
        arrays[name] = numbers.integers(0, extent, [a.extent or BATCH for a in indexed])
    return Case(term, shape, tuple(inputs), arrays)


def _dimension(row: Affine, extents: dict[str, int | None], random: Random) -> int:
    """An extent near what the row reaches: exact, a little more, or too small for every write."""
    _, high = row.interval(extents)
    reach = 3 if high is None else high + 1
    return max(1, reach + random.choice((0, 0, 0, 0, 1, 2, -1, -2)))


def cases(count: int, seed: int) -> Iterator[Case]:
    random = Random(seed)
    for _ in range(count):
        yield random_case(random)


@dataclass(frozen=True)
class Points:
    """The points of a term's domain at which its guards hold."""

    axes: dict[str, np.ndarray]
    target: np.ndarray
    """One row of indices a point."""

    def distinct(self, names: list[str]) -> Points:
        """The points as far as these axes tell them apart, one of each."""
        key = np.stack([self.axes[n] for n in names], 1) if names else np.zeros((len(self.target), 1), int)
        _, first = np.unique(key, axis=0, return_index=True)
        return Points({n: self.axes[n][first] for n in names}, self.target[first])


def points_of(term: Term, arrays: dict[str, np.ndarray], *, guarded: bool = True) -> Points:
    """Enumerate a domain, by the interpreter's own evaluation of index expressions."""
    extents = [a.extent or BATCH for a in term.axes]
    size = int(np.prod(extents))
    grids = dict(zip(term.extents, np.indices(extents).reshape(len(extents), size), strict=True))
    keep = np.ones(size, dtype=bool)
    for guard in term.guards if guarded else ():
        value = np.broadcast_to(affine_values(guard.affine, grids, arrays), size)
        holds = {">=": value >= 0, "==": value == 0}.get(guard.kind)
        keep &= value % guard.modulus == 0 if holds is None else holds
    target = [np.broadcast_to(affine_values(i, grids, arrays), size)[keep] for i in term.target]
    stacked = np.stack(target, 1) if target else np.zeros((int(keep.sum()), 0), dtype=np.int64)
    return Points({name: grid[keep] for name, grid in grids.items()}, stacked)


def in_tensor(target: np.ndarray, shape: Shape) -> np.ndarray:
    """Which rows of indices lie inside the tensor."""
    limits = np.array([BATCH if n is None else n for n in shape])
    return np.all((target >= 0) & (target < limits), axis=1)


def has_duplicates(rows: np.ndarray) -> bool:
    return len(np.unique(rows, axis=0)) < len(rows)
