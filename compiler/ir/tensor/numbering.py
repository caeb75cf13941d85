"""Terms by numbers in the place of names: equal for those that differ in the names of tensors alone.

    dense_3[b,o] += dense_3.kernel[i,o]·tanh_2[b,i]       t0[b,o] += t1[i,o]·t2[b,i]
    dense_4[b,o] += dense_4.kernel[i,o]·tanh_3[b,i]       the same

Tensors are numbered in the order in which they are met, so that those of one are found again in another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from compiler.ir.affine.expression import Affine
from compiler.ir.tensor.program import Term
from compiler.ir.tensor.rename import with_lengths

Key = tuple[object, ...]


@dataclass(frozen=True)
class Numbers:
    """The numbers of tensors, by their names."""

    known: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> int:
        """The number of a tensor, the next one where it has none yet."""
        return self.known.setdefault(name, len(self.known))

    def term(self, term: Term) -> Key:
        """The term with numbers for its tensors."""
        reads = tuple(
            (symbol, self.of(access.tensor), tuple(map(self.affine, access.indices)), repr(access.outside))
            for symbol, access in term.reads
        )
        guards = tuple(replace(guard, affine=self.affine(guard.affine)) for guard in term.guards)
        axes = with_lengths(term.axes, lambda name: str(self.of(name)))
        return axes, tuple(map(self.affine, term.target)), term.body, reads, guards

    def affine(self, affine: Affine) -> Affine:
        """The index with numbers for the tensors that it looks up."""
        names = {read.tensor: str(self.of(read.tensor)) for read in affine.reads}
        return affine.rename_tensors(names) if names else affine
