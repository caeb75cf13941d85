"""Moves what all addresses of a buffer have in common out of a kernel and into its call.

    z[b,k] += x[b, 2, k]      x[24·b + k + 16]   with x        ->   x[24·b + k]   with x + 16
    z[b,k] += x[b, 3, k]      x[24·b + k + 24]   with x        ->   x[24·b + k]   with x + 24

So the steps of an unrolled layer, each with its own place in the input, are calls of one function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compiler.ir.loops.grammar import Address, Fill, Kernel, Statement
from compiler.ir.loops.walk import parts, rebuilt, statements, with_parts


def with_bases(kernel: Kernel) -> Kernel:
    """The kernel whose buffers begin at the smallest constant of their addresses, where that is above 0."""
    bases = {name: base for name, base in _smallest_constants(kernel.body).items() if base > 0}
    return replace(
        kernel,
        buffers=tuple(replace(b, base=bases.get(b.name, 0)) for b in kernel.buffers),
        body=rebuilt(kernel.body, lambda statement: _rebased(statement, bases)),
    )


def _smallest_constants(body: tuple[Statement, ...]) -> dict[str, int]:
    smallest: dict[str, int] = {}
    for statement in statements(body):
        for address in parts(statement, Address):
            constant = address.offset.constant
            smallest[address.buffer] = min(constant, smallest.get(address.buffer, constant))
        if isinstance(statement, Fill):
            smallest[statement.buffer] = min(0, smallest.get(statement.buffer, 0))
    return smallest


def _rebased(statement: Statement, bases: Mapping[str, int]) -> Statement:
    return with_parts(statement, Address, lambda address: _moved(address, bases))


def _moved(address: Address, bases: Mapping[str, int]) -> Address:
    base = bases.get(address.buffer, 0)
    return replace(address, offset=address.offset + -base) if base else address
