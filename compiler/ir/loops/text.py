"""A loop nest as text, which `parser.parse_kernel` reads back unchanged; all of the syntax is here:

    for h in range(max(0, ceil(b - 5, 2)), min(8, floor(2*batch + 9, 2)), 4) shared:      Loop
    if h >= 0, (h) % 2 == 0, nonzero factor:            If; `else:` behind it
    x_0 = x[8*b + h - 1 | h - 1 >= 0 else -inf]         Load, with what it gives where a test fails
    int w_0 = w[2*b]                                    Load of an integer
    x_v0<4> = x[8*b]                                    Load of a vector of 4 lanes
    acc<4> = x_v0*y_s1                                  Let; `+=` updates
    mask x_v0<4> where w[8*b] == 1                      Mask
    pick best<4> = acc_0, acc_1 by w[8*b]               Pick
    transpose<4> x_v0, x_v1, x_v2, x_v3                 Transpose
    lanes total = acc<4>                                Lanes
    index winner<4> = 0                                 Index
    largest end: b in batch: n[b]                       Largest
    choose best<4> winner by > at 1: x_v0               Choose
    y<4>[8*b] += acc                                    Store; `= int winner` stores an integer
    fetch y[8*b]                                        Fetch
    fill y: 8*batch                                     Fill
    random u: stream 3, 4 an example                    Random; `4 in all`
    lists listed: 2 of 4 entries with 1 integers        Lists
    collect listed[w_1]: factor, 8*b + h                Collect
    points listed: i in 8: x[i], y[i]                   Points
    for bucket in buckets of listed:                    Buckets
    for block in chunks of 2 of listed[bucket]:         Chunks; of a span: `listed[0, at + 0 : at + 48]`
    for entry (factor, i) of listed[bucket]:            Each; `_` where the value is not wanted

What stands in a body is indented. Names that are no plain ones are quoted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import (
    Address,
    Body,
    Buckets,
    Buffer,
    Choose,
    Chunks,
    Collect,
    Each,
    Fetch,
    Fill,
    If,
    Index,
    Kernel,
    Lanes,
    Largest,
    Let,
    Limit,
    Lists,
    Load,
    Loop,
    Mask,
    Pick,
    Points,
    Random,
    Span,
    Statement,
    Store,
    Transpose,
    Width,
)
from compiler.ir.loops.walk import bodies
from compiler.ir.tensor.printer import print_affine, print_body, print_guard, print_name

INDENT = "    "


def print_kernel(kernel: Kernel) -> str:
    """The text of a kernel; equal kernels have equal texts."""
    per = "example" if kernel.per_example else "call"
    head = [
        f"kernel {print_name(kernel.name)}: {kernel.operations} operations an {per}",
        *([f"origin {json.dumps(kernel.origin)}"] if kernel.origin else []),
        *(f"formula {json.dumps(line)}" for line in kernel.formula),
        f"schedule {json.dumps(kernel.schedule)}",
        *(["shared"] if kernel.shared else []),
        *map(_buffer, kernel.buffers),
    ]
    return "\n".join([*head, "", *_lines(kernel.body, 0)]) + "\n"


def _buffer(buffer: Buffer) -> str:
    kind = f"{'writes' if buffer.written else 'reads'} {buffer.element} {print_name(buffer.name)}"
    base = f" from {buffer.base}" if buffer.base else ""
    room = f", room for {buffer.room}" if buffer.room else ""
    return f"{kind}{base} of {print_name(buffer.tensor)}{room}"


def print_body_of(body: Body) -> str:
    """The text of statements alone."""
    return "\n".join(_lines(body, 0))


def _lines(body: Body, level: int) -> Iterator[str]:
    for statement in body:
        yield INDENT * level + print_statement(statement)
        inner = bodies(statement)
        for number, one in enumerate(inner):
            if number and one:
                yield INDENT * level + "else:"
            yield from _lines(one, level + 1)


def print_statement(statement: Statement) -> str:
    """The line of a statement, without what stands inside it."""
    return _FORMS[type(statement)](statement)


def _affine(affine: Affine) -> str:
    return print_affine(affine, {})


def _sized(name: str, width: Width) -> str:
    return f"{print_name(name)}<{width}>" if width else print_name(name)


def _expression(value: Any) -> str:
    # A local variable may be called `pi`, which is no number then.
    return print_body(value, {symbol: local_text(symbol.name) for symbol in value.free_symbols})


def local_text(name: str) -> str:
    """A name in an expression, where numbers have names too."""
    return f'"{name}"' if name in ("pi", "E", "oo", "nan") else print_name(name)


def _place(address: Address) -> str:
    """What stands between the brackets."""
    tests = ", ".join(print_guard(guard, {}) for guard in address.inside)
    if not tests and address.outside == 0:
        return _affine(address.offset)
    return f"{_affine(address.offset)} | {tests} else {address.outside!r}".replace("|  else", "| else")


def _element(address: Address, width: Width = 0) -> str:
    return f"{_sized(address.buffer, width)}[{_place(address)}]"


def _limits(limits: tuple[Limit, ...], choose: str, divide: str) -> str:
    texts = [
        _affine(one.affine) if one.divisor == 1 else f"{divide}({_affine(one.affine)}, {one.divisor})"
        for one in limits
    ]
    return texts[0] if len(texts) == 1 else f"{choose}({', '.join(texts)})"


def _loop(loop: Loop) -> str:
    bounds = f"{_limits(loop.lower, 'max', 'ceil')}, {_limits(loop.upper, 'min', 'floor')}"
    step = f", {loop.step}" if loop.step != 1 else ""
    return f"for {print_name(loop.variable)} in range({bounds}{step}){' shared' if loop.shared else ''}:"


def _if(statement: If) -> str:
    tests = [print_guard(guard, {}) for guard in statement.tests]
    tests += [f"nonzero {print_name(statement.nonzero)}"] if statement.nonzero else []
    return f"if {', '.join(tests)}:"


def _load(load: Load) -> str:
    kind = "int " if load.integer else ""
    return f"{kind}{_sized(load.name, load.width)} = {_element(load.address)}"


def _let(let: Let) -> str:
    return f"{_sized(let.name, let.width)} {'+=' if let.update else '='} {_expression(let.value)}"


def _mask(mask: Mask) -> str:
    return f"mask {_sized(mask.name, mask.width)} where {_element(mask.address)} == {_affine(mask.value)}"


def _pick(pick: Pick) -> str:
    values = ", ".join(map(print_name, pick.values))
    return f"pick {_sized(pick.name, pick.width)} = {values} by {_element(pick.address)}"


def _lanes(lanes: Lanes) -> str:
    return f"lanes {print_name(lanes.name)} = {_sized(lanes.vector, lanes.width)}"


def _transpose(transpose: Transpose) -> str:
    return f"transpose<{transpose.width}> {', '.join(map(print_name, transpose.values))}"


def _index(index: Index) -> str:
    return f"index {_sized(index.name, index.width)} = {_affine(index.value)}"


def _largest(largest: Largest) -> str:
    searched = f"{print_name(largest.variable)} in {_affine(largest.count)}: {_element(largest.address)}"
    return f"largest {print_name(largest.name)}: {searched}"


def _choose(choose: Choose) -> str:
    winner = f" {print_name(choose.winner)}" if choose.winner else ""
    kept = f"choose {_sized(choose.name, choose.width)}{winner}"
    return f"{kept} by {choose.better} at {_affine(choose.position)}: {_expression(choose.value)}"


def _store(store: Store) -> str:
    exact = isinstance(store.value, Affine)
    value = f"int {_affine(store.value)}" if exact else _expression(store.value)
    return f"{_element(store.address, store.width)} {'+=' if store.accumulate else '='} {value}"


def _fill(fill: Fill) -> str:
    return f"fill {print_name(fill.buffer)}: {_affine(fill.count)}"


def _random(random: Random) -> str:
    per = "an example" if random.per_example else "in all"
    return f"random {print_name(random.buffer)}: stream {random.stream}, {random.row} {per}"


def _lists(lists: Lists) -> str:
    sizes = f"{lists.buckets} of {lists.capacity} entries with {lists.integers} integers"
    return f"lists {print_name(lists.name)}: {sizes}"


def _collect(collect: Collect) -> str:
    entry = ", ".join([print_name(collect.value), *map(_affine, collect.integers)])
    return f"collect {print_name(collect.lists.name)}[{_affine(collect.bucket)}]: {entry}"


def _points(points: Points) -> str:
    elements = ", ".join(map(_element, points.addresses))
    name, variable = print_name(points.lists.name), print_name(points.variable)
    return f"points {name}: {variable} in {_affine(points.count)}: {elements}"


def _buckets(buckets: Buckets) -> str:
    return f"for {print_name(buckets.variable)} in buckets of {print_name(buckets.lists.name)}:"


def _bucket(lists: Lists, bucket: Affine, span: Span | None) -> str:
    start = "" if span is None else print_name(span.start)
    part = "" if span is None else f", {start} + {span.first} : {start} + {span.end}"
    return f"{print_name(lists.name)}[{_affine(bucket)}{part}]"


def _chunks(chunks: Chunks) -> str:
    listed = _bucket(chunks.lists, chunks.bucket, chunks.span)
    return f"for {print_name(chunks.variable)} in chunks of {chunks.size} of {listed}:"


def _each(each: Each) -> str:
    value = "_" if each.value is None else local_text(each.value)
    # A variable that is called `_` is quoted, since that says that there is none.
    names = ", ".join([f'"{value}"' if each.value == "_" else value, *map(print_name, each.integers)])
    return f"for entry ({names}) of {_bucket(each.lists, each.bucket, each.span)}:"


_FORMS: Mapping[type, Callable[[Any], str]] = {
    Loop: _loop,
    If: _if,
    Load: _load,
    Let: _let,
    Mask: _mask,
    Pick: _pick,
    Transpose: _transpose,
    Lanes: _lanes,
    Index: _index,
    Largest: _largest,
    Choose: _choose,
    Store: _store,
    Fetch: lambda fetch: f"fetch {_element(fetch.address)}",
    Fill: _fill,
    Random: _random,
    Lists: _lists,
    Collect: _collect,
    Points: _points,
    Buckets: _buckets,
    Chunks: _chunks,
    Each: _each,
}
