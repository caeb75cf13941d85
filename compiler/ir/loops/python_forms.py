"""What each statement of a loop nest does, as Python lines over NumPy: a table of one form for each class."""

from __future__ import annotations

import sympy

from compiler.ir.affine.expression import Affine
from compiler.ir.loops.grammar import (
    Buckets,
    Choose,
    Chunks,
    Collect,
    Each,
    Fetch,
    Fill,
    If,
    Index,
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
    Store,
    Transpose,
)
from compiler.ir.loops.python_code import Code, Form
from compiler.ir.tensor.counter_random import uniform

LIMITS = {"index": (-(2**31), 2**31), "small": (0, 2**8)}
"""Integers that an element can hold: from, and to before."""


def _loop(code: Code, loop: Loop, level: int) -> None:
    lower, upper = _limit(code, loop.lower, "largest", "-"), _limit(code, loop.upper, "smallest", "")
    if loop.shared:
        steps = f"-(-{upper} // {loop.step})"
        first, last = (f"{loop.step} * ({steps} * {number} // parts)" for number in ("part", "(part + 1)"))
        lower, upper = first, f"smallest({upper}, {last})"
    code.line(level, f"for {code.names[loop.variable]} in range({lower}, {upper}, {loop.step}):")
    code.block(loop.body, level + 1)


def _limit(code: Code, limits: tuple[Limit, ...], choose: str, sign: str) -> str:
    """Rounded down, or where `sign` is a minus up."""
    texts = [
        f"{sign}(({code.expressions.index(limit.affine * (-1 if sign else 1))}) // {limit.divisor})"
        for limit in limits
    ]
    return texts[0] if len(texts) == 1 else f"{choose}({', '.join(texts)})"


def _if(code: Code, statement: If, level: int) -> None:
    tests = [code.expressions.test(guard) for guard in statement.tests]
    tests += [f"{code.names[statement.nonzero]} != 0"] if statement.nonzero else []
    code.line(level, f"if {' and '.join(tests) or 'True'}:")
    code.block(statement.body, level + 1)
    if statement.otherwise:
        code.line(level, "else:")
        code.block(statement.otherwise, level + 1)


def _load(code: Code, load: Load, level: int) -> None:
    name, inside = code.names[load.name], load.address.inside
    if inside:
        code.line(level, f"if {' and '.join(map(code.expressions.test, inside))}:")
    value = code.read(load, load.address, load.width, level + bool(inside))
    value = f"int({value})" if load.integer else f"{value}.copy()" if load.width else value
    code.line(level + bool(inside), f"{name} = {value}")
    if inside:
        outside = code.expressions.value(sympy.sympify(load.address.outside), False)
        code.line(level, f"else: {name} = {outside}")


def _let(code: Code, let: Let, level: int) -> None:
    name, value = code.names[let.name], code.expressions.value(let.value, bool(let.width))
    if let.update:
        code.line(level, f"{name} = {name} + {value}")
    elif let.width:
        # A number or a scalar becomes a vector, and what has other lanes than it says does not fit.
        code.line(level, f"{name} = np.empty({let.width}, dtype)")
        code.line(level, f"{name}[:] = {value}")
    else:
        code.line(level, f"{name} = {value}")


def _mask(code: Code, mask: Mask, level: int) -> None:
    name, numbers = code.names[mask.name], code.read(mask, mask.address, mask.width, level)
    code.line(level, f"{name} = where({numbers} == {code.expressions.index(mask.value)}, {name}, dtype(0))")


def _pick(code: Code, pick: Pick, level: int) -> None:
    name, (first, *others) = code.names[pick.name], (code.names[value] for value in pick.values)
    code.line(level, f"numbers = {code.read(pick, pick.address, pick.width, level)}.copy()")
    code.line(level, f"{name} = {first}")
    for number, value in enumerate(others, 1):
        code.line(level, f"{name} = where(numbers == {number}, {value}, {name})")


def _transpose(code: Code, transpose: Transpose, level: int) -> None:
    names = ", ".join(code.names[value] for value in transpose.values)
    code.line(level, f"{names} = np.array([{names}]).T.copy()")


def _lanes(code: Code, lanes: Lanes, level: int) -> None:
    code.line(level, f"{code.names[lanes.name]} = {code.names[lanes.vector]}.sum(dtype=dtype)")


def _index(code: Code, index: Index, level: int) -> None:
    value = code.expressions.index(index.value)
    value = f"np.full({index.width}, {value})" if index.width else value
    code.line(level, f"{code.names[index.name]} = {value}")


def _largest(code: Code, statement: Largest, level: int) -> None:
    name, variable = code.names[statement.name], code.names[statement.variable]
    code.line(level, f"{name} = 0")
    code.line(level, f"for {variable} in range({code.expressions.index(statement.count)}):")
    value = code.read(statement, statement.address, 0, level + 1)
    code.line(level + 1, f"{name} = largest({name}, int({value}))")


def _choose(code: Code, choose: Choose, level: int) -> None:
    """NaN beats every number and is kept."""
    name, vector = code.names[choose.name], bool(choose.width)
    code.line(level, f"candidate = {code.expressions.value(choose.value, vector)}")
    code.line(level, f"beats = (candidate {choose.better} {name}) | (candidate != candidate)")
    better = [(name, "candidate")]
    if choose.winner:
        better.append((code.names[choose.winner], code.expressions.index(choose.position)))
    for kept, new in better:
        chosen = f"where(beats, {new}, {kept})" if vector else f"{new} if beats else {kept}"
        code.line(level, f"{kept} = {chosen}")


def _store(code: Code, store: Store, level: int) -> None:
    if isinstance(store.value, Affine):
        return _store_integer(code, store, store.value, level)
    code.line(level, f"value = {code.expressions.value(store.value, bool(store.width))}")
    if store.accumulate:
        code.line(level, f"value = {code.read(store, store.address, store.width, level)} + value")
    code.line(level, f"{code.written(store, store.address, store.width, level)} = value")


def _store_integer(code: Code, store: Store, value: Affine, level: int) -> None:
    code.line(level, f"value = {code.expressions.index(value)}")
    element = code.kernel.buffers[code.buffer(store.address.buffer)].element
    where = code.written(store, store.address, store.width, level)
    if element in LIMITS:
        low, high = LIMITS[element]
        fits = f"{low} <= np.min(value) and np.max(value) < {high}"
        message = f"f'{{value}} is no {element} integer'"
        code.line(level, f"if not ({fits}): fails({len(code.checked) - 1}, {message})")
    code.line(level, f"{where} = value")


def _fetch(code: Code, fetch: Fetch, level: int) -> None:
    """Nothing happens, inside a tensor."""
    code.inside(fetch, fetch.address, 0, level)


def _fill(code: Code, fill: Fill, level: int) -> None:
    k, number = code.buffer(fill.buffer), code.number(fill)
    first = code.kernel.buffers[k].base
    code.line(level, f"end = {first} + {code.expressions.index(fill.count)}")
    code.line(level, f"if end > size_{k}: leaves({number}, {k}, end - 1)")
    code.line(level, f"values_{k}[{first}:end] = 0")
    code.mark(k, f"{first}:end", f"b'\\1' * (end - {first})", level)


def _random(code: Code, random: Random, level: int) -> None:
    k, number = code.buffer(random.buffer), code.number(random)
    first = f"arguments.first * {random.row}" if random.per_example else "0"
    base, count = code.kernel.buffers[k].base, f"{random.row}{' * batch' * random.per_example}"
    code.line(level, f"end = {base} + {count}")
    code.line(level, f"if end > size_{k}: leaves({number}, {k}, end - 1)")
    elements = f"np.arange({first}, {first} + {count})"
    value = f"uniform(arguments.seed, arguments.step, {random.stream}, {elements})"
    code.expressions.constants["uniform"] = uniform
    code.line(level, f"values_{k}[{base}:end] = {value}")
    code.mark(k, f"{base}:end", f"b'\\1' * (end - {base})", level)


def _arrays(lists: Lists) -> tuple[str, ...]:
    """Python variables of a set of lists: counts, values, one for each integer of an entry."""
    parts = ("count", "value", *map(str, range(lists.integers)))
    return tuple(f"list_{part}_{lists.name.encode().hex()}" for part in parts)


def _lists(code: Code, lists: Lists, level: int) -> None:
    count, *others = _arrays(lists)
    code.line(level, f"{count} = [0] * {lists.buckets}")
    for name in others:
        code.line(level, f"{name} = [None] * {lists.buckets * lists.capacity}")


def _collect(code: Code, collect: Collect, level: int) -> None:
    """The entry is always written and counted where it stays: a later one takes the place of a zero."""
    count, value, *integers = _arrays(collect.lists)
    capacity, number = collect.lists.capacity, code.number(collect)
    code.line(level, f"bucket = {code.expressions.index(collect.bucket)}")
    outside = f"fails({number}, f'there is no bucket {{bucket}}')"
    code.line(level, f"if not 0 <= bucket < {collect.lists.buckets}: {outside}")
    code.line(level, f"if {count}[bucket] >= {capacity}: fails({number}, 'the list is full')")
    code.line(level, f"entry = {capacity} * bucket + {count}[bucket]")
    code.line(level, f"{value}[entry] = {code.names[collect.value]}")
    for name, integer in zip(integers, collect.integers, strict=True):
        code.line(level, f"{name}[entry] = {code.expressions.index(integer)}")
    code.line(level, f"{count}[bucket] += int({code.names[collect.value]} != 0)")


def _points(code: Code, points: Points, level: int) -> None:
    count, _, position = _arrays(points.lists)
    variable, upper = code.names[points.variable], code.expressions.index(points.count)
    full = f"fails({code.number(points)}, 'there are more points than a list holds')"
    code.line(level, f"if {upper} > {points.lists.capacity}: {full}")
    code.line(level, "entry = 0")
    code.line(level, f"for {variable} in range({upper}):")
    code.line(level + 1, "magnitude = dtype(0)")
    for address in points.addresses:
        element = code.read(points, address, 0, level + 1)
        code.line(level + 1, f"magnitude = magnitude + abs({element})")
    code.line(level + 1, f"{position}[entry] = {variable}")
    code.line(level + 1, "entry += int(magnitude != 0)")
    code.line(level, f"{count}[0] = entry")


def _buckets(code: Code, statement: Buckets, level: int) -> None:
    variable = code.names[statement.variable]
    code.line(level, f"for {variable} in range({statement.lists.buckets}):")
    code.line(level + 1, f"if {_arrays(statement.lists)[0]}[{variable}]:")
    code.block(statement.body, level + 2)


def _range(code: Code, lists: Lists, bucket: Affine, span: Span | None) -> tuple[str, str]:
    """The numbers of a bucket's entries, or of a span of them: from, and to before."""
    place = code.expressions.index(bucket)
    first = f"{lists.capacity} * ({place})"
    end = f"{first} + {_arrays(lists)[0]}[{place}]"
    if span is None:
        return first, end
    start = code.names[span.start]
    # The first entry of a chunk is taken without a question.
    stop = f"{start} + 1" if span.end == 1 else f"smallest({end}, {start} + {span.end})"
    return f"{start} + {span.first}", stop


def _chunks(code: Code, chunks: Chunks, level: int) -> None:
    start, end = _range(code, chunks.lists, chunks.bucket, chunks.span)
    code.line(level, f"for {code.names[chunks.variable]} in range({start}, {end}, {chunks.size}):")
    code.block(chunks.body, level + 1)


def _each(code: Code, each: Each, level: int) -> None:
    count, value, *integers = _arrays(each.lists)
    place, number = code.expressions.index(each.bucket), code.number(each)
    start, end = _range(code, each.lists, each.bucket, each.span)
    # A list may be walked inside a walk, whose number must stay.
    entry = f"entry_{number}"
    code.line(level, f"for {entry} in range({start}, {end}):")
    beyond = f"{entry} >= {each.lists.capacity} * ({place}) + {count}[{place}]"
    code.line(level + 1, f"if {beyond}: fails({number}, 'the list has fewer entries')")
    names = [] if each.value is None else [(each.value, value)]
    for name, array in [*names, *zip(each.integers, integers, strict=True)]:
        code.line(level + 1, f"{code.names[name]} = {array}[{entry}]")
    code.block(each.body, level + 1)


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
    Lists: _lists,
    Collect: _collect,
    Points: _points,
    Buckets: _buckets,
    Chunks: _chunks,
    Each: _each,
}
