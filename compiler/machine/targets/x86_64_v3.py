"""x86-64 with AVX2 and fused multiply-adds: vectors of 32 bytes."""

from __future__ import annotations

from compiler.machine import x86
from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

# Of 8 lanes, and of 4: what `compiler/machine/costs.py` says was measured of each.
MACHINE = Machine(
    vector_bytes=32,
    registers=16,
    level2_bytes=512 * 1024,
    single=Costs(
        lanes_sum=6.0,
        strip_value=1.6,
        random_value=6.7,
        group_load=0.6,
        group_add=0.6,
        group_store=1.2,
    ),
    double=Costs(
        loop_point=1.1,
        lanes_sum=4.0,
        strip_value=14.1,
        random_value=7.6,
        group_load=1.1,
        group_add=1.1,
        group_store=2.2,
    ),
)

TARGET = Target(
    name="x86-64-v3",
    machine=MACHINE,
    flags=("-march=x86-64-v3",),
    architectures=x86.ARCHITECTURES,
    native_flags=x86.NATIVE_FLAGS,
    headers=x86.HEADERS,
    intrinsics=x86.intrinsics(32, 16),
    processors=(Processor("avx2", (x86.AVX2,), MACHINE),),
)
