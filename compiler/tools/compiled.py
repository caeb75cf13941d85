"""What came out of a compilation, for a person and for a program."""

from __future__ import annotations

from typing import Any

from compiler.toolchain.compile_file import Compiled


def to_json(result: Compiled) -> dict[str, Any]:
    """The facts of the summary."""
    return {**result.facts, "cached": result.cached, "seconds": result.seconds}


def _rounded(facts: dict[str, Any]) -> list[str]:
    """How many products have rounded factors, where that was asked for."""
    if facts["dtype"] != "bfloat16":
        return []
    if not facts["rounded"]:
        return ["  no product of a training step is large enough to gain by bfloat16: all is float32"]
    return [
        f"  {facts['rounded']} products of a training step are of factors in bfloat16, the rest is float32"
    ]


def summary(result: Compiled) -> str:
    """What a person wants to know after compiling."""
    facts = result.facts
    lines = [
        f"{facts['model']}: {len(facts['layers'])} layers, {facts['parameters']:,} parameters, "
        + (f"{facts['state']:,} values of state, " if facts["state"] else "")
        + f"{facts['dtype']}, target {facts['target']}",
        f"  {facts['derived']} derivatives derived, {facts['kernels']} kernels, "
        f"{facts['lines']:,} lines of Cython",
        *_rounded(facts),
        f"  {facts['operations_step'] / 1e6:.2f} MFLOP an example a training step "
        f"({facts['operations_forward'] / 1e6:.2f} forward)",
        f"  workspace {facts['workspace_bytes'] / 1024:.0f} KiB a thread, {facts['tile']} examples a tile",
        f"  {result.source}",
        f"  {result.module}",
        f"  {'from the cache' if result.cached else 'compiled'} in {result.seconds:.2f} s",
    ]
    return "\n".join(lines)
