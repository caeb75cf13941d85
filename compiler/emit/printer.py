"""Prints loop nests as Cython: one line a statement, and what must be declared before them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy

from compiler.emit.expressions import affine_text, expression_text, guard_text, number_text, vector_text
from compiler.emit.names import unique_identifiers
from compiler.emit.vectors import better_lines, suffix, vector_call, vector_type
from compiler.errors import CompilerBug
from compiler.ir.affine import Affine
from compiler.ir.loop_nest import (
    Address,
    Buckets,
    Choose,
    Collect,
    Each,
    Fill,
    If,
    Index,
    Kernel,
    Let,
    Limit,
    Lists,
    Load,
    Loop,
    Mask,
    Random,
    Statement,
    Store,
    statements,
)


@dataclass
class PrintedKernel:
    """A kernel's text: its parameters, local variables by C type, and body lines (indented by levels)."""

    parameters: list[str]
    variables: dict[str, list[str]]
    lines: list[str]


@dataclass
class _Printer:
    kernel: Kernel
    buffers: Mapping[str, str]
    lengths: tuple[int, ...]
    """Lanes of the vector types, the shortest first."""
    vectors: frozenset[str]
    addressing: frozenset[str]
    """Local names that occur in an offset or a bound: those must be as wide as a pointer."""
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)


def print_kernel(kernel: Kernel, lengths: tuple[int, ...]) -> PrintedKernel:
    """Cython text of a kernel; `lengths` are the lanes of the machine's vector types, the shortest first."""
    locals_ = _local_names(kernel.body)
    buffers = unique_identifiers((buffer.name for buffer in kernel.buffers), locals_)
    printer = _Printer(kernel, buffers, lengths, _vector_names(kernel.body), _addressing(kernel.body))
    _block(printer, kernel.body, 1)
    parameters = [
        f"{'' if buffer.written else 'const '}{buffer.element_type}* {buffers[buffer.name]}"
        for buffer in kernel.buffers
    ]
    kinds: dict[str, list[str]] = {}
    for name, kind in printer.variables.items():
        kinds.setdefault(kind, []).append(name)
    return PrintedKernel(parameters, kinds, printer.lines)


def _local_names(body: tuple[Statement, ...]) -> set[str]:
    names: set[str] = set()
    for statement in statements(body):
        if isinstance(statement, Loop):
            names.add(statement.variable)
        elif isinstance(statement, Lists):
            names |= {"entry", *_list_names(statement)}
        elif isinstance(statement, Buckets):
            names.add(statement.variable)
        elif isinstance(statement, Each):
            names |= {statement.value, *statement.integers}
        elif isinstance(statement, Load | Let | Index | Choose):
            names.add(statement.name)
    return names


def _vector_names(body: tuple[Statement, ...]) -> frozenset[str]:
    return frozenset(s.name for s in statements(body) if isinstance(s, Load | Let) and s.width)


def _addressing(body: tuple[Statement, ...]) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    for statement in statements(body):
        if isinstance(statement, Load | Store):
            names |= statement.address.offset.axes
        elif isinstance(statement, Collect):
            names = names.union(statement.bucket.axes, *(integer.axes for integer in statement.integers))
        elif isinstance(statement, Loop):
            names = names.union(*(limit.affine.axes for limit in (*statement.lower, *statement.upper)))
    return names


def _block(printer: _Printer, body: Iterable[Statement], level: int) -> None:
    for statement in body:
        _STATEMENTS[type(statement)](printer, statement, level)


def _line(printer: _Printer, level: int, text: str) -> None:
    printer.lines.append("    " * level + text)


def _declare(printer: _Printer, name: str, kind: str) -> None:
    known = printer.variables.setdefault(name, kind)
    if known != kind:
        raise CompilerBug(f"local variable {name} is both {known} and {kind}")


def _loop(printer: _Printer, loop: Loop, level: int) -> None:
    _declare(printer, loop.variable, "Py_ssize_t")
    if loop.shared:
        return _shared_loop(printer, loop, level)
    lower = _limits(loop.lower, "ceil_div", "index_max")
    upper = _limits(loop.upper, "index_div", "index_min")
    if loop.step != 1:
        bounds = f"{lower}, {upper}, {loop.step}"
    else:
        bounds = upper if lower == "0" else f"{lower}, {upper}"
    _line(printer, level, f"for {loop.variable} in range({bounds}):")
    _block(printer, loop.body, level + 1)


def _shared_loop(printer: _Printer, loop: Loop, level: int) -> None:
    """The steps of a loop that belong to one part: as many as to any other, or one more or less."""
    (limit,) = loop.upper
    end = limit.affine.constant // limit.divisor
    steps = -(-end // loop.step)
    first, last = (f"{loop.step} * ({steps} * {part} // parts)" for part in ("part", "(part + 1)"))
    _line(printer, level, f"for {loop.variable} in range({first}, index_min({end}, {last}), {loop.step}):")
    _block(printer, loop.body, level + 1)


def _limits(limits: tuple[Limit, ...], divide: str, choose: str) -> str:
    texts = [
        affine_text(limit.affine)
        if limit.divisor == 1
        else f"{divide}({affine_text(limit.affine)}, {limit.divisor})"
        for limit in limits
    ]
    text = texts[0]
    for other in texts[1:]:
        text = f"{choose}({text}, {other})"
    return text


def _if(printer: _Printer, statement: If, level: int) -> None:
    tests = [guard_text(guard) for guard in statement.tests]
    if statement.nonzero:
        tests.append(f"{statement.nonzero} != <real>0")
    _line(printer, level, f"if {' and '.join(tests)}:")
    _block(printer, statement.body, level + 1)
    if statement.otherwise:
        _line(printer, level, "else:")
        _block(printer, statement.otherwise, level + 1)


def _load(printer: _Printer, load: Load, level: int) -> None:
    element = _element(printer, load.address)
    if load.integer:
        # What only a test compares is 32 bits wide, so that a vector holds as many of them as of reals.
        _declare(printer, load.name, "Py_ssize_t" if load.name in printer.addressing else "int")
    else:
        _declare(printer, load.name, vector_type(printer.lengths, load.width))
    if load.width == 0:
        value = element
    else:
        value = vector_call(printer.lengths, "load", load.width, _pointer(printer, load.address))
    if load.address.inside:
        tests = " and ".join(map(guard_text, load.address.inside))
        value = f"({value} if {tests} else {number_text(sympy.sympify(load.address.outside))})"
    _line(printer, level, f"{load.name} = {value}")


def _element(printer: _Printer, address: Address) -> str:
    return f"{printer.buffers[address.buffer]}[{affine_text(address.offset)}]"


def _pointer(printer: _Printer, address: Address) -> str:
    name = printer.buffers[address.buffer]
    text = affine_text(address.offset)
    return name if text == "0" else f"{name} + {text}"


def _let(printer: _Printer, let: Let, level: int) -> None:
    _declare(printer, let.name, vector_type(printer.lengths, let.width))
    if let.width:
        text = vector_text(let.value, printer.vectors, suffix(printer.lengths, let.width))
    else:
        text = expression_text(let.value)
    _line(printer, level, f"{let.name} {'+=' if let.update else '='} {text}")


def _mask(printer: _Printer, mask: Mask, level: int) -> None:
    kind = next(b.element_type for b in printer.kernel.buffers if b.name == mask.address.buffer)
    pointer, value = _pointer(printer, mask.address), affine_text(mask.value)
    call = vector_call(printer.lengths, f"where_{kind}", mask.width, mask.name, pointer, value)
    _line(printer, level, f"{mask.name} = {call}")


def _index(printer: _Printer, index: Index, level: int) -> None:
    if index.width:
        ending = suffix(printer.lengths, index.width)
        _declare(printer, index.name, f"integers{ending}")
        _line(printer, level, f"{index.name} = zeros{ending}()")
        return
    _declare(printer, index.name, "int")
    _line(printer, level, f"{index.name} = {affine_text(index.value)}")


def _choose(printer: _Printer, choose: Choose, level: int) -> None:
    """NaN beats every number and is kept, so that a poisoned window is seen and not hidden."""
    if choose.width:
        for text in better_lines(
            printer.lengths, choose, expression_text(choose.value), affine_text(choose.position)
        ):
            _line(printer, level, text)
        return
    _declare(printer, choose.name, "real")
    _declare(printer, "candidate", "real")
    _declare(printer, "beats", "bint")
    _line(printer, level, f"candidate = {expression_text(choose.value)}")
    _line(printer, level, f"beats = (candidate {choose.better} {choose.name}) | (candidate != candidate)")
    _line(printer, level, f"{choose.name} = candidate if beats else {choose.name}")
    if choose.winner:
        _declare(printer, choose.winner, "int")
        _line(
            printer, level, f"{choose.winner} = {affine_text(choose.position)} if beats else {choose.winner}"
        )


def _store(printer: _Printer, store: Store, level: int) -> None:
    element = _element(printer, store.address)
    if isinstance(store.value, Affine) and store.width:
        kind = next(b.element_type for b in printer.kernel.buffers if b.name == store.address.buffer)
        pointer, value = _pointer(printer, store.address), affine_text(store.value)
        _line(printer, level, vector_call(printer.lengths, f"store_{kind}", store.width, pointer, value))
        return
    if isinstance(store.value, Affine):
        _line(printer, level, f"{element} = {affine_text(store.value)}")
        return
    text = expression_text(store.value)
    if store.width == 0:
        _line(printer, level, f"{element} {'+=' if store.accumulate else '='} {text}")
        return
    pointer = _pointer(printer, store.address)
    if store.accumulate:
        text = f"{vector_call(printer.lengths, 'load', store.width, pointer)} + {text}"
    _line(printer, level, vector_call(printer.lengths, "store", store.width, pointer, text))


def _fill(printer: _Printer, fill: Fill, level: int) -> None:
    name = printer.buffers[fill.buffer]
    _line(printer, level, f"memset({name}, 0, ({affine_text(fill.count)}) * sizeof({name}[0]))")


def _random(printer: _Printer, random: Random, level: int) -> None:
    _declare(printer, "i", "Py_ssize_t")
    count = f"batch * {random.row}" if random.per_example else str(random.row)
    element = f"first * {random.row} + i" if random.per_example else "i"
    _line(printer, level, f"for i in range({count}):")
    value = f"uniform(seed, {random.stream}, <uint32>({element}), step)"
    _line(printer, level + 1, f"{printer.buffers[random.buffer]}[i] = {value}")


def _list_names(lists: Lists) -> tuple[str, ...]:
    """Arrays of a set of lists: counts, values, and one for each integer of an entry."""
    parts = ("count", "value", *map(str, range(lists.integers)))
    return tuple(f"{lists.name}_{part}" for part in parts)


def _lists(printer: _Printer, lists: Lists, level: int) -> None:
    count, value, *integers = _list_names(lists)
    size = lists.buckets * lists.capacity
    _declare(printer, f"{count}[{lists.buckets}]", "int")
    _declare(printer, f"{value}[{size}]", "real")
    for name in integers:
        _declare(printer, f"{name}[{size}]", "int")
    _line(printer, level, f"memset({count}, 0, {lists.buckets} * sizeof({count}[0]))")


def _collect(printer: _Printer, collect: Collect, level: int) -> None:
    """The entry is always written and counted where it stays: a later one takes the place of a zero."""
    count, value, *integers = _list_names(collect.lists)
    bucket = affine_text(collect.bucket)
    _declare(printer, "entry", "Py_ssize_t")
    _line(printer, level, f"entry = {_first_entry(collect.lists, collect.bucket)}{count}[{bucket}]")
    _line(printer, level, f"{value}[entry] = {collect.value}")
    for name, integer in zip(integers, collect.integers, strict=True):
        _line(printer, level, f"{name}[entry] = <int>({affine_text(integer)})")
    _line(printer, level, f"{count}[{bucket}] += {collect.value} != <real>0")


def _first_entry(lists: Lists, bucket: Affine) -> str:
    """Where a bucket's list begins, as the first summand of a position."""
    return "" if lists.buckets == 1 else f"{affine_text(bucket * lists.capacity)} + "


def _buckets(printer: _Printer, statement: Buckets, level: int) -> None:
    _declare(printer, statement.variable, "Py_ssize_t")
    _line(printer, level, f"for {statement.variable} in range({statement.lists.buckets}):")
    _line(printer, level + 1, f"if {_list_names(statement.lists)[0]}[{statement.variable}]:")
    _block(printer, statement.body, level + 2)


def _each(printer: _Printer, each: Each, level: int) -> None:
    count, value, *integers = _list_names(each.lists)
    first = _first_entry(each.lists, each.bucket)
    end = f"{first}{count}[{affine_text(each.bucket)}]"
    start = f"{first.removesuffix(' + ')}, " if first else ""
    _declare(printer, "entry", "Py_ssize_t")
    _line(printer, level, f"for entry in range({start}{end}):")
    _declare(printer, each.value, "real")
    _line(printer, level + 1, f"{each.value} = {value}[entry]")
    for name, array in zip(each.integers, integers, strict=True):
        _declare(printer, name, "Py_ssize_t")
        _line(printer, level + 1, f"{name} = {array}[entry]")
    _block(printer, each.body, level + 1)


_STATEMENTS = {
    Loop: _loop,
    If: _if,
    Load: _load,
    Let: _let,
    Mask: _mask,
    Index: _index,
    Choose: _choose,
    Store: _store,
    Fill: _fill,
    Random: _random,
    Lists: _lists,
    Collect: _collect,
    Buckets: _buckets,
    Each: _each,
}
