"""64-bit ARM: vectors of 16 bytes, which every processor of it has.

Bytes are widened step by step, from 8 to 16, 32 and 64 bits: three instructions for four of them, where GCC
12 makes ten of `__builtin_convertvector`. See Arm, "Neon Intrinsics Reference".
"""

from __future__ import annotations

from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.machine.target import Intrinsics, Processor, Target, Widening

# Of 4 lanes, and of 2. Reckoned from the throughputs in Arm's "Neoverse N1 Software Optimization Guide": two
# vector additions, multiplications or multiply-adds a cycle, one shift, two loads and one store of 16 bytes.
# A number of the generator is 20 rounds of an addition, two shifts, an or and an exclusive or: 40 cycles
# of shifts for 4 numbers, and the keys; doubles are converted two by two. A point is loaded and stored, and
# waits for memory as on x86; an exponential takes half of what it takes there without multiply-adds, and of
# doubles is a call of libm's.
MACHINE = Machine(
    vector_bytes=16,
    registers=32,
    level2_bytes=512 * 1024,
    single=Costs(lanes_sum=4.0, strip_value=2.5, random_value=12.2),
    double=Costs(loop_point=1.4, lanes_sum=2.0, strip_value=15.0, random_value=13.2),
)

TO_32_BITS = "vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(few))))"
TO_64_BITS = f"vmovl_u32(vget_low_u32({TO_32_BITS}))"

TARGET = Target(
    name="neon",
    machine=MACHINE,
    architectures=("aarch64", "arm64"),
    headers=("#ifdef __ARM_NEON", "#include <arm_neon.h>", "#endif"),
    intrinsics=(
        Intrinsics(16, "float32", widening=Widening("__ARM_NEON", "uint64_t", TO_32_BITS)),
        Intrinsics(16, "float64", widening=Widening("__ARM_NEON", "uint64_t", TO_64_BITS)),
    ),
    processors=(Processor("neon", (("__ARM_NEON",),), MACHINE),),
)
