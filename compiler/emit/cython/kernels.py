"""Kernels as functions of a module: which of them share one, and what stands above it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compiler.emit.cython.names import RESERVED, identifier
from compiler.emit.cython.printer import PrintedKernel, print_kernel
from compiler.emit.cython.routines import extra_parameters, rows_of
from compiler.ir.loops.grammar import Kernel


class KernelNames:
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
        "parameters": rows_of([*printed.parameters, *extra_parameters(kernel)]),
        "header": [line for text in header for line in _wrapped(text)],
        "variables": [
            f"cdef {kind} {names}" for kind in kinds for names in _declared(printed.variables[kind])
        ],
        "lines": printed.lines,
    }


def _declared(names: Sequence[str]) -> list[str]:
    """Local variables in rows; Cython wants each array in a declaration of its own."""
    arrays = [name for name in names if name.endswith("]")]
    return [*rows_of([name for name in names if name not in arrays]), *arrays]


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
