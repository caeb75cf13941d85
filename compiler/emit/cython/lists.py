"""Prints lists of points: arrays on the stack of a kernel, passes that fill them, loops over entries."""

from __future__ import annotations

from compiler.emit.cython.expressions import affine_text
from compiler.emit.cython.writer import Form, Writer
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Buckets, Chunks, Collect, Each, Lists, Points


def list_names(lists: Lists) -> tuple[str, ...]:
    """Arrays of a set of lists: counts, values, and one for each integer of an entry."""
    parts = ("count", "value", *map(str, range(lists.integers)))
    return tuple(f"{lists.name}_{part}" for part in parts)


def _lists(writer: Writer, lists: Lists, level: int) -> None:
    count, value, *integers = list_names(lists)
    size = lists.buckets * lists.capacity
    writer.declare_array(count, "int", lists.buckets)
    writer.declare_array(value, "real", size)
    for name in integers:
        writer.declare_array(name, "int", size)
    writer.line(level, f"memset({count}, 0, {lists.buckets} * sizeof({count}[0]))")


def _collect(writer: Writer, collect: Collect, level: int) -> None:
    """The entry is always written and counted where it stays: a later one takes the place of a zero."""
    count, value, *integers = list_names(collect.lists)
    bucket = affine_text(collect.bucket)
    writer.declare("entry", "Py_ssize_t")
    writer.line(level, f"entry = {_behind(collect.lists, collect.bucket, f'{count}[{bucket}]')}")
    writer.line(level, f"{value}[entry] = {collect.value}")
    for name, integer in zip(integers, collect.integers, strict=True):
        writer.line(level, f"{name}[entry] = <int>({affine_text(integer)})")
    writer.line(level, f"{count}[{bucket}] += {collect.value} != <real>0")


def _behind(lists: Lists, bucket: Affine, position: str) -> str:
    """The entry at a position of a bucket's list."""
    first = _first_entry(lists, bucket)
    return f"{first} + {position}" if first else position


def _first_entry(lists: Lists, bucket: Affine) -> str:
    """Where a bucket's list begins; nothing where there is one bucket."""
    return "" if lists.buckets == 1 else affine_text(bucket * lists.capacity)


def _buckets(writer: Writer, statement: Buckets, level: int) -> None:
    writer.declare(statement.variable, "Py_ssize_t")
    writer.line(level, f"for {statement.variable} in range({statement.lists.buckets}):")
    writer.line(level + 1, f"if {list_names(statement.lists)[0]}[{statement.variable}]:")
    writer.block(statement.body, level + 2)


def _entries(statement: Chunks | Each) -> tuple[str, str]:
    """The numbers of a statement's entries: from, and to before."""
    count, bucket = list_names(statement.lists)[0], affine_text(statement.bucket)
    end = _behind(statement.lists, statement.bucket, f"{count}[{bucket}]")
    if statement.span is None:
        return _first_entry(statement.lists, statement.bucket), end
    start, span = statement.span.start, statement.span
    if span.end == 1:
        return start, f"{start} + 1"
    return (f"{start} + {span.first}" if span.first else start), f"index_min({end}, {start} + {span.end})"


def _chunks(writer: Writer, chunks: Chunks, level: int) -> None:
    start, end = _entries(chunks)
    writer.declare(chunks.variable, "Py_ssize_t")
    writer.line(level, f"for {chunks.variable} in range({start or 0}, {end}, {chunks.size}):")
    writer.block(chunks.body, level + 1)


def _each(writer: Writer, each: Each, level: int) -> None:
    _, value, *integers = list_names(each.lists)
    start, end = _entries(each)
    writer.declare("entry", "Py_ssize_t")
    writer.line(level, f"for entry in range({start + ', ' if start else ''}{end}):")
    if each.value is not None:
        writer.declare(each.value, "real")
        writer.line(level + 1, f"{each.value} = {value}[entry]")
    for name, array in zip(each.integers, integers, strict=True):
        writer.declare(name, "Py_ssize_t")
        writer.line(level + 1, f"{name} = {array}[entry]")
    writer.block(each.body, level + 1)


def _points(writer: Writer, points: Points, level: int) -> None:
    """Magnitudes first: of points that lie side by side, the C compiler takes a vector at a time."""
    count, value, position = list_names(points.lists)
    variable, upper = points.variable, affine_text(points.count)
    magnitudes = [f"real_abs({writer.element(address)})" for address in points.addresses]
    writer.declare(variable, "Py_ssize_t")
    writer.declare("entry", "Py_ssize_t")
    writer.line(level, f"for {variable} in range({upper}):")
    writer.line(level + 1, f"{value}[{variable}] = {magnitudes[0]}")
    for magnitude in magnitudes[1:]:
        writer.line(level + 1, f"{value}[{variable}] += {magnitude}")
    writer.line(level, "entry = 0")
    writer.line(level, f"for {variable} in range({upper}):")
    writer.line(level + 1, f"{position}[entry] = <int>({variable})")
    writer.line(level + 1, f"entry += {value}[{variable}] != <real>0")
    writer.line(level, f"{count}[0] = <int>entry")


FORMS: dict[type, Form] = {
    Lists: _lists,
    Collect: _collect,
    Points: _points,
    Buckets: _buckets,
    Chunks: _chunks,
    Each: _each,
}
