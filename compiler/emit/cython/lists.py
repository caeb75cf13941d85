"""Prints lists of points: arrays on the stack of a kernel, passes that fill them, loops over entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.emit.cython.expressions import affine_text
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import Buckets, Chunks, Collect, Each, Lists, Points

if TYPE_CHECKING:
    from compiler.emit.cython.printer import Printer


def list_names(lists: Lists) -> tuple[str, ...]:
    """Arrays of a set of lists: counts, values, and one for each integer of an entry."""
    parts = ("count", "value", *map(str, range(lists.integers)))
    return tuple(f"{lists.name}_{part}" for part in parts)


def print_lists(printer: Printer, lists: Lists, level: int) -> None:
    count, value, *integers = list_names(lists)
    size = lists.buckets * lists.capacity
    printer.declare(f"{count}[{lists.buckets}]", "int")
    printer.declare(f"{value}[{size}]", "real")
    for name in integers:
        printer.declare(f"{name}[{size}]", "int")
    printer.line(level, f"memset({count}, 0, {lists.buckets} * sizeof({count}[0]))")


def print_collect(printer: Printer, collect: Collect, level: int) -> None:
    """The entry is always written and counted where it stays: a later one takes the place of a zero."""
    count, value, *integers = list_names(collect.lists)
    bucket = affine_text(collect.bucket)
    printer.declare("entry", "Py_ssize_t")
    printer.line(level, f"entry = {_first_entry(collect.lists, collect.bucket)}{count}[{bucket}]")
    printer.line(level, f"{value}[entry] = {collect.value}")
    for name, integer in zip(integers, collect.integers, strict=True):
        printer.line(level, f"{name}[entry] = <int>({affine_text(integer)})")
    printer.line(level, f"{count}[{bucket}] += {collect.value} != <real>0")


def _first_entry(lists: Lists, bucket: Affine) -> str:
    """Where a bucket's list begins, as the first summand of a position."""
    return "" if lists.buckets == 1 else f"{affine_text(bucket * lists.capacity)} + "


def print_buckets(printer: Printer, statement: Buckets, level: int) -> None:
    printer.declare(statement.variable, "Py_ssize_t")
    printer.line(level, f"for {statement.variable} in range({statement.lists.buckets}):")
    printer.line(level + 1, f"if {list_names(statement.lists)[0]}[{statement.variable}]:")
    printer.block(statement.body, level + 2)


def _entries(statement: Chunks | Each) -> tuple[str, str]:
    """The numbers of a statement's entries: from, and to before."""
    count, bucket = list_names(statement.lists)[0], affine_text(statement.bucket)
    first = _first_entry(statement.lists, statement.bucket)
    end = f"{first}{count}[{bucket}]"
    if statement.span is None:
        return first.removesuffix(" + "), end
    start, span = statement.span.start, statement.span
    if span.end == 1:
        return start, f"{start} + 1"
    return (f"{start} + {span.first}" if span.first else start), f"index_min({end}, {start} + {span.end})"


def print_chunks(printer: Printer, chunks: Chunks, level: int) -> None:
    start, end = _entries(chunks)
    printer.declare(chunks.variable, "Py_ssize_t")
    printer.line(level, f"for {chunks.variable} in range({start or 0}, {end}, {chunks.size}):")
    printer.block(chunks.body, level + 1)


def print_each(printer: Printer, each: Each, level: int) -> None:
    _, value, *integers = list_names(each.lists)
    start, end = _entries(each)
    printer.declare("entry", "Py_ssize_t")
    printer.line(level, f"for entry in range({start + ', ' if start else ''}{end}):")
    if each.value is not None:
        printer.declare(each.value, "real")
        printer.line(level + 1, f"{each.value} = {value}[entry]")
    for name, array in zip(each.integers, integers, strict=True):
        printer.declare(name, "Py_ssize_t")
        printer.line(level + 1, f"{name} = {array}[entry]")
    printer.block(each.body, level + 1)


def print_points(printer: Printer, points: Points, level: int) -> None:
    """Magnitudes first: of points that lie side by side, the C compiler takes a vector at a time."""
    count, value, position = list_names(points.lists)
    variable, upper = points.variable, affine_text(points.count)
    magnitudes = [f"real_abs({printer.element(address)})" for address in points.addresses]
    printer.declare(variable, "Py_ssize_t")
    printer.declare("entry", "Py_ssize_t")
    printer.line(level, f"for {variable} in range({upper}):")
    printer.line(level + 1, f"{value}[{variable}] = {magnitudes[0]}")
    for magnitude in magnitudes[1:]:
        printer.line(level + 1, f"{value}[{variable}] += {magnitude}")
    printer.line(level, "entry = 0")
    printer.line(level, f"for {variable} in range({upper}):")
    printer.line(level + 1, f"{position}[entry] = <int>({variable})")
    printer.line(level + 1, f"entry += {value}[{variable}] != <real>0")
    printer.line(level, f"{count}[0] = <int>entry")
