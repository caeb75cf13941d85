"""Fills the templates: turns plans into strings, decides nothing about mathematics or loops."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import jinja2

from compiler.emit.cython import elementary
from compiler.emit.cython.names import RESERVED, identifier
from compiler.emit.cython.printer import PrintedKernel, print_kernel
from compiler.emit.cython.vectors import vector_types
from compiler.ir.loops.grammar import Kernel, Random
from compiler.ir.loops.walk import statements
from compiler.machine.elements import REALS
from compiler.machine.target import Target


@dataclass(frozen=True)
class CallText:
    """One kernel call of a driver function: the kernel, and the text of each pointer argument.

    The call of a shared kernel is made by every thread, each for its part of the work.
    """

    kernel: Kernel
    arguments: tuple[str, ...]
    clock: int | None = None
    """The number of the clock that measures this call, in an instrumented module."""


@dataclass(frozen=True)
class PhaseText:
    before: tuple[CallText, ...]
    tile: tuple[CallText, ...]
    reads_input: bool
    sums: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ProgramText:
    """What the program template needs: every field is text or a number."""

    name: str
    phases: tuple[PhaseText, ...]
    input_room: int
    tile: int


def render_module(
    programs: Sequence[ProgramText], model: Mapping[str, object], target: Target, dtype: str
) -> str:
    """A trainable module's .pyx. `model` holds the strings and numbers that the template places."""
    return _render("module.pyx.jinja", programs, model, target, dtype)


def render_harness(
    programs: Sequence[ProgramText], model: Mapping[str, object], target: Target, dtype: str
) -> str:
    """The .pyx of a module that runs programs one by one on arrays."""
    return _render("harness.pyx.jinja", programs, model, target, dtype)


def _render(
    template: str, programs: Sequence[ProgramText], model: Mapping[str, object], target: Target, dtype: str
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    names = _KernelNames(target.machine.lengths(dtype), {program.name for program in programs})
    sites = count()
    rendered = [_program(program, names, sites) for program in programs]
    kernels = names.described()
    return environment.get_template(template).render(
        programs=rendered,
        kernels=kernels,
        sites=next(sites),
        model=dict(model),
        machine=_machine(target, dtype),
        **_elementary(kernels, dtype),
    )


def _elementary(kernels: Sequence[Mapping[str, object]], dtype: str) -> dict[str, object]:
    """What the preamble writes down of exp, tanh and the like: only of those that some kernel calls."""
    single = dtype == "float32"
    functions = elementary.used_functions((line for kernel in kernels for line in kernel["lines"]), single)
    numbers = elementary.numbers(functions) if single else {}
    return {"functions": functions, "numbers": numbers, "binary": elementary.BINARY}


def _machine(target: Target, dtype: str) -> dict[str, object]:
    """What the preamble writes down of the machine: types, and the target's own words of C."""
    real = REALS[dtype]
    return {
        "real": real.c_type,
        "integer": real.integer,
        "lanes": target.machine.lanes(dtype),
        "headers": target.headers,
        "vectors": vector_types(target, dtype),
    }


class _KernelNames:
    """One function for each distinct kernel of a layer; programs, and steps of an unrolled loop, share it.

    Two kernels are the same if their texts differ in the names of parameters and local variables alone.
    Those of other layers stay apart, so that a call says what it computes.
    """

    def __init__(self, lengths: tuple[int, ...], taken: set[str]):
        self._lengths = lengths
        self._used = set(taken) | RESERVED
        self.kernels: dict[tuple, dict[str, object]] = {}
        self._first: list[str] = []
        self._serves: dict[str, set[str]] = {}

    def name_of(self, kernel: Kernel, program: str) -> str:
        printed = print_kernel(kernel, self._lengths)
        key = (kernel.origin, *_meaning(printed))
        if key not in self.kernels:
            name = identifier(kernel.name)
            if name in self._used:
                name = f"{program}_{name}"
            while name in self._used:
                name += "_"
            self._used.add(name)
            self.kernels[key] = _kernel(kernel, printed, name)
            self._first.append(kernel.name)
            self._serves[name] = set()
        name = str(self.kernels[key]["name"])
        self._serves[name].add(kernel.name)
        return name

    def described(self) -> list[dict[str, object]]:
        """Every function, and in its header what else it computes."""
        result = []
        for kernel, first in zip(self.kernels.values(), self._first, strict=True):
            others = sorted(self._serves[str(kernel["name"])] - {first})
            also = _wrapped(f"the same, under other names, for {', '.join(others)}") if others else []
            result.append(kernel | {"header": [*kernel["header"], *also]})
        return result


def _meaning(printed: PrintedKernel) -> tuple[str, ...]:
    """The text with every name that is the kernel's own replaced by its place in the order of occurrence."""
    own = {parameter.split()[-1] for parameter in printed.parameters}
    own |= {name.partition("[")[0] for names in printed.variables.values() for name in names}
    places: dict[str, str] = {}

    def place(match: re.Match[str]) -> str:
        word = match.group()
        return places.setdefault(word, f"${len(places)}") if word in own else word

    declared = (f"{kind} {name}" for kind, names in sorted(printed.variables.items()) for name in names)
    text = (*printed.parameters, *printed.lines, *declared)
    return tuple(re.sub(r"[A-Za-z_]\w*", place, line) for line in text)


def _kernel(kernel: Kernel, printed: PrintedKernel, name: str) -> dict[str, object]:
    per = "example" if kernel.per_example else "call"
    header = [
        *kernel.formula,
        f"schedule: {kernel.schedule}",
        f"operations: {kernel.operations:,} for each {per}",
    ]
    kinds = sorted(printed.variables)
    return {
        "name": name,
        "parameters": _rows([*printed.parameters, *_extra_parameters(kernel)]),
        "header": [line for text in header for line in _wrapped(text)],
        "variables": [
            f"cdef {kind} {names}" for kind in kinds for names in _declared(printed.variables[kind])
        ],
        "lines": printed.lines,
    }


def _declared(names: Sequence[str]) -> list[str]:
    """Local variables in rows; Cython wants each array in a declaration of its own."""
    arrays = [name for name in names if name.endswith("]")]
    return [*_rows([name for name in names if name not in arrays]), *arrays]


def _extra_parameters(kernel: Kernel) -> list[str]:
    extra = ["Py_ssize_t batch"] if kernel.per_example else []
    extra += ["Py_ssize_t part", "Py_ssize_t parts"] if kernel.shared else []
    if any(isinstance(statement, Random) for statement in statements(kernel.body)):
        extra += ["uint32 seed", "uint32 step"] + (["Py_ssize_t first"] if kernel.per_example else [])
    return extra


def _extra_arguments(kernel: Kernel) -> list[str]:
    values = {
        "Py_ssize_t batch": "context.batch" if kernel.shared else "batch",
        "Py_ssize_t part": "part",
        "Py_ssize_t parts": "parts",
        "uint32 seed": "context.seed",
        "uint32 step": "context.step",
        "Py_ssize_t first": "first",
    }
    return [values[parameter] for parameter in _extra_parameters(kernel)]


def _rows(items: Sequence[str], width: int = 96) -> list[str]:
    """Comma-separated items in as few lines as fit the width."""
    rows: list[str] = []
    for item in items:
        if rows and len(rows[-1]) + len(item) + 2 <= width:
            rows[-1] += f", {item}"
        else:
            rows.append(item)
    return rows


def _wrapped(text: str, width: int = 108) -> list[str]:
    """Break a long comment line at spaces; continuation lines are indented."""
    lines: list[str] = []
    while len(text) > width:
        cut = text.rfind(" ", 8, width)
        if cut < 0:
            break
        lines.append(text[:cut])
        text = "    " + text[cut + 1 :]
    return [*lines, text]


def _program(program: ProgramText, names: _KernelNames, sites: Iterator[int]) -> dict[str, object]:
    """`sites` numbers the places of the module where work is shared out."""

    def phase(number: int, text: PhaseText) -> dict[str, object]:
        parts: list[dict[str, str]] = []
        before = [
            _timed(call, _shared(call, f"{program.name}_part_{number}", parts, names, program.name, sites))
            for call in text.before
        ]
        tile = [_timed(call, _call(call, names, program.name)) for call in text.tile]
        return {
            "parts": parts,
            "before": before,
            "tile": tile,
            "site": next(sites) if tile else None,
            "reads_input": text.reads_input,
            "sums": [(start, stop, next(sites)) for start, stop in text.sums],
        }

    return {
        "name": program.name,
        "phases": [phase(number, text) for number, text in enumerate(program.phases)],
        "input_room": program.input_room,
        "tile": program.tile,
    }


def _call(call: CallText, names: _KernelNames, program: str) -> str:
    name = names.name_of(call.kernel, program)
    rows = _rows([*call.arguments, *_extra_arguments(call.kernel)])
    if len(rows) == 1 and len(name) + len(rows[0]) < 100:
        return f"{name}({rows[0]})"
    inner = ",\n        ".join(rows)
    return f"{name}(\n        {inner},\n    )"


def _shared(
    call: CallText,
    prefix: str,
    parts: list[dict[str, str]],
    names: _KernelNames,
    program: str,
    sites: Iterator[int],
) -> str:
    """The call, or where it is shared out the call of all its parts; a part is added to `parts`."""
    text = _call(call, names, program)
    if not call.kernel.shared:
        return text
    name = f"{prefix}_{len(parts)}"
    parts.append({"name": name, "call": text})
    size = "context.batch" if call.kernel.per_example else "1"
    return (
        f"share_out(context, threads, {next(sites)}, {size}, {name}, context, 1 if threads == 1 else PARTS)"
    )


def _timed(call: CallText, text: str) -> str:
    if call.clock is None:
        return text
    return f"clock_start({call.clock})\n    {text}\n    clock_stop({call.clock})"
