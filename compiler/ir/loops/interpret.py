"""Runs a kernel on arrays in NumPy, statement by statement, and checks every access.

What an access must be, else CompilerBug says statement, buffer and element:

    inside its buffer, whatever the pointer of the call may reach
    of an element that has a value: memory begins without one, and reading that is an error
    of a value that its type can hold, where integers are stored

Vectors have as many lanes as they say and no more; real values are computed in the kernel's own type; what
several statements do is done in their order. So a kernel is tested without a C compiler, in milliseconds. A
statement becomes a few lines of Python, which are kept for the next call.

The pieces of a kernel that is shared out can be told what they read and write (`Memory.read`, `.written`):
`tests/schedule/running.py` finds pieces that are in each other's way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Kernel
from compiler.ir.loops.python_code import Code
from compiler.ir.loops.python_forms import FORMS


@dataclass
class Memory:
    """What a pointer of a kernel may reach: elements, and which of them have a value."""

    values: np.ndarray
    known: bytearray
    read: bytearray = field(default_factory=bytearray)
    """Which elements were read, where somebody wants to know; else it is empty."""
    written: bytearray = field(default_factory=bytearray)

    @staticmethod
    def of(values: np.ndarray, *, known: bool) -> Memory:
        """The elements of an array, in the order in which they lie; nothing is copied."""
        flat = values.reshape(-1)
        if not np.shares_memory(flat, values) and values.size:
            raise CompilerBug("the elements of this array do not lie one after the other")
        return Memory(flat, bytearray([known]) * flat.size)


@dataclass(frozen=True)
class Arguments:
    """What a kernel is called with besides its buffers."""

    batch: int = 1
    part: int = 0
    parts: int = 1
    seed: int = 0
    step: int = 0
    first: int = 0
    """The number of the first example, for random numbers."""


def run_kernel(
    kernel: Kernel,
    memories: Mapping[str, Memory],
    dtype: type[np.floating],
    arguments: Arguments = Arguments(),
    *,
    traced: bool = False,
) -> None:
    """Run a kernel; `memories` gives for each buffer the whole of its tensor, from the first element on.

    Real elements are of `dtype`, "index" ones int32, "small" ones uint8. With `traced` each memory's `read`
    and `written` say in the end what was touched. Raises CompilerBug for an access that is wrong.
    """
    for buffer in kernel.buffers:
        memory, kind = memories[buffer.name], element_type(buffer.element, dtype)
        if memory.values.dtype != kind:
            raise CompilerBug(f"{kernel.name}: {buffer.name} is of {memory.values.dtype}, expected {kind}")
        if traced and not memory.written:
            memory.read, memory.written = (bytearray(len(memory.known)) for _ in range(2))
    given = [memories[buffer.name] for buffer in kernel.buffers]
    with np.errstate(all="ignore"):
        _function(kernel, dtype, traced)(given, arguments)  # type: ignore[arg-type]  # a class has a hash


def element_type(element: str, dtype: type[np.floating]) -> np.dtype:
    """The NumPy type of a buffer's elements."""
    return np.dtype({"real": dtype, "index": np.int32, "small": np.uint8}[element])


@lru_cache(maxsize=1024)
def _function(kernel: Kernel, dtype: type[np.floating], traced: bool) -> Callable[..., None]:
    """A Python function of (memories in the order of the buffers, arguments)."""
    code = Code(kernel, FORMS, dtype, traced)
    code.block(kernel.body, 1)
    namespace: dict[str, Any] = code.namespace()
    exec(compile(code.source(), f"<kernel {kernel.name}>", "exec"), namespace)

    def run(memories: list[Memory], arguments: Arguments) -> None:
        try:
            namespace["kernel"](memories, arguments)
        except NameError as error:
            name = code.local_name(str(error))
            raise CompilerBug(f"kernel {kernel.name}: {name} is read before it is set") from error
        except ValueError as error:
            raise CompilerBug(f"kernel {kernel.name}: vectors of different lanes meet: {error}") from error

    return run
