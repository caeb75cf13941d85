"""x86-64 with AVX-512: vectors of 64 bytes, and masks for their lanes."""

from __future__ import annotations

from dataclasses import replace

from compiler.machine import x86
from compiler.machine.costs import Costs
from compiler.machine.machine import Machine
from compiler.machine.target import Processor, Target

# Of 16 lanes, and of 8: what `compiler/machine/costs.py` says was measured of each.
MACHINE = Machine(
    vector_bytes=64,
    registers=32,
    single=Costs(random_value=3.6, strip_value=1.1),
    double=Costs(lanes_sum=6.0, strip_value=14.9, random_value=4.1),
)

# AMD's first processors with 64-byte vectors compute half of one at a time; compilers that are older than
# they are take them for the generation before.
HALVES = tuple((*x86.AVX512, macro) for macro in ("__znver4__", "__znver3__"))

# Its next ones compute a whole one at once; what they alone have besides tells them from the others to
# compilers of any age. That they load 64 bytes at once is left out, as for Intel's: with it a GPT of 6 blocks
# took 1.1 times as long.
WHOLE = tuple(
    (*x86.AVX512, "__AVX512VP2INTERSECT__", macro) for macro in ("__znver5__", "__znver4__", "__znver3__")
)

TARGET = Target(
    name="x86-64-v4",
    machine=MACHINE,
    flags=("-march=x86-64-v4",),
    architectures=x86.ARCHITECTURES,
    native_flags=x86.NATIVE_FLAGS,
    headers=x86.HEADERS,
    intrinsics=x86.intrinsics(64, 32, 16, masks=True),
    processors=(
        Processor("intel-avx512", (x86.AVX512,), MACHINE),
        Processor("amd-avx512", HALVES, replace(MACHINE, unit_bytes=32)),
        Processor("amd-avx512-wide", WHOLE, replace(MACHINE, level1_bytes=48 * 1024)),
    ),
    bfloat16=x86.BFLOAT16,
)
