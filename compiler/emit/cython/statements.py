"""Prints scalar and vector statements, loops and tests as Cython: a table of one form for each of them."""

from __future__ import annotations

import sympy

from compiler.emit.cython.expressions import (
    affine_text,
    expression_text,
    guard_text,
    low_precision_text,
    number_text,
    vector_text,
)
from compiler.emit.cython.vectors import better_lines, suffix, vector_call, vector_type
from compiler.emit.cython.writer import Form, Writer
from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import (
    Choose,
    Fetch,
    Fill,
    If,
    Index,
    Lanes,
    Largest,
    Let,
    Limit,
    Load,
    Loop,
    Mask,
    Pick,
    Random,
    Store,
    Transpose,
)
from compiler.ir.scalar.bfloat16 import Products


def _loop(writer: Writer, loop: Loop, level: int) -> None:
    writer.declare(loop.variable, "Py_ssize_t")
    if loop.shared:
        return _shared_loop(writer, loop, level)
    lower = _limits(loop.lower, "ceil_div", "index_max")
    upper = _limits(loop.upper, "index_div", "index_min")
    if loop.step != 1:
        bounds = f"{lower}, {upper}, {loop.step}"
    else:
        bounds = upper if lower == "0" else f"{lower}, {upper}"
    writer.line(level, f"for {loop.variable} in range({bounds}):")
    writer.block(loop.body, level + 1)


def _shared_loop(writer: Writer, loop: Loop, level: int) -> None:
    """The steps of a loop that belong to one part: as many as to any other, or one more or less."""
    (limit,) = loop.upper
    end = limit.affine.constant // limit.divisor
    steps = -(-end // loop.step)
    first, last = (f"{loop.step} * ({steps} * {part} // parts)" for part in ("part", "(part + 1)"))
    writer.line(level, f"for {loop.variable} in range({first}, index_min({end}, {last}), {loop.step}):")
    writer.block(loop.body, level + 1)


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


def _if(writer: Writer, statement: If, level: int) -> None:
    tests = [guard_text(guard) for guard in statement.tests]
    if statement.nonzero:
        tests.append(f"{statement.nonzero} != <real>0")
    writer.line(level, f"if {' and '.join(tests)}:")
    writer.block(statement.body, level + 1)
    if statement.otherwise:
        writer.line(level, "else:")
        writer.block(statement.otherwise, level + 1)


def _load(writer: Writer, load: Load, level: int) -> None:
    element = writer.element(load.address)
    if load.integer:
        # What only a test compares is 32 bits wide, so that a vector holds as many of them as of reals.
        writer.declare(load.name, "Py_ssize_t" if load.name in writer.addressing else "int")
    else:
        writer.declare(load.name, vector_type(writer.lengths, load.width))
    if load.width == 0:
        value = element
    else:
        value = vector_call(writer.lengths, "load", load.width, writer.pointer(load.address))
    if load.address.inside:
        tests = " and ".join(map(guard_text, load.address.inside))
        value = f"({value} if {tests} else {number_text(sympy.sympify(load.address.outside))})"
    writer.line(level, f"{load.name} = {value}")


def _let(writer: Writer, let: Let, level: int) -> None:
    writer.declare(let.name, vector_type(writer.lengths, let.width))
    if let.width:
        text = vector_text(let.value, writer.vectors, suffix(writer.lengths, let.width))
    else:
        text = expression_text(let.value)
    if let.update and let.width and isinstance(let.value, Products):
        ending = suffix(writer.lengths, let.width)
        writer.line(
            level, f"{let.name} = {low_precision_text(let.value, writer.vectors, ending, onto=let.name)}"
        )
        return
    writer.line(level, f"{let.name} {'+=' if let.update else '='} {text}")


def _mask(writer: Writer, mask: Mask, level: int) -> None:
    kind = writer.element_type(mask.address)
    pointer, value = writer.pointer(mask.address), affine_text(mask.value)
    call = vector_call(writer.lengths, f"where_{kind}", mask.width, mask.name, pointer, value)
    writer.line(level, f"{mask.name} = {call}")


def _pick(writer: Writer, pick: Pick, level: int) -> None:
    kind = writer.element_type(pick.address)
    ending = suffix(writer.lengths, pick.width)
    numbers = f"{pick.name}_numbers"
    writer.declare(numbers, f"integers{ending}")
    writer.declare(pick.name, f"vector{ending}")
    writer.line(level, f"{numbers} = widen_{kind}{ending}({writer.pointer(pick.address)}, {pick.width})")
    first, *others = pick.values
    writer.line(level, f"{pick.name} = {first}")
    for number, value in enumerate(others, 1):
        writer.line(level, f"{pick.name} = pick{ending}({numbers}, {number}, {value}, {pick.name})")


def _transpose(writer: Writer, transpose: Transpose, level: int) -> None:
    vectors = (f"&{value}" for value in transpose.values)
    writer.line(level, vector_call(writer.lengths, "transpose", transpose.width, *vectors))


def _lanes(writer: Writer, lanes: Lanes, level: int) -> None:
    writer.declare(lanes.name, "real")
    writer.line(level, f"{lanes.name} = lanes{suffix(writer.lengths, lanes.width)}({lanes.vector})")


def _index(writer: Writer, index: Index, level: int) -> None:
    if index.width:
        ending = suffix(writer.lengths, index.width)
        writer.declare(index.name, f"integers{ending}")
        writer.line(level, f"{index.name} = zeros{ending}()")
        return
    writer.declare(index.name, "int")
    writer.line(level, f"{index.name} = {affine_text(index.value)}")


def _largest(writer: Writer, largest: Largest, level: int) -> None:
    for name in (largest.name, largest.variable):
        writer.declare(name, "Py_ssize_t")
    writer.line(level, f"{largest.name} = 0")
    writer.line(level, f"for {largest.variable} in range({affine_text(largest.count)}):")
    value = f"index_max({largest.name}, {writer.element(largest.address)})"
    writer.line(level + 1, f"{largest.name} = {value}")


def _choose(writer: Writer, choose: Choose, level: int) -> None:
    """NaN beats every number and is kept, so that a poisoned window is seen and not hidden."""
    if choose.width:
        for text in better_lines(
            writer.lengths, choose, expression_text(choose.value), affine_text(choose.position)
        ):
            writer.line(level, text)
        return
    writer.declare(choose.name, "real")
    writer.declare("candidate", "real")
    writer.declare("beats", "bint")
    writer.line(level, f"candidate = {expression_text(choose.value)}")
    writer.line(level, f"beats = (candidate {choose.better} {choose.name}) | (candidate != candidate)")
    writer.line(level, f"{choose.name} = candidate if beats else {choose.name}")
    if choose.winner:
        writer.declare(choose.winner, "int")
        writer.line(level, f"{choose.winner} = {affine_text(choose.position)} if beats else {choose.winner}")


def _store(writer: Writer, store: Store, level: int) -> None:
    element = writer.element(store.address)
    if isinstance(store.value, Affine) and store.width:
        kind = writer.element_type(store.address)
        pointer, value = writer.pointer(store.address), affine_text(store.value)
        writer.line(level, vector_call(writer.lengths, f"store_{kind}", store.width, pointer, value))
        return
    if isinstance(store.value, Affine):
        writer.line(level, f"{element} = {affine_text(store.value)}")
        return
    text = expression_text(store.value)
    if store.width == 0:
        writer.line(level, f"{element} {'+=' if store.accumulate else '='} {text}")
        return
    pointer = writer.pointer(store.address)
    if store.accumulate:
        text = f"{vector_call(writer.lengths, 'load', store.width, pointer)} + {text}"
    writer.line(level, vector_call(writer.lengths, "store", store.width, pointer, text))


def _fetch(writer: Writer, fetch: Fetch, level: int) -> None:
    writer.line(level, f"fetch({writer.pointer(fetch.address)})")


def _fill(writer: Writer, fill: Fill, level: int) -> None:
    name = writer.buffers[fill.buffer]
    writer.line(level, f"memset({name}, 0, ({affine_text(fill.count)}) * sizeof({name}[0]))")


def _random(writer: Writer, random: Random, level: int) -> None:
    writer.declare("i", "Py_ssize_t")
    count = f"batch * {random.row}" if random.per_example else str(random.row)
    element = f"first * {random.row} + i" if random.per_example else "i"
    writer.line(level, f"for i in range({count}):")
    value = f"uniform(seed, {random.stream}, <uint32>({element}), step)"
    writer.line(level + 1, f"{writer.buffers[random.buffer]}[i] = {value}")


FORMS: dict[type, Form] = {
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
    Fetch: _fetch,
    Fill: _fill,
    Random: _random,
}
