"""Kernels as functions of a module: what they are called, and what stands above each."""

from __future__ import annotations

from typing import Any

from compiler.emit.cython.calls import extra_parameters, rows_of
from compiler.emit.cython.names import RESERVED, identifier
from compiler.emit.cython.printer import PrintedKernel, print_kernel
from compiler.ir.loops.grammar import Fetch, Kernel, Transpose
from compiler.ir.loops.walk import statements
from compiler.ir.module.grammar import Call
from compiler.ir.tensor.printer import print_name


class KernelNames:
    """A function for each kernel, with the name of what it was written for."""

    def __init__(self, lengths: tuple[int, ...], taken: set[str]):
        self._lengths = lengths
        self._used = set(taken) | RESERVED
        # Kernels by `id`, since hashing one is slow; they are kept, so that no id is used twice.
        self._names: dict[int, str] = {}
        self._kernels: list[Kernel] = []
        self._serves: dict[int, dict[str, None]] = {}

    def name_of(self, call: Call, program: str) -> str:
        kernel = call.kernel
        if id(kernel) not in self._names:
            self._names[id(kernel)] = self._fresh(kernel, program)
            self._kernels.append(kernel)
        self._serves.setdefault(id(kernel), {})[call.computes] = None
        return self._names[id(kernel)]

    def _fresh(self, kernel: Kernel, program: str) -> str:
        name = identifier(kernel.name)
        if name in self._used:
            name = f"{program}_{name}"
        while name in self._used:
            name += "_"
        self._used.add(name)
        return name

    @property
    def transposed(self) -> tuple[int, ...]:
        """Rows of the squares that some kernel transposes in registers."""
        every = (s for kernel in self._kernels for s in statements(kernel.body))
        return tuple(sorted({s.width for s in every if isinstance(s, Transpose)}))

    @property
    def fetches(self) -> bool:
        """Whether some kernel asks for what it will want."""
        return any(isinstance(s, Fetch) for kernel in self._kernels for s in statements(kernel.body))

    def described(self) -> list[dict[str, Any]]:
        """Every function, and in its header what else it computes."""
        result = []
        for kernel in self._kernels:
            described = _kernel(kernel, print_kernel(kernel, self._lengths), self._names[id(kernel)])
            others = [print_name(name) for name in self._serves[id(kernel)] if name != kernel.name]
            also = _wrapped(f"the same, under other names, for {', '.join(others)}") if others else []
            result.append(described | {"header": [*described["header"], *also]})
        return result


def _kernel(kernel: Kernel, printed: PrintedKernel, name: str) -> dict[str, Any]:
    per = "example" if kernel.per_example else "call"
    header = [
        *kernel.formula,
        f"schedule: {kernel.schedule}",
        f"operations: {kernel.operations:,} for each {per}",
    ]
    return {
        "name": name,
        "parameters": rows_of([*printed.parameters, *extra_parameters(kernel)]),
        "header": [line for text in header for line in _wrapped(text)],
        "variables": printed.variables,
        "lines": printed.lines,
    }


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
