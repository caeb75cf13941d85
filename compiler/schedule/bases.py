"""Moves what all addresses of a buffer have in common out of a kernel and into its call.

    z[b,k] += x[b, 2, k]      x[24·b + k + 16]   with x        ->   x[24·b + k]   with x + 16
    z[b,k] += x[b, 3, k]      x[24·b + k + 24]   with x        ->   x[24·b + k]   with x + 24

So the steps of an unrolled layer, each with its own place in the input, are calls of one function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compiler.ir.loops.grammar import (
    Address,
    Buckets,
    Chunks,
    Each,
    Fill,
    If,
    Kernel,
    Loop,
    Statement,
    addresses_of,
    statements,
    with_addresses,
)


def with_bases(kernel: Kernel) -> Kernel:
    """The kernel whose buffers begin at the smallest constant of their addresses, where that is above 0."""
    bases = {name: base for name, base in _smallest_constants(kernel.body).items() if base > 0}
    return replace(
        kernel,
        buffers=tuple(replace(b, base=bases.get(b.name, 0)) for b in kernel.buffers),
        body=tuple(_rebased(statement, bases) for statement in kernel.body),
    )


def _smallest_constants(body: tuple[Statement, ...]) -> dict[str, int]:
    smallest: dict[str, int] = {}
    for statement in statements(body):
        for address in addresses_of(statement):
            constant = address.offset.constant
            smallest[address.buffer] = min(constant, smallest.get(address.buffer, constant))
        if isinstance(statement, Fill):
            smallest[statement.buffer] = min(0, smallest.get(statement.buffer, 0))
    return smallest


def _rebased(statement: Statement, bases: Mapping[str, int]) -> Statement:
    if isinstance(statement, Loop | Buckets | Chunks | Each | If):
        body = tuple(_rebased(inner, bases) for inner in statement.body)
        if isinstance(statement, If):
            otherwise = tuple(_rebased(inner, bases) for inner in statement.otherwise)
            return replace(statement, body=body, otherwise=otherwise)
        return replace(statement, body=body)
    return with_addresses(statement, lambda address: _moved(address, bases))


def _moved(address: Address, bases: Mapping[str, int]) -> Address:
    base = bases.get(address.buffer, 0)
    return replace(address, offset=address.offset + -base) if base else address
