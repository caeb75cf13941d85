"""Integer-affine index expressions: `Σ coefficient·atom + constant`, and nothing else.

An atom is the name of a loop axis, a read of an *integer* tensor (a label, the saved winner of a
max), or the floor-division or remainder of an affine expression by a positive constant. This small
algebra is what the compiler trusts instead of SymPy's index calculus, which drops divisibility
conditions (see docs/derivation.md).

    >>> h, p = axis("h"), axis("p")
    >>> print(2 * h + p - 1)
    2*h + p - 1
    >>> (2 * h + p - 1).interval({"h": 13, "p": 3})
    (-1, 25)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from compiler.errors import CompilerBug
from compiler.ir.affine.kept_hash import keeps_hash

Extent = int | None
"""Number of values of an axis; `None` is the batch, known at run time only (at least 1)."""


@dataclass(frozen=True)
class Read:
    """The value of integer tensor `tensor` at `indices`, known to lie in `[0, extent)`."""

    tensor: str
    indices: tuple[Affine, ...]
    extent: int

    def __str__(self) -> str:
        return f"{self.tensor}[{', '.join(map(str, self.indices))}]"


@dataclass(frozen=True)
class FloorDiv:
    """`⌊numerator / divisor⌋` with a positive constant divisor."""

    numerator: Affine
    divisor: int

    def __str__(self) -> str:
        return f"({self.numerator})//{self.divisor}"


@dataclass(frozen=True)
class Mod:
    """The remainder of `numerator` by a positive constant divisor, in `[0, divisor)`."""

    numerator: Affine
    divisor: int

    def __str__(self) -> str:
        return f"({self.numerator})%{self.divisor}"


Atom = str | Read | FloorDiv | Mod


@keeps_hash
@dataclass(frozen=True)
class Affine:
    """`Σ coefficient·atom + constant`; terms are sorted and none has coefficient 0."""

    terms: tuple[tuple[Atom, int], ...] = ()
    constant: int = 0

    @staticmethod
    def build(coefficients: Mapping[Atom, int], constant: int = 0) -> Affine:
        """The canonical expression with these coefficients: zeros dropped, atoms sorted."""
        kept = [(atom, c) for atom, c in coefficients.items() if c != 0]
        return Affine(tuple(sorted(kept, key=lambda item: _order(item[0]))), constant)

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.terms, self.constant + other)
        if not other.terms or not self.terms:
            return Affine(self.terms or other.terms, self.constant + other.constant)
        coefficients = dict(self.terms)
        for atom, c in other.terms:
            coefficients[atom] = coefficients.get(atom, 0) + c
        return Affine.build(coefficients, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: int) -> Affine:
        if factor == 1:
            return self
        terms = tuple((atom, c * factor) for atom, c in self.terms) if factor else ()
        return Affine(terms, self.constant * factor)

    __rmul__ = __mul__

    def __neg__(self) -> Affine:
        return self * -1

    def __sub__(self, other: Affine | int) -> Affine:
        return self + -other

    def __rsub__(self, other: int) -> Affine:
        return -self + other

    @property
    def is_constant(self) -> bool:
        return not self.terms

    def coefficient(self, atom: Atom) -> int:
        """The coefficient of `atom` at the top level, 0 when it does not occur there."""
        return next((c for a, c in self.terms if a == atom), 0)

    @property
    def single_axis(self) -> str | None:
        """The axis `a` if the expression is exactly `a`, else None."""
        if self.constant == 0 and len(self.terms) == 1:
            atom, c = self.terms[0]
            if c == 1 and isinstance(atom, str):
                return atom
        return None

    def atoms(self) -> Iterator[Atom]:
        """Every atom, the ones inside reads and divisions included, outermost first."""
        for atom, _ in self.terms:
            yield atom
            for inner in inner_affines(atom):
                yield from inner.atoms()

    @cached_property
    def axes(self) -> frozenset[str]:
        """Names of every axis that occurs, at any depth."""
        return frozenset(atom for atom in self.atoms() if isinstance(atom, str))

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """Every integer read that occurs, at any depth, in order of occurrence, without repeats."""
        if all(isinstance(atom, str) for atom, _ in self.terms):
            return ()
        return tuple(dict.fromkeys(atom for atom in self.atoms() if isinstance(atom, Read)))

    def substitute(self, mapping: Mapping[str, Affine]) -> Affine:
        """Replace axes by affine expressions, inside reads and divisions too."""

        def replace(atom: Atom) -> Affine:
            if isinstance(atom, str):
                return mapping.get(atom, axis(atom))
            return rebuild_atom(atom, lambda inner: inner.substitute(mapping))

        total = Affine((), self.constant)
        for atom, c in self.terms:
            total = total + replace(atom) * c
        return total

    def rename_tensors(self, names: Mapping[str, str]) -> Affine:
        """Rename the integer tensors that are read."""
        if not self.reads:
            return self

        def replace(atom: Atom) -> Affine:
            if isinstance(atom, str):
                return axis(atom)
            if isinstance(atom, Read):
                indices = tuple(i.rename_tensors(names) for i in atom.indices)
                return atom_of(Read(names.get(atom.tensor, atom.tensor), indices, atom.extent))
            return rebuild_atom(atom, lambda inner: inner.rename_tensors(names))

        total = Affine((), self.constant)
        for atom, c in self.terms:
            total = total + replace(atom) * c
        return total

    def interval(self, extents: Mapping[str, Extent]) -> tuple[int | None, int | None]:
        """Smallest and largest value over a box of axes `[0, extent)`; None is unbounded."""
        low: int | None = self.constant
        high: int | None = self.constant
        for atom, c in self.terms:
            atom_low, atom_high = _atom_interval(atom, extents)
            if c < 0:
                atom_low, atom_high = atom_high, atom_low
            low = None if low is None or atom_low is None else low + c * atom_low
            high = None if high is None or atom_high is None else high + c * atom_high
        return low, high

    def bounded(self, extents: Mapping[str, Extent]) -> tuple[int, int]:
        """The interval of what no batch axis moves. Raises CompilerBug for one that is unbounded."""
        low, high = self.interval(extents)
        if low is None or high is None:
            raise CompilerBug(f"{self} has no bounds")
        return low, high

    def __str__(self) -> str:
        text = ""
        for atom, c in self.terms:
            sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
            text += sign + (str(atom) if abs(c) == 1 else f"{abs(c)}*{atom}")
        if not text:
            return str(self.constant)
        if self.constant:
            text += f" {'-' if self.constant < 0 else '+'} {abs(self.constant)}"
        return text


def axis(name: str) -> Affine:
    """The expression that is one axis."""
    return Affine(((name, 1),))


def constant(value: int) -> Affine:
    """The expression that is one number."""
    return Affine((), value)


def atom_of(atom: Atom) -> Affine:
    """The expression that is one atom."""
    return Affine(((atom, 1),))


def floor_div(numerator: Affine, divisor: int) -> Affine:
    """`⌊numerator / divisor⌋`; what divides exactly leaves the bracket: `(4*h + p)//2 = 2*h + p//2`."""
    if divisor == 1:
        return numerator
    whole = Affine.build({a: c // divisor for a, c in numerator.terms if c % divisor == 0})
    rest = Affine(tuple((a, c) for a, c in numerator.terms if c % divisor), numerator.constant)
    if rest.is_constant:
        return whole + rest.constant // divisor
    return whole + atom_of(FloorDiv(rest, divisor))


def mod(numerator: Affine, divisor: int) -> Affine:
    """`numerator mod divisor`; what divides exactly is dropped: `(4*h + p) % 2 = p % 2`."""
    rest = Affine(tuple((a, c) for a, c in numerator.terms if c % divisor), numerator.constant % divisor)
    if divisor == 1 or rest.is_constant:
        return constant(rest.constant % divisor)
    return atom_of(Mod(rest, divisor))


def ravel(indices: tuple[Affine, ...], shape: tuple[int, ...]) -> Affine:
    """Row-major position of `indices` in an array of this shape: `(h*W + w)*C + c`."""
    position = constant(0)
    for index, extent in zip(indices, shape, strict=True):
        position = position * extent + index
    return position


def unravel(position: Affine, shape: tuple[int, ...]) -> tuple[Affine, ...]:
    """The inverse of `ravel`, by floor-division and remainder."""
    digits: list[Affine] = []
    for k, extent in reversed(list(enumerate(shape))):
        digits.append(mod(position, extent) if k else position)
        position = floor_div(position, extent)
    return tuple(reversed(digits))


def inner_affines(atom: Atom) -> tuple[Affine, ...]:
    """The expressions inside an atom."""
    if isinstance(atom, Read):
        return atom.indices
    if isinstance(atom, FloorDiv | Mod):
        return (atom.numerator,)
    return ()


def rebuild_atom(atom: Read | FloorDiv | Mod, change: Callable[[Affine], Affine]) -> Affine:
    """The same atom over changed inner expressions, simplified again."""
    if isinstance(atom, Read):
        return atom_of(Read(atom.tensor, tuple(map(change, atom.indices)), atom.extent))
    if isinstance(atom, FloorDiv):
        return floor_div(change(atom.numerator), atom.divisor)
    return mod(change(atom.numerator), atom.divisor)


def _atom_interval(atom: Atom, extents: Mapping[str, Extent]) -> tuple[int | None, int | None]:
    if isinstance(atom, str):
        extent = extents[atom]
        return 0, None if extent is None else extent - 1
    if isinstance(atom, Read):
        return 0, atom.extent - 1
    low, high = atom.numerator.interval(extents)
    if isinstance(atom, FloorDiv):
        return (None if low is None else low // atom.divisor, None if high is None else high // atom.divisor)
    if low is not None and high is not None and low // atom.divisor == high // atom.divisor:
        return low % atom.divisor, high % atom.divisor
    return 0, atom.divisor - 1


def _order(atom: Atom) -> tuple[int, str]:
    """Axes first, then reads, then divisions; by name inside a kind, so that printing is stable."""
    return (0, atom) if isinstance(atom, str) else (1, str(atom))
