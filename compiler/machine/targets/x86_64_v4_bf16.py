"""x86-64 with AVX-512 and its products of bfloat16: Intel's from Cooper Lake on, AMD's from Zen 4 on."""

from __future__ import annotations

from dataclasses import replace

from compiler.machine.targets import x86_64_v4

TARGET = replace(
    x86_64_v4.TARGET,
    name="x86-64-v4-bf16",
    machine=replace(x86_64_v4.MACHINE, bfloat16=True),
    flags=("-march=x86-64-v4", "-mavx512bf16"),
    processors=(),
)
