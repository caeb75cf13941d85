"""What has been found of a term and a function holds for all that differ from them in names of tensors alone.

Twelve equal blocks ask the same twelve times. Names order the reads of a term, so only such are alike whose
names have one order: then what is found of one is that of the other, with its names put in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from compiler.ir.tensor.numbering import Key, Numbers
from compiler.ir.tensor.program import Term

Terms = tuple[Term, ...]


@dataclass(frozen=True)
class Alike:
    """The forms of a term that a function gives, for each kind of the two."""

    found: dict[Key, tuple[tuple[str, ...], Terms]] = field(default_factory=dict)

    def forms(
        self,
        term: Term,
        function: Term,
        output: str,
        fact: Callable[[str], object],
        work_out: Callable[[], Terms],
    ) -> Terms:
        """What `work_out` gives of a term and the function that `output` is of what it reads, if it was not
        given of their like before.

        It may ask a `fact` of each tensor, and nothing else that has to do with its name."""
        numbers = Numbers()
        numbers.of(output)
        key: Key = (numbers.term(term), numbers.term(function))
        names = tuple(numbers.known)
        key = (*key, _order(names, term, function), tuple(map(fact, names)))
        if key not in self.found:
            self.found[key] = names, work_out()
        given, forms = self.found[key]
        return forms if given == names else _renamed(forms, dict(zip(given, names, strict=True)))


def _order(names: tuple[str, ...], *terms: Term) -> Key:
    """In which order reads of these tensors stand, as they are printed."""
    if any(affine.reads for term in terms for affine in term.affines()):
        # Names stand among those of axes there.
        return names
    padded = dict.fromkeys(a.tensor for term in terms for _, a in term.reads if a.outside is not None)
    heads = [*(f"{name}[" for name in names), *(f"pad({name}," for name in padded)]
    return tuple(sorted(range(len(heads)), key=heads.__getitem__))


def _renamed(terms: Terms, names: Mapping[str, str]) -> Terms:
    """The terms with names of the same order: their reads stay as they stand."""
    return tuple(
        replace(term, reads=tuple((s, replace(a, tensor=names[a.tensor])) for s, a in term.reads))
        for term in terms
    )
