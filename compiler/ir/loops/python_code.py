"""The Python lines of one kernel while they are written: variables, and accesses with their checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.errors import CompilerBug
from compiler.ir.loops.evaluate import FUNCTIONS, Expressions
from compiler.ir.loops.grammar import Address, Body, Kernel, Statement, Width
from compiler.ir.loops.text import print_statement


class Variables(dict[str, str]):
    """A Python variable for each local name, whatever it is called."""

    def __missing__(self, name: str) -> str:
        self[name] = f"local_{len(self)}"
        return self[name]


@dataclass
class Code:
    """Collects the lines of a kernel; `forms` says how each class of statements is run."""

    kernel: Kernel
    forms: Mapping[type, Form]
    dtype: type[np.floating]
    traced: bool
    lines: list[str] = field(default_factory=list)
    checked: list[Statement] = field(default_factory=list)
    """Statements that may fail, by the number that their checks say."""

    def __post_init__(self) -> None:
        given = {name: name for name in ("batch", "part", "parts")}
        self.names = Variables(given)
        self.expressions = Expressions(self.names, self.dtype)
        self.numbers = {buffer.name: number for number, buffer in enumerate(self.kernel.buffers)}

    def line(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def block(self, body: Body, level: int) -> None:
        for statement in body:
            self.forms[type(statement)](self, statement, level)
        if not body:
            self.line(level, "pass")

    def number(self, statement: Statement) -> int:
        """What a check of this statement says when it fails."""
        self.checked.append(statement)
        return len(self.checked) - 1

    def buffer(self, name: str) -> int:
        if name not in self.numbers:
            raise CompilerBug(f"{self.kernel.name}: there is no buffer {name}")
        return self.numbers[name]

    def read(self, statement: Statement, address: Address, width: Width, level: int) -> str:
        """Lines that check a load; the text of what is loaded."""
        k, where = self.inside(statement, address, width, level)
        number = len(self.checked) - 1
        missing = f"known_{k}.find(0, at, at + {width}) >= 0" if width else f"not known_{k}[at]"
        self.line(level, f"if {missing}: unknown({number}, {k}, at)")
        if self.traced:
            self.line(level, f"read_{k}[{where}] = {_ones(width)}")
        return f"values_{k}[{where}]"

    def written(self, statement: Statement, address: Address, width: Width, level: int) -> str:
        """Lines that check a store; the text of where to store, which has a value from here on."""
        k, where = self.inside(statement, address, width, level)
        self.mark(k, where, _ones(width), level)
        return f"values_{k}[{where}]"

    def mark(self, k: int, where: str, ones: str, level: int) -> None:
        """The elements have a value."""
        self.line(level, f"known_{k}[{where}] = {ones}")
        if self.traced:
            self.line(level, f"written_{k}[{where}] = {ones}")

    def inside(self, statement: Statement, address: Address, width: Width, level: int) -> tuple[int, str]:
        """Lines that check where an address is; the number of its buffer, and the text of the place there."""
        k, number = self.buffer(address.buffer), self.number(statement)
        base = self.kernel.buffers[k].base
        self.line(level, f"at = {self.expressions.index(address.offset)} + {base}")
        end = f"at + {width}" if width else "at + 1"
        self.line(level, f"if at < 0 or {end} > size_{k}: leaves({number}, {k}, at)")
        return k, f"at:{end}" if width else "at"

    def source(self) -> str:
        """The whole function."""
        head = ["def kernel(memories, arguments):"]
        head += [f"    {name} = arguments.{name}" for name in ("batch", "part", "parts")]
        for k in range(len(self.kernel.buffers)):
            head.append(f"    values_{k}, known_{k} = memories[{k}].values, memories[{k}].known")
            head.append(f"    size_{k} = len(known_{k})")
            if self.traced:
                head.append(f"    read_{k}, written_{k} = memories[{k}].read, memories[{k}].written")
        return "\n".join([*head, *self.lines])

    def local_name(self, message: str) -> str:
        """The local name whose variable Python's message is about."""
        return next((name for name, variable in self.names.items() if f"'{variable}'" in message), message)

    def namespace(self) -> dict[str, Any]:
        """What the lines refer to."""
        named = {
            "largest": max,
            "smallest": min,
            "leaves": self._leaves,
            "unknown": self._unknown,
            "fails": self._fails,
        }
        return {**FUNCTIONS, **self.expressions.constants, "dtype": self.dtype, "np": np, **named}

    def _leaves(self, number: int, k: int, at: int) -> None:
        self._fails(number, f"element {at} of {self.kernel.buffers[k].name} is outside")

    def _unknown(self, number: int, k: int, at: int) -> None:
        self._fails(number, f"element {at} of {self.kernel.buffers[k].name} has no value yet")

    def _fails(self, number: int, message: str) -> None:
        line = print_statement(self.checked[number])
        raise CompilerBug(f"kernel {self.kernel.name}: `{line}`: {message}")


def _ones(width: Width) -> str:
    return f"b'\\1' * {width}" if width else "1"


Form = Callable[[Code, Any, int], None]
"""Writes the lines of a statement of one class at a level of indentation."""
