"""A second backend, as small as one can be: a module's routines as plain C for a target without vectors.

    C function of each kernel      a form for each statement of the loop IR (`FORMS`)
    C function of each routine     phases, tiles in lanes, sums of lanes, calls: what the module IR holds

It reads the same data as `compiler/emit/cython` and as the interpreters, and nothing of either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import sympy

from compiler.ir.affine.expression import Affine, FloorDiv
from compiler.ir.loops import grammar as loops
from compiler.ir.module.grammar import OF_EXAMPLES, Area, Call, Parts, Pointer, Routine, Tiles
from compiler.ir.scalar.choices import Absolute, Extremum, Scalar, Select, Sign
from compiler.ir.scalar.conditions import Both, Comparison, Either, Negated
from compiler.ir.scalar.together import Together
from compiler.ir.tensor.program import Guard

HEAD = Path(__file__).with_name("plain_c.h").read_text(encoding="utf-8")
"""What the printed text calls."""
TYPES = {"real": "real", "index": "int32_t", "small": "uint8_t"}
AREAS: tuple[Area, ...] = get_args(Area)
"""A routine is given an address for each, in this order."""
MORE = "long v_batch, long v_part, long parts, uint32_t seed, uint32_t step, long first"
"""What every kernel is given besides its buffers."""


def local(name: str) -> str:
    """What C calls a local variable of a kernel: nothing that is a word of C's, or of this text's."""
    return f"v_{name}"


def index(affine: Affine) -> str:
    terms = [f"{coefficient} * {_atom(atom)}" for atom, coefficient in affine.terms]
    return f"({' + '.join([*terms, str(affine.constant)])})"


def _atom(atom: Any) -> str:
    if isinstance(atom, str):
        return local(atom)
    return f"{'fdiv' if isinstance(atom, FloorDiv) else 'fmod_'}({index(atom.numerator)}, {atom.divisor})"


def tested(guard: Guard) -> str:
    if guard.kind == "%":
        return f"fmod_({index(guard.affine)}, {guard.modulus}) == 0"
    return f"{index(guard.affine)} {guard.kind} 0"


def value(part: sympy.Basic) -> str:
    """An expression over local names."""
    if isinstance(part, sympy.Symbol):
        return local(part.name)
    if part.is_number:
        number = float(part)
        return str(number) if abs(number) != float("inf") else "-INFINITY" if number < 0 else "INFINITY"
    if part.is_Add or part.is_Mul:
        return f"({(' + ' if part.is_Add else ' * ').join(map(value, part.args))})"
    match part:
        case Select():
            condition, then, otherwise = part.args
            return f"({_condition(condition)} ? {value(then)} : {value(otherwise)})"
        case Extremum():
            condition, then, otherwise = part.choice
            first = value(then)
            return f"({_condition(condition)} || {first} != {first} ? {first} : {value(otherwise)})"
        case Absolute():
            return f"fabs({value(part.args[0])})"
        case Sign():
            return f"(real)(({value(part.args[0])} > 0) - ({value(part.args[0])} < 0))"
        case Together():
            return value(part.args[0])
        case sympy.Pow():
            return f"pow({value(part.base)}, {value(part.exp)})"
    name = part.name if isinstance(part, Scalar) else part.func.__name__
    return f"{name}({', '.join(map(value, part.args))})"


def _condition(part: sympy.Basic) -> str:
    match part:
        case Comparison():
            left, sign, right = part.sides
            return f"({value(left)} {sign} {value(right)})"
        case Negated():
            return f"(!{_condition(part.args[0])})"
        case Both() | Either():
            return f"({(' && ' if isinstance(part, Both) else ' || ').join(map(_condition, part.args))})"
    raise ValueError(f"no C for the condition {part}")


@dataclass
class Writer:
    """The lines of a kernel, and the local variables that they set."""

    kernel: loops.Kernel
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def buffer(self, name: str) -> str:
        return f"b{[buffer.name for buffer in self.kernel.buffers].index(name)}"

    def element(self, address: loops.Address) -> str:
        return f"{self.buffer(address.buffer)}[{index(address.offset)}]"

    def set(self, name: str, text: str, kind: str = "real") -> None:
        self.variables[local(name)] = kind
        self.lines.append(f"{local(name)} = {text};")

    def block(self, head: str, body: Sequence[loops.Statement]) -> None:
        self.lines.append(f"{head} {{")
        for statement in body:
            if getattr(statement, "width", 0) > 1:
                raise ValueError(f"{self.kernel.name}: plain C has vectors of one lane")
            FORMS[type(statement)](self, statement)
        self.lines.append("}")

    def loop(self, variable: str, bounds: tuple[str, str], step: int = 1) -> str:
        name = local(variable)
        self.variables[name] = "long"
        return f"for ({name} = {bounds[0]}; {name} < {bounds[1]}; {name} += {step})"

    def entries(self, lists: loops.Lists, bucket: Affine, span: loops.Span | None) -> tuple[str, str]:
        first = f"{lists.capacity} * {index(bucket)}"
        end = f"({first} + {local(lists.name)}_count[{index(bucket)}])"
        if span is None:
            return first, end
        return f"{local(span.start)} + {span.first}", f"least({end}, {local(span.start)} + {span.end})"


def _loop(w: Writer, loop: loops.Loop) -> None:
    lower, upper = _limit(loop.lower, "most", -1), _limit(loop.upper, "least", 1)
    if loop.shared:
        steps = f"-fdiv(-{upper}, {loop.step})"
        lower = f"{loop.step} * fdiv({steps} * v_part, parts)"
        upper = f"least({upper}, {loop.step} * fdiv({steps} * (v_part + 1), parts))"
    w.block(w.loop(loop.variable, (lower, upper), loop.step), loop.body)


def _limit(limits: tuple[loops.Limit, ...], choose: str, sign: int) -> str:
    """Rounded down, or up where the sign is that of a lower bound."""
    texts = [f"({sign} * fdiv({index(x.affine * sign)}, {x.divisor}))" for x in limits]
    text = texts[0]
    for other in texts[1:]:
        text = f"{choose}({text}, {other})"
    return text


def _if(w: Writer, choice: loops.If) -> None:
    tests = [*map(tested, choice.tests), *([f"{local(choice.nonzero)} != 0"] if choice.nonzero else [])]
    w.block(f"if ({' && '.join(tests) or '1'})", choice.body)
    if choice.otherwise:
        w.block("else", choice.otherwise)


def _load(w: Writer, load: loops.Load) -> None:
    text = w.element(load.address)
    if load.address.inside:
        outside = value(sympy.sympify(load.address.outside))
        text = f"{' && '.join(map(tested, load.address.inside))} ? {text} : {outside}"
    w.set(load.name, text, "long" if load.integer else "real")


def _let(w: Writer, let: loops.Let) -> None:
    w.set(let.name, f"{local(let.name)} + {value(let.value)}" if let.update else value(let.value))


def _choose(w: Writer, choose: loops.Choose) -> None:
    kept = local(choose.name)
    w.lines.append(f"candidate = {value(choose.value)};")
    w.lines.append(f"beats = candidate {choose.better} {kept} || candidate != candidate;")
    w.set(choose.name, f"beats ? candidate : {kept}")
    if choose.winner:
        w.set(choose.winner, f"beats ? {index(choose.position)} : {local(choose.winner)}", "long")


def _store(w: Writer, store: loops.Store) -> None:
    text = index(store.value) if isinstance(store.value, Affine) else value(store.value)
    w.lines.append(f"{w.element(store.address)} {'+=' if store.accumulate else '='} {text};")


def _fill(w: Writer, fill: loops.Fill) -> None:
    name = w.buffer(fill.buffer)
    w.lines.append(f"memset({name}, 0, {index(fill.count)} * sizeof *{name});")


def _random(w: Writer, random: loops.Random) -> None:
    row, name = random.row, w.buffer(random.buffer)
    count, start = (f"v_batch * {row}", f"first * {row}") if random.per_example else (row, 0)
    number = f"uniform(seed, {random.stream}, (uint32_t)({start} + i), step)"
    w.lines.append(f"for (long i = 0; i < {count}; i++) {name}[i] = {number};")


def _lists(w: Writer, lists: loops.Lists) -> None:
    room, name = lists.buckets * lists.capacity, local(lists.name)
    w.variables |= {f"{name}_count[{lists.buckets}]": "long", f"{name}_value[{room}]": "real"}
    w.variables |= {f"{name}_{k}[{room}]": "long" for k in range(lists.integers)}
    w.lines.append(f"memset({name}_count, 0, sizeof {name}_count);")


def _collect(w: Writer, collect: loops.Collect) -> None:
    name, bucket, kept = local(collect.lists.name), index(collect.bucket), local(collect.value)
    w.lines.append(f"entry = {collect.lists.capacity} * {bucket} + {name}_count[{bucket}];")
    w.lines.append(f"{name}_value[entry] = {kept};")
    for k, integer in enumerate(collect.integers):
        w.lines.append(f"{name}_{k}[entry] = {index(integer)};")
    w.lines.append(f"{name}_count[{bucket}] += {kept} != 0;")


def _points(w: Writer, points: loops.Points) -> None:
    name, variable = local(points.lists.name), local(points.variable)
    some = " || ".join(f"{w.element(address)} != 0" for address in points.addresses)
    w.lines.append("entry = 0;")
    w.lines.append(f"{w.loop(points.variable, ('0', index(points.count)))}")
    w.lines.append(f"if ({some}) {name}_0[entry++] = {variable};")
    w.lines.append(f"{name}_count[0] = entry;")


def _buckets(w: Writer, each: loops.Buckets) -> None:
    full = f"if ({local(each.lists.name)}_count[{local(each.variable)}])"
    w.block(f"{w.loop(each.variable, ('0', str(each.lists.buckets)))} {full}", each.body)


def _chunks(w: Writer, chunks: loops.Chunks) -> None:
    bounds = w.entries(chunks.lists, chunks.bucket, chunks.span)
    w.block(w.loop(chunks.variable, bounds, chunks.size), chunks.body)


def _each(w: Writer, each: loops.Each) -> None:
    (start, end), name = w.entries(each.lists, each.bucket, each.span), local(each.lists.name)
    at = f"at_{len(w.lines)}"
    w.lines.append(f"for (long {at} = {start}; {at} < {end}; {at}++) {{")
    if each.value is not None:
        w.set(each.value, f"{name}_value[{at}]")
    for k, integer in enumerate(each.integers):
        w.set(integer, f"{name}_{k}[{at}]", "long")
    w.block("", each.body)
    w.lines.append("}")


def _pick(w: Writer, pick: loops.Pick) -> None:
    text, *others = map(local, pick.values)
    for number, name in enumerate(others, 1):
        text = f"{w.element(pick.address)} == {number} ? {name} : ({text})"
    w.set(pick.name, text)


def _mask(w: Writer, mask: loops.Mask) -> None:
    w.set(mask.name, f"{w.element(mask.address)} == {index(mask.value)} ? {local(mask.name)} : 0")


def _largest(w: Writer, each: loops.Largest) -> None:
    w.set(each.name, "0", "long")
    w.lines.append(w.loop(each.variable, ("0", index(each.count))))
    w.set(each.name, f"most({local(each.name)}, {w.element(each.address)})", "long")


def _index(w: Writer, number: loops.Index) -> None:
    w.set(number.name, index(number.value), "long")


def _lanes(w: Writer, lanes: loops.Lanes) -> None:
    w.set(lanes.name, local(lanes.vector))


def _transpose(w: Writer, square: loops.Transpose | loops.Fetch) -> None:
    """Of one lane; and what is asked for comes anyway."""


_fetch = _transpose
FORMS: dict[type, Callable[[Writer, Any], None]] = {
    kind: globals()[f"_{kind.__name__.lower()}"] for kind in get_args(loops.Statement)
}
"""A form for every statement; a vector has one lane."""


def kernel_text(kernel: loops.Kernel, name: str) -> str:
    writer = Writer(kernel)
    writer.block("", kernel.body)
    given = [f"{TYPES[b.element]} *b{k}, " for k, b in enumerate(kernel.buffers)]
    declared = [f"{kind} {variable};" for variable, kind in writer.variables.items()]
    head = f"static void {name}({''.join(given)}{MORE}) {{"
    return "\n".join([head, "real candidate; int beats; long entry;", *declared, *writer.lines, "}"])


def routine_text(routine: Routine, inputs: Sequence[str], lanes: int, lane: int) -> str:
    """Its kernels and a C function; `lanes` is how many there are, and `lane` the values of each."""
    kernels: dict[int, tuple[str, str]] = {}
    for call in routine.calls:
        name = f"{routine.name}_kernel_{len(kernels)}"
        kernels.setdefault(id(call.kernel), (name, kernel_text(call.kernel, name)))

    def called(call: Call, batch: str, first: str, part: str = "0", parts: str = "1") -> str:
        pointers = [_pointer(p, inputs, lane, first) for p in call.pointers]
        more = [batch, part, parts, "seed", "step", first]
        return f"{kernels[id(call.kernel)][0]}({', '.join([*pointers, *more])});"

    head = f"void {routine.name}(void **areas, void **inputs, long all, uint32_t seed, uint32_t step)"
    lines = [head, "{ long at = 0;"]
    for phase in routine.phases:
        for step in phase.before:
            shared = isinstance(step, Parts)
            lines += [f"for (long part = 0; part < {3 if shared else 1}; part++)"]
            lines += [called(step.call, "all", "0", "part", "3" if shared else "1")]
        if phase.tiles:
            lines += _tiles(routine, phase.tiles, called, lanes, lane)
    texts = [text for _, text in kernels.values()]
    return "\n".join([*texts, *lines, "(void)at;", "}"])


def _tiles(
    routine: Routine, tiles: Tiles, called: Callable[[Call, str, str], str], lanes: int, lane: int
) -> list[str]:
    """A lane is a fixed set of tiles in a fixed order; lanes are summed in order."""
    held, total = (f"((real *)areas[{AREAS.index(area)}])" for area in ("lane", "total"))
    lines = [f"for (at = 0; at < {lanes}; at++) {{"]
    lines += [
        f"memset({held} + at * {lane} + {s.start}, 0, {s.stop - s.start} * sizeof(real));" for s in tiles.sums
    ]
    lines += [f"long size = {routine.least};"]
    lines += [f"while (size < {routine.tile} && size * {lanes} < all) size *= 2;"]
    lines += [f"for (long first = at * size; first < all; first += {lanes} * size) {{"]
    lines += ["long batch = least(size, all - first);"]
    lines += [called(call, "batch", "first") for call in tiles.calls]
    lines += ["}", "}"]
    for s in tiles.sums:
        lines += [f"for (long i = {s.start}; i < {s.stop}; i++) {{ real sum = 0;"]
        lines += [f"for (int k = 0; k < {lanes}; k++) sum += {held}[k * {lane} + i];"]
        lines += [f"{total}[i] = sum; }}"]
    return lines


def _pointer(pointer: Pointer, inputs: Sequence[str], lane: int, first: str) -> str:
    """The address of a tensor: of what has a value for each example, from the first of the tile on."""
    place, kind = pointer.place, TYPES[pointer.element]
    row = f" + {first} * {pointer.size}" if pointer.batched else ""
    area = f"areas[{AREAS.index(place.area)}]"
    if place.area in ("input", "label"):
        return f"({kind} *)inputs[{inputs.index(pointer.tensor)}]{row} + {pointer.base}"
    if place.area in ("tile", "shared"):
        return f"({kind} *)((char *){area} + {place.offset}) + {pointer.base}"
    offset = f"{place.offset} * all" if place.area in OF_EXAMPLES else str(place.offset)
    offset += f" + at * {lane}" if place.area == "lane" else ""
    return f"({kind} *)((real *){area} + {offset}){row} + {pointer.base}"
