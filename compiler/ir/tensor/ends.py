"""What is behind the end of an example's sequence: of which elements, and who reads them.

An integer tensor with one value an example, `lengths[b]`, says where the sequence of an example ends. An axis
that ends there (`Axis.end`) runs over the points before it; those behind may be left out.

    h[b,t,u] += next[b,t,u]     for b, t:28 until lengths, u       reads next at t < lengths[b] alone
    c̄[b,t,u] += n̄[b,t+1,u]      for b, t:28 until lengths - 1, u   reads n̄ at t + 1 < lengths[b]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compiler.ir.affine.domain import Axis
from compiler.ir.affine.expression import Affine, Read, atom_of, axis
from compiler.ir.affine.proofs import facts_of, is_nonnegative
from compiler.ir.tensor.program import Program, Tensor, Term


def is_length(tensor: Tensor) -> bool:
    """Whether a tensor may say where sequences end: one integer for each example."""
    return tensor.dtype == "index" and tensor.shape == (None,) and tensor.limit is not None


def length_in(term: Term, lengths: Tensor) -> Affine | None:
    """The length of the example that a point of a term belongs to; None where that is none, or several."""
    examples = [a.name for a in term.axes if a.extent is None]
    if len(examples) != 1 or lengths.limit is None:
        return None
    return atom_of(Read(lengths.name, (axis(examples[0]),), lengths.limit))


def guard_facts(term: Term) -> list[Affine]:
    """What is not negative where the guards of a term hold."""
    return [fact for guard in term.guards for fact in facts_of(guard)]


def end_facts(axes: Iterable[Axis], lengths: Tensor, length: Affine) -> Iterator[Affine]:
    """What is not negative before the ends of axes."""
    for a in axes:
        if a.end is not None and a.end.lengths == lengths.name:
            yield length + (a.end.shift - 1) - axis(a.name)


def read_behind(program: Program, name: str, dimension: int, lengths: Tensor) -> bool:
    """Whether elements of a tensor at the length of an example or behind it, along a dimension, are read."""
    return name in program.results or any(True for _ in readers_behind(program, name, dimension, lengths))


def readers_behind(program: Program, name: str, dimension: int, lengths: Tensor) -> Iterator[Term]:
    """The terms that may read elements of a tensor at the length of an example or behind it.

    The terms of a circle are computed at no step at which all examples have ended; loops elsewhere may go on,
    and are known to read nothing there by their guards alone."""
    for reader in program.readers[name]:
        ending = reader.name in program.circle_of
        yield from (term for term in reader.terms if _reads_behind(term, name, dimension, lengths, ending))


def places_read(term: Term, name: str) -> list[tuple[Affine, ...]]:
    """Where a term reads a tensor, as values and as indices."""
    places = [access.indices for _, access in term.reads if access.tensor == name]
    return places + [
        read.indices for affine in term.affines() for read in affine.reads if read.tensor == name
    ]


def _reads_behind(term: Term, name: str, dimension: int, lengths: Tensor, ending: bool) -> bool:
    places, length = places_read(term, name), length_in(term, lengths)
    if length is None:
        return bool(places)
    facts = guard_facts(term)
    if ending:
        facts += end_facts(term.axes, lengths, length)
    extents = term.extents
    return not all(is_nonnegative(length - 1 - place[dimension], extents, facts) for place in places)
