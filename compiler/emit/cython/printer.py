"""Prints loop nests as Cython: one line a statement, and what must be declared before them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy

from compiler.emit.cython.expressions import (
    affine_text,
    expression_text,
    guard_text,
    number_text,
    vector_text,
)
from compiler.emit.cython.lists import (
    list_names,
    print_buckets,
    print_chunks,
    print_collect,
    print_each,
    print_lists,
    print_points,
)
from compiler.emit.cython.names import unique_identifiers
from compiler.emit.cython.vectors import better_lines, suffix, vector_call, vector_type
from compiler.errors import CompilerBug
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import (
    Address,
    Buckets,
    Choose,
    Chunks,
    Collect,
    Each,
    Fill,
    If,
    Index,
    Kernel,
    Lanes,
    Let,
    Limit,
    Lists,
    Load,
    Loop,
    Mask,
    Pick,
    Points,
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
class Printer:
    kernel: Kernel
    buffers: Mapping[str, str]
    lengths: tuple[int, ...]
    """Lanes of the vector types, the shortest first."""
    vectors: frozenset[str]
    addressing: frozenset[str]
    """Local names that occur in an offset or a bound: those must be as wide as a pointer."""
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def line(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def declare(self, name: str, kind: str) -> None:
        known = self.variables.setdefault(name, kind)
        if known != kind:
            raise CompilerBug(f"local variable {name} is both {known} and {kind}")

    def block(self, body: Iterable[Statement], level: int) -> None:
        for statement in body:
            _STATEMENTS[type(statement)](self, statement, level)

    def element(self, address: Address) -> str:
        return f"{self.buffers[address.buffer]}[{affine_text(address.offset)}]"


def print_kernel(kernel: Kernel, lengths: tuple[int, ...]) -> PrintedKernel:
    """Cython text of a kernel; `lengths` are the lanes of the machine's vector types, the shortest first."""
    locals_ = _local_names(kernel.body)
    buffers = unique_identifiers((buffer.name for buffer in kernel.buffers), locals_)
    printer = Printer(kernel, buffers, lengths, _vector_names(kernel.body), _addressing(kernel.body))
    printer.block(kernel.body, 1)
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
            names |= {"entry", *list_names(statement)}
        elif isinstance(statement, Buckets | Chunks | Points):
            names.add(statement.variable)
        elif isinstance(statement, Each):
            names |= {*statement.integers, *filter(None, [statement.value])}
        elif isinstance(statement, Load | Let | Index | Choose | Pick | Lanes):
            names.add(statement.name)
    return names


def _vector_names(body: tuple[Statement, ...]) -> frozenset[str]:
    return frozenset(s.name for s in statements(body) if isinstance(s, Load | Let | Pick) and s.width)


def _addressing(body: tuple[Statement, ...]) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    for statement in statements(body):
        if isinstance(statement, Load | Store):
            names |= statement.address.offset.axes
        elif isinstance(statement, Points):
            names = names.union(statement.count.axes, *(a.offset.axes for a in statement.addresses))
        elif isinstance(statement, Collect):
            names = names.union(statement.bucket.axes, *(integer.axes for integer in statement.integers))
        elif isinstance(statement, Loop):
            names = names.union(*(limit.affine.axes for limit in (*statement.lower, *statement.upper)))
    return names


def _loop(printer: Printer, loop: Loop, level: int) -> None:
    printer.declare(loop.variable, "Py_ssize_t")
    if loop.shared:
        return _shared_loop(printer, loop, level)
    lower = _limits(loop.lower, "ceil_div", "index_max")
    upper = _limits(loop.upper, "index_div", "index_min")
    if loop.step != 1:
        bounds = f"{lower}, {upper}, {loop.step}"
    else:
        bounds = upper if lower == "0" else f"{lower}, {upper}"
    printer.line(level, f"for {loop.variable} in range({bounds}):")
    printer.block(loop.body, level + 1)


def _shared_loop(printer: Printer, loop: Loop, level: int) -> None:
    """The steps of a loop that belong to one part: as many as to any other, or one more or less."""
    (limit,) = loop.upper
    end = limit.affine.constant // limit.divisor
    steps = -(-end // loop.step)
    first, last = (f"{loop.step} * ({steps} * {part} // parts)" for part in ("part", "(part + 1)"))
    printer.line(level, f"for {loop.variable} in range({first}, index_min({end}, {last}), {loop.step}):")
    printer.block(loop.body, level + 1)


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


def _if(printer: Printer, statement: If, level: int) -> None:
    tests = [guard_text(guard) for guard in statement.tests]
    if statement.nonzero:
        tests.append(f"{statement.nonzero} != <real>0")
    printer.line(level, f"if {' and '.join(tests)}:")
    printer.block(statement.body, level + 1)
    if statement.otherwise:
        printer.line(level, "else:")
        printer.block(statement.otherwise, level + 1)


def _load(printer: Printer, load: Load, level: int) -> None:
    element = printer.element(load.address)
    if load.integer:
        # What only a test compares is 32 bits wide, so that a vector holds as many of them as of reals.
        printer.declare(load.name, "Py_ssize_t" if load.name in printer.addressing else "int")
    else:
        printer.declare(load.name, vector_type(printer.lengths, load.width))
    if load.width == 0:
        value = element
    else:
        value = vector_call(printer.lengths, "load", load.width, _pointer(printer, load.address))
    if load.address.inside:
        tests = " and ".join(map(guard_text, load.address.inside))
        value = f"({value} if {tests} else {number_text(sympy.sympify(load.address.outside))})"
    printer.line(level, f"{load.name} = {value}")


def _pointer(printer: Printer, address: Address) -> str:
    name = printer.buffers[address.buffer]
    text = affine_text(address.offset)
    return name if text == "0" else f"{name} + {text}"


def _let(printer: Printer, let: Let, level: int) -> None:
    printer.declare(let.name, vector_type(printer.lengths, let.width))
    if let.width:
        text = vector_text(let.value, printer.vectors, suffix(printer.lengths, let.width))
    else:
        text = expression_text(let.value)
    printer.line(level, f"{let.name} {'+=' if let.update else '='} {text}")


def _mask(printer: Printer, mask: Mask, level: int) -> None:
    kind = next(b.element_type for b in printer.kernel.buffers if b.name == mask.address.buffer)
    pointer, value = _pointer(printer, mask.address), affine_text(mask.value)
    call = vector_call(printer.lengths, f"where_{kind}", mask.width, mask.name, pointer, value)
    printer.line(level, f"{mask.name} = {call}")


def _pick(printer: Printer, pick: Pick, level: int) -> None:
    kind = next(b.element_type for b in printer.kernel.buffers if b.name == pick.address.buffer)
    ending = suffix(printer.lengths, pick.width)
    numbers = f"{pick.name}_numbers"
    printer.declare(numbers, f"integers{ending}")
    printer.declare(pick.name, f"vector{ending}")
    printer.line(level, f"{numbers} = widen_{kind}{ending}({_pointer(printer, pick.address)}, {pick.width})")
    first, *others = pick.values
    printer.line(level, f"{pick.name} = {first}")
    for number, value in enumerate(others, 1):
        printer.line(level, f"{pick.name} = pick{ending}({numbers}, {number}, {value}, {pick.name})")


def _lanes(printer: Printer, lanes: Lanes, level: int) -> None:
    printer.declare(lanes.name, "real")
    printer.line(level, f"{lanes.name} = lanes{suffix(printer.lengths, lanes.width)}({lanes.vector})")


def _index(printer: Printer, index: Index, level: int) -> None:
    if index.width:
        ending = suffix(printer.lengths, index.width)
        printer.declare(index.name, f"integers{ending}")
        printer.line(level, f"{index.name} = zeros{ending}()")
        return
    printer.declare(index.name, "int")
    printer.line(level, f"{index.name} = {affine_text(index.value)}")


def _choose(printer: Printer, choose: Choose, level: int) -> None:
    """NaN beats every number and is kept, so that a poisoned window is seen and not hidden."""
    if choose.width:
        for text in better_lines(
            printer.lengths, choose, expression_text(choose.value), affine_text(choose.position)
        ):
            printer.line(level, text)
        return
    printer.declare(choose.name, "real")
    printer.declare("candidate", "real")
    printer.declare("beats", "bint")
    printer.line(level, f"candidate = {expression_text(choose.value)}")
    printer.line(level, f"beats = (candidate {choose.better} {choose.name}) | (candidate != candidate)")
    printer.line(level, f"{choose.name} = candidate if beats else {choose.name}")
    if choose.winner:
        printer.declare(choose.winner, "int")
        printer.line(level, f"{choose.winner} = {affine_text(choose.position)} if beats else {choose.winner}")


def _store(printer: Printer, store: Store, level: int) -> None:
    element = printer.element(store.address)
    if isinstance(store.value, Affine) and store.width:
        kind = next(b.element_type for b in printer.kernel.buffers if b.name == store.address.buffer)
        pointer, value = _pointer(printer, store.address), affine_text(store.value)
        printer.line(level, vector_call(printer.lengths, f"store_{kind}", store.width, pointer, value))
        return
    if isinstance(store.value, Affine):
        printer.line(level, f"{element} = {affine_text(store.value)}")
        return
    text = expression_text(store.value)
    if store.width == 0:
        printer.line(level, f"{element} {'+=' if store.accumulate else '='} {text}")
        return
    pointer = _pointer(printer, store.address)
    if store.accumulate:
        text = f"{vector_call(printer.lengths, 'load', store.width, pointer)} + {text}"
    printer.line(level, vector_call(printer.lengths, "store", store.width, pointer, text))


def _fill(printer: Printer, fill: Fill, level: int) -> None:
    name = printer.buffers[fill.buffer]
    printer.line(level, f"memset({name}, 0, ({affine_text(fill.count)}) * sizeof({name}[0]))")


def _random(printer: Printer, random: Random, level: int) -> None:
    printer.declare("i", "Py_ssize_t")
    count = f"batch * {random.row}" if random.per_example else str(random.row)
    element = f"first * {random.row} + i" if random.per_example else "i"
    printer.line(level, f"for i in range({count}):")
    value = f"uniform(seed, {random.stream}, <uint32>({element}), step)"
    printer.line(level + 1, f"{printer.buffers[random.buffer]}[i] = {value}")


_STATEMENTS = {
    Loop: _loop,
    If: _if,
    Load: _load,
    Let: _let,
    Mask: _mask,
    Pick: _pick,
    Lanes: _lanes,
    Index: _index,
    Choose: _choose,
    Store: _store,
    Fill: _fill,
    Random: _random,
    Lists: print_lists,
    Collect: print_collect,
    Points: print_points,
    Buckets: print_buckets,
    Chunks: print_chunks,
    Each: print_each,
}
