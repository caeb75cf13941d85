"""Puts values in for loop variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Buckets, Chunks, Each, If, Limit, Loop, Mask, Statement, with_addresses


def fix_axis(statement: Statement, values: Mapping[str, Affine]) -> Statement:
    """Put values in for loop variables, in offsets and bounds."""
    if isinstance(statement, Loop):
        lower = tuple(Limit(limit.affine.substitute(values), limit.divisor) for limit in statement.lower)
        upper = tuple(Limit(limit.affine.substitute(values), limit.divisor) for limit in statement.upper)
        body = tuple(fix_axis(inner, values) for inner in statement.body)
        return replace(statement, lower=lower, upper=upper, body=body)
    if isinstance(statement, Buckets | Chunks | Each):
        return replace(statement, body=tuple(fix_axis(inner, values) for inner in statement.body))
    if isinstance(statement, If):
        otherwise = tuple(fix_axis(inner, values) for inner in statement.otherwise)
        return replace(
            statement, body=tuple(fix_axis(inner, values) for inner in statement.body), otherwise=otherwise
        )
    moved_there = with_addresses(statement, lambda a: replace(a, offset=a.offset.substitute(values)))
    if isinstance(moved_there, Mask):
        return replace(moved_there, value=moved_there.value.substitute(values))
    return moved_there
