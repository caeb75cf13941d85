"""x86-64 with SSE4: vectors of 16 bytes."""

from __future__ import annotations

from compiler.machine import x86
from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

# Of 4 lanes, and of 2: what `compiler/machine/costs.py` says was measured of each.
MACHINE = Machine(
    vector_bytes=16,
    registers=16,
    level2_bytes=256 * 1024,
    single=Costs(
        lanes_sum=4.0,
        strip_value=4.9,
        random_value=12.6,
        exposed=0.4,
        group_load=0.9,
        group_add=0.9,
        group_store=1.8,
    ),
    double=Costs(
        loop_point=1.4,
        lanes_sum=2.0,
        strip_value=14.2,
        random_value=14.0,
        group_load=0.8,
        group_add=0.8,
        group_store=1.6,
    ),
)

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
