"""Opens an integer read in a target into loop axes and one equality guard.

The cotangent of a max pool writes where the saved winner w = winner[h] (below 4, windows 2 by 2) points:

    x̄[2i + w//2, 2j + w%2] += ȳ[i,j]                     i, j
    x̄[2i + p,    2j + q   ] += ȳ[i,j]  if 2p + q - w == 0     i, j, p:2, q:2

The digits w//2 and w%2 of one read become fresh axes p and q, in the target and wherever else they occur, and
one guard compares the read with the number that the axes spell. After that the target is affine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.ir.affine.expression import (
    Affine,
    Atom,
    FloorDiv,
    Mod,
    Read,
    atom_of,
    axis,
    constant,
    rebuild_atom,
)
from compiler.ir.tensor.axes import AxisNames
from compiler.ir.tensor.program import Axis, Guard, Term, make_term

DIGIT_NAMES = "pqrstuvw"


@dataclass(frozen=True)
class Digit:
    """The atom `atom`, which is `(read // divisor) % modulus`, below `modulus`."""

    atom: Atom
    read: Read
    divisor: int
    modulus: int


def digit_of(atom: Atom) -> Digit | None:
    """How an atom is a digit of a read: the read itself, `read//m`, `read%n` or `(read//m)%n`."""
    if isinstance(atom, Read):
        return Digit(atom, atom, 1, atom.extent)
    inner = _only_atom(atom)
    if isinstance(atom, FloorDiv) and isinstance(inner, Read):
        return Digit(atom, inner, atom.divisor, -(-inner.extent // atom.divisor))
    if isinstance(atom, Mod) and isinstance(inner, Read):
        return Digit(atom, inner, 1, atom.divisor)
    if isinstance(atom, Mod) and isinstance(inner, FloorDiv) and isinstance(read := _only_atom(inner), Read):
        return Digit(atom, read, inner.divisor, atom.divisor)
    return None


def _only_atom(atom: Atom) -> Atom | None:
    """What a division is of, when that is one atom and nothing else."""
    if not isinstance(atom, FloorDiv | Mod):
        return None
    numerator = atom.numerator
    return numerator.terms[0][0] if numerator == atom_of(numerator.terms[0][0]) else None


def without_constant_atoms(term: Term) -> Term:
    """Atoms that can take one value only are replaced by it: `w//3` is 0 for a read `w` below 3."""
    found: dict[Atom, Affine] = {}
    for affine in term.affines():
        for atom in affine.atoms():
            low, high = atom_of(atom).interval(term.extents)
            if not isinstance(atom, str) and low is not None and low == high:
                found[atom] = constant(low)
    return _replace_atoms(term, found, term.axes, ()) if found else term


def open_read(term: Term, read: Read, indices: Sequence[Affine] | None = None) -> Term:
    """The term with the digits of `read` in its target as fresh axes, and the guard that ties them.

    With `indices` the digits are those that occur there instead, in what is read."""
    digits = _digits(term.target if indices is None else indices, read)
    names = AxisNames(term.extents)
    axes = [
        Axis(names.fresh(DIGIT_NAMES[min(k, len(DIGIT_NAMES) - 1)]), digit.modulus)
        for k, digit in enumerate(digits)
    ]
    mapping: dict[Atom, Affine] = {d.atom: axis(a.name) for d, a in zip(digits, axes, strict=True)}
    if _spell_the_whole(digits, read):
        number = sum((axis(a.name) * d.divisor for d, a in zip(digits, axes, strict=True)), constant(0))
        guards: tuple[Guard, ...] = (Guard("==", number - atom_of(read)),)
    else:
        pairs = zip(digits, axes, strict=True)
        guards = tuple(Guard("==", axis(a.name) - atom_of(d.atom)) for d, a in pairs)
    return _replace_atoms(term, mapping, (*term.axes, *axes), guards)


def _digits(indices: Sequence[Affine], read: Read) -> list[Digit]:
    """The digits of `read` that the indices add up, the most significant first."""
    atoms = dict.fromkeys(atom for index in indices for atom, _ in index.terms)
    found = [digit for digit in map(digit_of, atoms) if digit is not None and digit.read == read]
    return sorted(found, key=lambda digit: (-digit.divisor, digit.modulus))


def _spell_the_whole(digits: list[Digit], read: Read) -> bool:
    """The digits are the mixed-radix digits of the read: none missing, none overlapping."""
    expected = 1
    for digit in reversed(digits):
        if digit.divisor != expected:
            return False
        expected *= digit.modulus
    return expected >= read.extent


def _replace_atoms(
    term: Term, mapping: Mapping[Atom, Affine], axes: tuple[Axis, ...], guards: tuple[Guard, ...]
) -> Term:
    """The term with atoms replaced in its target, accesses and guards; `guards` are added as they are."""

    def put(affine: Affine) -> Affine:
        total = constant(affine.constant)
        for atom, c in affine.terms:
            if atom in mapping:
                total = total + mapping[atom] * c
            elif isinstance(atom, str):
                total = total + axis(atom) * c
            else:
                total = total + rebuild_atom(atom, put) * c
        return total

    reads = [(s, replace(access, indices=tuple(map(put, access.indices)))) for s, access in term.reads]
    kept = [replace(guard, affine=put(guard.affine)) for guard in term.guards]
    return make_term(axes, map(put, term.target), term.body, reads, (*kept, *guards))
