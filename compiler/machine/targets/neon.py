"""64-bit ARM: vectors of 16 bytes, which every processor of it has."""

from __future__ import annotations

from compiler.machine import x86
from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

MACHINE = Machine(vector_bytes=16, registers=32, level2_bytes=512 * 1024)

TARGET = Target(
    name="neon",
    machine=MACHINE,
    architectures=("aarch64", "arm64"),
    headers=x86.HEADERS,
    intrinsics=x86.intrinsics(16),
    processors=(Processor("neon", (("__ARM_NEON",),), MACHINE),),
)
