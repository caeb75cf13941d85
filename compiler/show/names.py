"""What the tensors of a program are called on a page: by what they are to one another, not by their names.

x.cotangent   x̄ on a page, x_bar in plain text      sum1.cotangent.sum   sum1_bar_sum
x.tangent     ẋ            x_dot                     y.winner             y*, y_star
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Definition, Program, Rewrite, Tensor
from compiler.show.notation import Mark, Name

MARKS: Mapping[str | None, tuple[Mark, str]] = {
    "cotangent": ("bar", "bar"),
    "tangent": ("dot", "dot"),
    "winner": ("star", "star"),
}
"""Role → its mark on a page, and its word in plain text."""


@dataclass(frozen=True)
class Called:
    """The names of a program's tensors on a page, and which of them stand for something else."""

    names: Mapping[str, Name]
    iota: frozenset[str] = frozenset()
    """Tensors of 0, 1, 2, …: an element is its index."""
    scalars: frozenset[str] = frozenset()
    """Tensors without an axis, whose empty index list may be left out."""

    def __getitem__(self, tensor: str) -> Name:
        return self.names[tensor]


def called(programs: Iterable[Program], record: Iterable[Rewrite] = ()) -> Called:
    """Names for all tensors of these programs and of the steps of a record: one for each, everywhere."""
    entries: dict[str, Tensor | Definition] = {}
    for program in programs:
        for entry in program.entries:
            entries.setdefault(entry.name, entry)
    for rewrite in record:
        # What a step made another one may have taken away again.
        for definition in (*rewrite.old, *rewrite.new):
            entries.setdefault(definition.name, definition)
    taken = Names(_identifier(e.name) for e in entries.values() if e.role is None)
    names: dict[str, Name] = {}
    for entry in entries.values():
        if entry.role is None:
            names[entry.name] = Name(_identifier(entry.name), entry.name)
    for name in entries:
        _name(name, entries, names, taken)
    iota = frozenset(e.name for e in entries.values() if isinstance(e, Tensor) and e.kind == "iota")
    return Called(names, iota, frozenset(e.name for e in entries.values() if e.shape == ()))


def _name(
    tensor: str, entries: Mapping[str, Tensor | Definition], names: dict[str, Name], taken: Names
) -> Name:
    """The name of a tensor, after that of the one it has a role to."""
    if tensor in names:
        return names[tensor]
    entry = entries.get(tensor)
    if entry is None or entry.role is None:
        # What a tensor was made of may have gone from the program.
        return Name(_identifier(tensor), tensor)
    base = _name(entry.of, entries, names, taken)
    mark, word = MARKS.get(entry.role, (None, entry.role))
    marks = (*base.marks, mark) if mark else base.marks
    words = base.words if mark else (*base.words, word)
    name = Name(taken.fresh(f"{base.text}_{word}"), base.letters, marks, words)
    if any(replace(n, text=name.text) == name for n in names.values()):
        name = Name(name.text, name.text)
    names[tensor] = name
    return name


def _identifier(name: str) -> str:
    """The name as plain text can hold it: letters, digits and low lines, no word of Python's."""
    text = "".join(c if c.isalnum() or c == "_" else "_" for c in unicodedata.normalize("NFKC", name))
    text = text if text[:1].isalpha() or text[:1] == "_" else f"_{text}"
    return f"{text}_" if keyword.iskeyword(text) else text
