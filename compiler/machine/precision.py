"""Whether a target computes in the precision that is asked for."""

from __future__ import annotations

from compiler.errors import ModelError, Problem
from compiler.machine.elements import PRECISIONS, Precision
from compiler.machine.registry import all_targets
from compiler.machine.target import Target


def precision_for(dtype: str, target: Target) -> Precision:
    """What the dtype of a module means. Raises ModelError where the target has no such products."""
    precision = PRECISIONS[dtype]
    if precision.factors == "bfloat16" and not target.machine.bfloat16:
        capable = [name for name, other in all_targets().items() if other.machine.bfloat16]
        raise ModelError(
            Problem(
                f"the target {target.name} has no products of bfloat16",
                expected=f"native on a processor with AVX-512 BF16 (avx512_bf16), or {', '.join(capable)}",
                found=f"vectors of {8 * target.machine.vector_bytes} bits without them",
                advice="--dtype float32",
            )
        )
    return precision
