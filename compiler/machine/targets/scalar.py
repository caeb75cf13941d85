"""A processor of which nothing is known: no vectors, and plain C."""

from __future__ import annotations

from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

MACHINE = Machine(vector_bytes=0, registers=16, level2_bytes=256 * 1024)

TARGET = Target(
    name="scalar",
    machine=MACHINE,
    processors=(Processor("scalar", ((),), MACHINE),),
)
