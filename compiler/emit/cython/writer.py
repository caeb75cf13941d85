"""The lines of one kernel while they are written, and the variables that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.emit.cython.expressions import affine_text
from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Address, Kernel, Statement


@dataclass
class Writer:
    """Collects a kernel's lines; `forms` says how each class of statements is written."""

    kernel: Kernel
    forms: Mapping[type, Form]
    buffers: Mapping[str, str]
    lengths: tuple[int, ...]
    """Lanes of the vector types, the shortest first."""
    vectors: frozenset[str]
    addressing: frozenset[str]
    """Local names that occur in an offset or a bound: those must be as wide as a pointer."""
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    """Their types by name."""
    arrays: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Types and numbers of elements."""

    def line(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def declare(self, name: str, kind: str) -> None:
        known = self.variables.setdefault(name, kind)
        if known != kind:
            raise CompilerBug(f"local variable {name} is both {known} and {kind}")

    def declare_array(self, name: str, kind: str, size: int) -> None:
        known = self.arrays.setdefault(name, (kind, size))
        if known != (kind, size):
            raise CompilerBug(f"array {name} is both {known} and {kind, size}")

    def block(self, body: Iterable[Statement], level: int) -> None:
        for statement in body:
            self.forms[type(statement)](self, statement, level)

    def element(self, address: Address) -> str:
        return f"{self.buffers[address.buffer]}[{affine_text(address.offset)}]"

    def pointer(self, address: Address) -> str:
        name, text = self.buffers[address.buffer], affine_text(address.offset)
        return name if text == "0" else f"{name} + {text}"

    def element_type(self, address: Address) -> str:
        return next(b.element_type for b in self.kernel.buffers if b.name == address.buffer)


Form = Callable[[Writer, Any, int], None]
"""Writes a statement of one class at a level of indentation."""
