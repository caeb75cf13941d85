"""Writes docs/gradients.md: the worst error of each layer and loss in each mode, against JAX.

    python -m tests.derive.table

The rows are those of the gradient tests; of the grids of windows, every 27th.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from compiler.ir.tensor.program import Program
from compiler.simplify.simplify import simplify
from tests.derive.cases import Case, interpret
from tests.derive.layer_cases import convolution_cases, pooling_cases
from tests.derive.model_cases import model_cases
from tests.derive.rungs import errors_by_mode
from tests.derive.sequence_cases import sequence_cases
from tests.derive.test_layer_gradients import OTHERS
from tests.quick_jax import quick_flags

PAGE = Path(__file__).parents[2] / "docs" / "gradients.md"
MODES = ("VJP", "JVP", "HVP")
LIMIT = 1e-9

HEAD = """# Gradients against JAX

The worst entry of each derivative, relative to the largest entry of its tensor, in float64. Written by
`make gradients`.

Each case is one setting of a layer or loss: its formula, a random point away from kinks, signed random
directions. Ours is the derived program after simplification, run by the interpreter
(`compiler/ir/tensor/interpreter.py`); theirs is JAX's derivative of the same layer, as JAX has it or
written out (`tests/derive/references.py`). *VJP* is the cotangent of every input and parameter, *JVP* the
tangent of the output along all of them, *HVP* the Hessian of ⟨y, w⟩ times a direction, for a random w: the
JVP of the simplified VJP. Kernels are compared with the interpreter in `tests/schedule/`, whole compiled
models by `chainrule check`.

| layer or loss | cases | VJP | JVP | HVP |
|---|---:|---:|---:|---:|
"""


def main() -> int:
    os.environ.setdefault("XLA_FLAGS", " ".join(quick_flags()))
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    families: dict[str, list[dict[str, float]]] = {}
    for case in _cases():
        findings = errors_by_mode(case, interpret, jax, prepare=_simplified)
        families.setdefault(_family(case), []).append({m: f.error for m, f in findings.items()})
        print(case, {mode: f"{f.error:.1e}" for mode, f in findings.items()}, file=sys.stderr, flush=True)
    worst = {name: {m: max(row[m] for row in rows) for m in MODES} for name, rows in families.items()}
    lines = [
        f"| {name} | {len(families[name])} | " + " | ".join(f"{worst[name][m]:.1e}" for m in MODES) + " |"
        for name in sorted(families)
    ]
    largest = max(error for row in worst.values() for error in row.values())
    cases = sum(map(len, families.values()))
    PAGE.write_text(
        HEAD
        + "\n".join(lines)
        + f"\n\n{cases} cases; the largest error is {largest:.1e}, the limit {LIMIT:.0e}.\n"
    )
    return 0 if largest < LIMIT else 1


def _cases() -> Iterator[Case]:
    yield from [*convolution_cases()][::27]
    yield from [*pooling_cases()][::27]
    yield from OTHERS
    yield from sequence_cases()
    yield from model_cases()


def _family(case: Case) -> str:
    """The layer without its setting; whole models under one name."""
    return "whole models" if case.output == "loss" and "input" in case.wrt else case.name.partition("-")[0]


def _simplified(program: Program) -> Program:
    return simplify(program, strict=True)[0]


if __name__ == "__main__":
    sys.exit(main())
