"""Kernel calls as text: a pointer for each buffer, and what a kernel is given besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from compiler.ir.loops.grammar import Kernel, Random
from compiler.ir.loops.walk import statements
from compiler.ir.module.grammar import Call, Pointer
from compiler.ir.module.supersteps import sums_at_once
from compiler.ir.tensor.printer import print_name

ELEMENT_TYPES = {"real": "real", "index": "int32", "small": "uint8"}
WIDTH = 96

NameOf = Callable[[Call, str], str]
"""The function that a routine calls."""
Fields = Mapping[str, str]
"""What a Context calls the array of each input and label."""


def print_call(call: Call, routine: str, name_of: NameOf, fields: Fields, *, in_tile: bool) -> str:
    """One kernel call, on one line where it fits; it says what it computes where its function does not."""
    name = name_of(call, routine)
    whole, at_once = call.kernel.shared, not in_tile and sums_at_once(call)
    pointers = [_pointer(p, fields, in_tile=in_tile, at_once=at_once) for p in call.pointers]
    values = {
        "Py_ssize_t batch": examples_of(call) if whole else "batch",
        "Py_ssize_t part": "part",
        "Py_ssize_t parts": "parts",
        "uint32 seed": "context.seed",
        "uint32 step": "context.step",
        "Py_ssize_t first": "position",
    }
    rows = rows_of([*pointers, *(values[parameter] for parameter in extra_parameters(call.kernel))])
    other = f"  # {print_name(call.computes)}" if call.computes != call.kernel.name else ""
    if len(rows) == 1 and len(name) + len(rows[0]) + len(other) < 100:
        return f"{name}({rows[0]}){other}"
    inner = ",\n        ".join(rows)
    return f"{name}({other}\n        {inner},\n    )"


def _pointer(pointer: Pointer, fields: Fields, *, in_tile: bool, at_once: bool) -> str:
    place, element = pointer.place, ELEMENT_TYPES[pointer.element]
    row = f" + first * {pointer.size}" if pointer.batched and in_tile else ""
    offset = f" + {place.offset}" if place.offset else ""
    times_batch = f" + {place.offset} * context.batch" if place.offset else ""
    field = fields.get(pointer.tensor, "")
    texts = {
        "parameter": f"context.parameters{offset}{row}",
        "tangent": f"context.tangents{offset}",
        "input_tangent": f"context.input_tangent{times_batch}{row}",
        "example_state": f"context.example_states{times_batch}{row}",
        "output_cotangent": f"context.output_cotangent{times_batch}{row}",
        "total": f"context.total{offset}{row}",
        "state": f"context.states{offset}{row}",
        "lane": f"lane{offset}",
        "scalar": f"&context.scalars[{place.offset}]",
        "output": f"context.output{times_batch}{row}",
        "input": field if element == "real" else f"<const {element}*>context.{field}{row}",
        "label": f"<const {element}*>context.{field}{row}",
        "tile": f"<{element}*>(tile{offset})",
        "shared": f"<{element}*>(context.shared{offset})",
        "batch": f"<{element}*>(context.gathered + {place.offset} * context.whole)"
        if at_once
        else f"<{element}*>(context.crossing + {place.offset} * context.batch){row}",
        "argument": f"<{element}*>context.arguments[{place.offset}]{row}",
    }
    return texts[place.area] + (f" + {pointer.base}" if pointer.base else "")


def timed(call: Call, text: str) -> str:
    if call.clock is None:
        return text
    return f"clock_start({call.clock})\n    {text}\n    clock_stop({call.clock})"


def extra_parameters(kernel: Kernel) -> list[str]:
    """What a kernel is given besides its buffers."""
    extra = ["Py_ssize_t batch"] if kernel.per_example else []
    extra += ["Py_ssize_t part", "Py_ssize_t parts"] if kernel.shared else []
    if draws(kernel):
        extra += ["uint32 seed", "uint32 step"] + (["Py_ssize_t first"] if kernel.per_example else [])
    return extra


def rows_of(items: Sequence[str], width: int = WIDTH) -> list[str]:
    """Comma-separated items in as few lines as fit the width."""
    rows: list[str] = []
    for item in items:
        if rows and len(rows[-1]) + len(item) + 2 <= width:
            rows[-1] += f", {item}"
        else:
            rows.append(item)
    return rows


def examples_of(call: Call) -> str:
    """The examples that a kernel outside of the tiles runs over: a sum at once is one over all there are."""
    return "context.whole" if sums_at_once(call) else "context.batch"


@lru_cache(maxsize=1024)
def draws(kernel: Kernel) -> bool:
    """Whether a kernel draws random numbers; twelve equal blocks ask it of one kernel."""
    return any(isinstance(statement, Random) for statement in statements(kernel.body))
