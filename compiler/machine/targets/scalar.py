"""A processor of which nothing is known: no vectors, and plain C."""

from __future__ import annotations

from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

# One lane: measured like the others on an x86-64, whose C compiler makes vectors of 16 bytes of some loops.
# Lanes are never added up, and sums have no strips.
MACHINE = Machine(
    vector_bytes=0,
    registers=16,
    level2_bytes=256 * 1024,
    single=Costs(lanes_sum=1.0, strip_value=7.2, random_value=12.7),
    double=Costs(loop_point=1.4, lanes_sum=1.0, strip_value=15.2, random_value=13.9),
)

TARGET = Target(
    name="scalar",
    machine=MACHINE,
    processors=(Processor("scalar", ((),), MACHINE),),
)
