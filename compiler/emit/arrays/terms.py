"""One definition as statements on arrays.

y[b, o] += w[i, o]·x[b, i]           y = np.einsum("io,bi->bo", w, x)                     a contraction
y[b, c] += exp(x[b, c])/s[b]         y = np.exp(x)/s[:, None]                             maps that project
y[b, h] += k[p]·x[b, 2h + p]         b, h, p = np.ogrid[…]; np.sum(k[p]*x[b, 2*h + p], …)  any other
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from compiler.emit.arrays.backend import BATCH, Backend
from compiler.emit.arrays.discarded import divides
from compiler.emit.arrays.expressions import Expression
from compiler.emit.arrays.maps import Slice, is_plain, letters_of, slice_text, slices
from compiler.ir.affine.domain import Axis, Shape
from compiler.ir.affine.expression import Affine, Atom, FloorDiv, Read
from compiler.ir.tensor.axes import are_whole, plain_axes
from compiler.ir.tensor.maps import inside
from compiler.ir.tensor.program import Access, Definition, Program, Term
from compiler.show import scalars
from compiler.show.notation import Name

MOST_LETTERS = 26


@dataclass
class ArrayWriter:
    """Writes definitions of one program for one library."""

    program: Program
    backend: Backend
    names: dict[str, str]
    """What a text calls each tensor."""
    axes: dict[str, str] = field(default_factory=dict)
    """What a text calls each axis, where that differs."""
    outer: Mapping[str, Axis] = field(default_factory=dict)
    """Loops around the statements, whose variables stand in indices."""
    grids: set[str] = field(default_factory=set)
    """The statements that make index grids, as far as there are any yet."""

    def statements(self, definition: Definition) -> Iterator[str]:
        """The statements that compute the definition."""
        name = self.names[definition.name]
        lines, value = self.value(definition, name)
        yield from lines
        if value != name:
            yield f"{name} = {value}"

    def value(self, definition: Definition, name: str) -> tuple[list[str], str]:
        """(statements before, the definition's value); what is put together part by part is so under the
        name, which is then the value."""
        if definition.operation in ("argmax", "argmin"):
            return self._winners(definition)
        whole = all(are_whole(t.target, t.axes, definition.shape) for t in definition.terms)
        if whole and definition.operation == "sum":
            values = [self._value(term, definition) for term in definition.terms]
            full = any(self._is_full(term) for term in definition.terms)
            before, text = _added(values, name)
            return before, text if full else self._spread(text, definition.shape)
        if whole and len(definition.terms) == 1:
            return self._value(definition.terms[0], definition)
        return list(self._scattered(definition, name)), name

    def _scattered(self, definition: Definition, name: str) -> Iterator[str]:
        """What terms add to an array of zeros, part by part."""
        shape = self.shape(definition.shape)
        yield f"{name} = {self.backend.zeros.format(shape=shape)}"
        for term in definition.terms:
            extents = term.extents
            places = slices(term.target, extents, definition.shape)
            used = [s.axis for s in places or () if s.axis is not None]
            if places is not None and set(used) == {a.name for a in term.target_axes} and definition.shape:
                lines, value = self._value(term, definition)
                cut = zip(places, definition.shape, strict=True)
                place = ", ".join(slice_text(s, extents, n) for s, n in cut)
                yield from lines
                yield self.backend.add_slice.format(target=name, place=place, value=value)
            elif not definition.shape:
                lines, value = self._value(term, definition)
                yield from lines
                yield f"{name} = {name} + {value}"
            else:
                yield from self._grid(term.axes)
                value = self._guarded(term, self._on_grid(term), definition.operation)
                index = ", ".join(map(self.index, term.target))
                yield self.backend.add_at.format(target=name, value=value, index=index)

    def _value(self, term: Term, definition: Definition) -> tuple[list[str], str]:
        """(statements before, the value over the target's axes in their order)."""
        contraction = self._einsum(term, definition)
        if contraction is not None:
            return [], contraction
        order = [a for t in term.target for a in term.axes if t.axes == {a.name}]
        order += [a for a in term.axes if a in term.reduction_axes]
        projected = self._broadcast(term, order)
        if projected is not None:
            text, met = projected
            if not term.reduction_axes:
                return [], text
            if met:
                return [], self._reduced(text, definition.operation, order, term)
        lines = list(self._grid(order))
        value = self._guarded(term, self._on_grid(term), definition.operation)
        if not term.axes:
            return lines, value
        if term.reduction_axes:
            return lines, self._reduced(
                self._spread(value, tuple(a.extent for a in order)), definition.operation, order, term
            )
        return lines, self._spread(value, tuple(a.extent for a in order))

    def _reduced(self, text: str, operation: str, order: Sequence[Axis], term: Term) -> str:
        places = [k for k, a in enumerate(order) if a in term.reduction_axes]
        axes = str(places[0]) if len(places) == 1 else f"({', '.join(map(str, places))})"
        word = {"sum": self.backend.total, "max": self.backend.maximum, "min": self.backend.minimum}[
            operation
        ]
        return word.format(array=text, axes=axes)

    def _einsum(self, term: Term, definition: Definition) -> str | None:
        """The term as a contraction, if it is a product of reads by plain axes."""
        if definition.operation != "sum" or not term.reduction_axes or term.guards:
            return None
        coefficient, factors = term.body.as_coeff_mul()
        reads = dict(term.reads)
        if len(factors) < 2 or not all(f in reads for f in factors) or len(term.axes) > MOST_LETTERS:
            return None
        accesses = [reads[f] for f in factors]
        shapes = [self.program.shape(a.tensor) for a in accesses]
        plain = all(
            a.outside is None and self._is_array(a) and is_plain(a.indices, term.extents, s)
            for a, s in zip(accesses, shapes, strict=True)
        )
        met = {name for a in accesses for i in a.indices for name in i.axes}
        if not plain or met != set(term.extents) or plain_axes(term.target) is None:
            return None
        letters = letters_of(list(term.extents))
        inputs = ",".join("".join(letters[i.single_axis or ""] for i in a.indices) for a in accesses)
        output = "".join(letters[i.single_axis or ""] for i in term.target)
        arrays = ", ".join(self.names[a.tensor] for a in accesses)
        text = f'{self.backend.module}.einsum("{inputs}->{output}", {arrays})'
        return text if coefficient == 1 else f"{_number(coefficient)}*{text}"

    def _broadcast(self, term: Term, order: Sequence[Axis]) -> tuple[str, bool] | None:
        """(the body over arrays that broadcast in this order of axes, whether every axis is met); None where
        a map is no slice."""
        if term.guards or any(
            s.single_axis is None and not s.is_constant and len(s.terms) > 1 for s in term.target
        ):
            return None
        place = {a.name: k for k, a in enumerate(order)}
        symbols, met = {}, set()
        for symbol, access in term.reads:
            shape = self.program.shape(access.tensor)
            parts = None if access.outside is not None else slices(access.indices, term.extents, shape)
            if parts is None or not self._is_array(access):
                if not self._is_scalar(access):
                    return None
                symbols[symbol] = Name(self._scalar(access), "an array")
                continue
            axes = [s.axis for s in parts if s.axis is not None]
            if any(a not in place for a in axes):
                return None
            met.update(axes)
            symbols[symbol] = Name(self._arranged(access, parts, axes, place, term), "an array")
        text = Expression(self.backend)(scalars.body(term.body, symbols))
        if not any(self._is_array(access) for _, access in term.reads):
            text = self.backend.constant.format(value=text)
        return text, met == set(place)

    def _arranged(
        self, access: Access, parts: Sequence[Slice], axes: list[str], place: dict[str, int], term: Term
    ) -> str:
        """An array with its axes in the order of the domain, and one of length 1 where it lacks one."""
        shape = self.program.shape(access.tensor)
        text = self.names[access.tensor]
        cut = [slice_text(s, term.extents, n) for s, n in zip(parts, shape, strict=True)]
        in_order = sorted(axes, key=place.__getitem__)
        # What stands before the first axis broadcasts by itself.
        first = place[in_order[0]] if in_order else len(place)
        rank = len(place)
        missing = [k for k in range(first, rank) if k not in {place[a] for a in axes}]
        if in_order != axes:
            if any(c != ":" for c in cut):
                text = f"{text}[{', '.join(cut)}]"
            positions = f"({', '.join(str(axes.index(a)) for a in in_order)})"
            text = self.backend.transpose.format(array=text, order=positions)
            cut = [":"] * len(axes)
        if not missing and all(c == ":" for c in cut):
            return text
        whole = [c for s, c in zip(parts, cut, strict=True)] if in_order == axes else cut
        items: list[str] = []
        position = iter(range(first, rank))
        places = {place[a] for a in axes}
        for item in whole:
            if item.lstrip("-").isdigit():
                items.append(item)
                continue
            for k in position:
                if k in places:
                    break
                items.append("None")
            items.append(item)
        items += ["None" for _ in position]
        return f"{text}[{', '.join(items)}]"

    def _is_full(self, term: Term) -> bool:
        """Whether the value has every axis of the target, without broadcasting."""
        if term.guards or any(i.is_constant for i in term.target):
            return True
        met = {n for _, a in term.reads for i in a.indices for n in i.axes}
        return {a.name for a in term.target_axes} <= met or not term.target

    def _spread(self, text: str, shape: Shape) -> str:
        return self.backend.broadcast.format(array=text, shape=self.shape(shape))

    def _winners(self, definition: Definition) -> tuple[list[str], str]:
        (term,) = definition.terms
        order = [a for t in term.target for a in term.axes if t.axes == {a.name}]
        kept = len(order)
        order += list(term.reduction_axes)
        operation = "max" if definition.operation == "argmax" else "min"
        value = self._spread(
            self._guarded(term, self._on_grid(term), operation), tuple(a.extent for a in order)
        )
        shape = self.shape((*(a.extent for a in order[:kept]), -1))
        word = self.backend.argmax if operation == "max" else self.backend.argmin
        return list(self._grid(order)), word.format(array=f"{value}.reshape({shape})")

    def _grid(self, order: Sequence[Axis]) -> Iterator[str]:
        if not order:
            return
        sizes = [self.extent(a.extent) for a in order]
        names = ", ".join(self.axis(a.name) for a in order)
        ranges = ", ".join(f":{size}" for size in sizes)
        grids = self.backend.grids.format(ranges=ranges, sizes=", ".join(sizes))
        made = f"{names}{',' if len(order) == 1 and 'ogrid' not in grids else ''} = {grids}"
        self.grids.add(made)
        yield made

    def _on_grid(self, term: Term) -> str:
        symbols: dict[sympy.Symbol, Name] = {}
        for symbol, access in term.reads:
            if self._is_scalar(access):
                text = self._scalar(access)
            elif not self._is_array(access):
                text = self._iota(access, term)
            else:
                text = self._read(access, term)
            symbols[symbol] = Name(text, "an array")
        value = Expression(self.backend)(scalars.body(term.body, symbols))
        arrays = any(a.indices or self._is_array(a) for _, a in term.reads)
        return value if arrays else self.backend.constant.format(value=value)

    def _read(self, access: Access, term: Term) -> str:
        name = self.names[access.tensor]
        index = ", ".join(map(self.index, access.indices))
        if not access.indices:
            return name
        around = {name: loop.extent for name, loop in self.outer.items()}
        if inside(access.indices, self.program.shape(access.tensor), {**around, **term.extents}):
            return f"{name}[{index}]"
        outside = 0.0 if access.outside is None else access.outside
        text = {float("inf"): "math.inf", float("-inf"): "-math.inf"}.get(outside, repr(outside))
        return f"read({name}, {text}, {index})"

    def _guarded(self, term: Term, value: str, operation: str) -> str:
        if not term.guards:
            return value
        tests = []
        for guard in term.guards:
            number = self.index(guard.affine)
            sign = {">=": ">= 0", "==": "== 0"}.get(guard.kind)
            tests.append(f"({number} {sign})" if sign else f"(({number}) % {guard.modulus} == 0)")
        nothing = {"sum": "0.0", "max": "-math.inf", "min": "math.inf"}[operation]
        return f"{self.backend.module}.where({' & '.join(tests)}, {value}, {nothing})"

    def index(self, affine: Affine) -> str:
        """An index expression over grids."""
        text = ""
        for atom, coefficient in affine.terms:
            sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
            factor = f"{abs(coefficient)}*" if abs(coefficient) != 1 else ""
            text += f"{sign}{factor}{self._atom(atom)}"
        if affine.constant or not text:
            sign = " - " if affine.constant < 0 else " + "
            text = f"{text}{sign}{abs(affine.constant)}" if text else str(affine.constant)
        return text

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, str):
            return self.axis(atom)
        if isinstance(atom, Read):
            index = ", ".join(map(self.index, atom.indices))
            name = self.names[atom.tensor]
            return f"{name}[{index}]" if atom.indices else name
        operator = "//" if isinstance(atom, FloorDiv) else "%"
        return f"(({self.index(atom.numerator)}) {operator} {atom.divisor})"

    def axis(self, name: str) -> str:
        return self.axes.get(name, name)

    def extent(self, extent: int | None) -> str:
        return BATCH if extent is None else str(extent)

    def shape(self, shape: Sequence[int | None]) -> str:
        sizes = ", ".join(map(self.extent, shape))
        return f"({sizes},)" if len(shape) == 1 else f"({sizes})"

    def _kind(self, access: Access) -> str:
        return getattr(self.program[access.tensor], "kind", "")

    def _is_array(self, access: Access) -> bool:
        return self._kind(access) not in ("iota", "batch_size")

    def _is_scalar(self, access: Access) -> bool:
        return not access.indices

    def _scalar(self, access: Access) -> str:
        return BATCH if self._kind(access) == "batch_size" else self.names[access.tensor]

    def _iota(self, access: Access, term: Term) -> str:
        """0, 1, 2, … at an index is the index."""
        (index,) = access.indices
        value = self.index(index)
        if not index.axes <= set(self.outer):
            return self.backend.real.format(value=value)
        word = (divides(term.body) and self.backend.step) or self.backend.constant
        text = word.format(value=value)
        return f"({text})" if text == value and not value.isidentifier() else text


def _added(values: Sequence[tuple[list[str], str]], name: str) -> tuple[list[str], str]:
    """(statements before, the sum of values, each with the statements before it); under the name where these
    would give the grids of one value to another."""
    if len({tuple(lines) for lines, _ in values if lines}) <= 1:
        return [line for lines, _ in values for line in lines], " + ".join(value for _, value in values)
    before: list[str] = []
    for number, (lines, value) in enumerate(values):
        before += [*lines, f"{name} = {f'{name} + ' if number else ''}{value}"]
    return before, name


def _number(value: sympy.Expr) -> str:
    text = str(value)
    return text if value.is_Integer and value > 0 else f"({text})"
