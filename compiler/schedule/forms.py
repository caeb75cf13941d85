"""What a kernel computes, whatever its tensors are called: equal layers have kernels of one form.

What is found out of one, a price or a kernel, holds for all of its form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from compiler.ir.affine.kept_hash import keeps_hash
from compiler.ir.tensor.numbering import Key, Numbers
from compiler.ir.tensor.program import Definition, Program, Tensor
from compiler.schedule.context import Context, Entries, context_of
from compiler.schedule.settings import Settings

Answer = TypeVar("Answer")


@keeps_hash
@dataclass(frozen=True)
class Form:
    """The form of what a kernel computes in a context: equal for others that differ in names alone."""

    key: Key
    tensors: tuple[str, ...] = field(compare=False)
    """In the order of their numbers."""


@dataclass(frozen=True)
class Forms:
    """Makes forms; those of definitions that have been met are kept."""

    met: dict[int, tuple[Definition | Tensor, Key, tuple[str, ...]]] = field(default_factory=dict)
    """By `id`, since hashing a definition is slow, each with the definition, so that no id is used twice."""

    def of(self, entries: Entries, context: Context, shorter: Form | None = None) -> Form:
        """The form of entries in a context, the tile of which is that of a `shorter` chain."""
        numbers = Numbers()
        own: list[Key] = []
        for entry in entries:
            key, names = self.single(entry)
            own.append((key, *map(numbers.of, names)))
        stored = {tensor.name: tensor for tensor in context.tensors}
        outside, given = context.outside, context.settings.given
        tensors = tuple(
            (stored[name].shape, stored[name].element, name in outside, name in given)
            for name in numbers.known
        )
        settings = context.settings
        around = (settings.dtype, settings.tile, settings.fuse, settings.zeros, settings.whole, context.adds)
        return Form((tuple(own), tensors, around, shorter and shorter.key), tuple(numbers.known))

    def of_program(self, program: Program, settings: Settings | None) -> Key:
        """What a program computes for these settings, in the order of its definitions."""
        numbers, given = Numbers(), settings.given if settings is not None else ()
        own: list[Key] = []
        for entry in program.entries:
            key, names = self.single(entry)
            own.append((key, entry.role, entry.name in given, numbers.of(entry.of), *map(numbers.of, names)))
        around = settings and replace(settings, given=frozenset())
        return tuple(own), tuple(map(numbers.of, program.outputs)), around

    def single(self, entry: Definition | Tensor) -> tuple[Key, tuple[str, ...]]:
        """The form of one entry by itself, and its tensors."""
        if id(entry) not in self.met:
            numbers = Numbers()
            numbers.of(entry.name)
            if isinstance(entry, Tensor):
                key: Key = (entry.kind, entry.shape, entry.dtype, entry.limit, entry.stream)
            else:
                terms = tuple(map(numbers.term, entry.terms))
                key = (entry.operation, entry.shape, entry.dtype, entry.at_once, terms)
            self.met[id(entry)] = entry, key, tuple(numbers.known)
        _, key, names = self.met[id(entry)]
        return key, names


@dataclass(frozen=True)
class ByForm(Generic[Answer]):
    """Answers to one question about definitions, each worked out once for all of a form."""

    forms: Forms = field(default_factory=Forms)
    answers: dict[Form, Answer] = field(default_factory=dict)

    def get(
        self, definition: Definition, program: Program, settings: Settings, work_out: Callable[[], Answer]
    ) -> Answer:
        """The answer that is known of the like of a definition of the program, or what `work_out` gives."""
        form = self.forms.of((definition,), context_of((definition,), program, settings))
        if form not in self.answers:
            self.answers[form] = work_out()
        return self.answers[form]
