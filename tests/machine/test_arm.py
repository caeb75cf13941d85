"""Code for 64-bit ARM, run by an emulator: NEON, and vectors of 128 bytes, which no other target has.

The second target is made here: no file of the compiler knows it. Its words are those of the Scalable Vector
Extension for a processor with vectors of 1,024 bits, whose loads and stores take what lanes a predicate says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.language.description import Model
from compiler.machine.machine import Machine
from compiler.machine.registry import all_targets
from compiler.machine.target import Intrinsics, Partial, Target
from tests.machine.emulated import emulated
from tests.machine.networks import built, digits, disagreements, lowered_programs, tiny

pytestmark = pytest.mark.long
every_network = pytest.mark.parametrize("model", [tiny, digits], ids=lambda model: model.__name__)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def scalable(bits: int) -> Partial:
    """Words for the longest vectors of reals of so many bits."""
    lanes = f"svwhilelt_b{bits}(0, n)"
    return Partial(
        macro="__ARM_FEATURE_SVE",
        load=f"svld1_f{bits}({lanes}, p)",
        store=f"svst1_f{bits}({lanes}, p, (svfloat{bits}_t)v)",
    )


SCALABLE = Target(
    name="sve-1024",
    machine=Machine(vector_bytes=128, registers=32, unit_bytes=128),
    flags=("-march=armv8.2-a+sve", "-msve-vector-bits=1024"),
    headers=("#ifdef __ARM_FEATURE_SVE", "#include <arm_sve.h>", "#endif"),
    intrinsics=(Intrinsics(128, "float32", scalable(32)), Intrinsics(128, "float64", scalable(64))),
)
PROCESSOR = ("-cpu", "max,sve1024=on,sve-default-vector-length=128")
"""What the emulator is to be."""


@every_network
@every_dtype
def test_neon(model: Callable[[], Model], dtype: str, tmp_path: Path) -> None:
    load, target = emulated(tmp_path), all_targets()["neon"]
    programs = lowered_programs(model(), target, dtype)
    module = built(programs, target, dtype, load)
    for threads in (1, 3):
        found = disagreements(module, programs, threads)
        assert not found, found


@every_network
@every_dtype
def test_vectors_of_1024_bits(model: Callable[[], Model], dtype: str, tmp_path: Path) -> None:
    """Partial vectors too, in one instruction: the target's own words are compiled."""
    load = emulated(tmp_path, PROCESSOR)
    programs = lowered_programs(model(), SCALABLE, dtype)
    module = built(programs, SCALABLE, dtype, load)
    assert "_partial(" in module.source and "svwhilelt" in module.source
    found = disagreements(module, programs)
    assert not found, found
