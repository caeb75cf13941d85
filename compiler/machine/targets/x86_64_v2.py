"""x86-64 with SSE4: vectors of 16 bytes."""

from __future__ import annotations

from compiler.machine import x86
from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

MACHINE = Machine(vector_bytes=16, registers=16, level2_bytes=256 * 1024)

TARGET = Target(
    name="x86-64-v2",
    machine=MACHINE,
    flags=("-march=x86-64-v2",),
    architectures=x86.ARCHITECTURES,
    native_flags=x86.NATIVE_FLAGS,
    headers=x86.HEADERS,
    intrinsics=x86.intrinsics(16),
    processors=(Processor("sse", (x86.SSE2,), MACHINE),),
)
