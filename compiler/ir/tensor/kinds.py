"""What a tensor is: what it holds, who gives it, what it is to another one."""

from __future__ import annotations

from typing import Literal, get_args

Operation = Literal["sum", "max", "min", "argmax", "argmin"]
ScalarKind = Literal["batch_size", "rate", "step"]
Kind = Literal[
    "input",
    "label",
    "parameter",
    "state",
    "example_state",
    "random",
    "iota",
    "tangent",
    "cotangent",
    ScalarKind,
]
SCALAR_KINDS: tuple[str, ...] = get_args(ScalarKind)
"""Numbers that a step is given: the size of the batch, the learning rate, and which step it is."""
Role = Literal[
    "cotangent",
    "tangent",
    "winner",
    "padded",
    "inner",
    "each",
    "total",
    "sum",
    "maximum",
    "shifted",
    "ties",
    "exponential",
    "selected",
    "picked",
    "transformed",
    "packed",
    "unpacked",
    "batch",
    "kept",
    "rest",
    "outside",
    "ahead",
    "candidates",
]
"""What a tensor is to the tensor `of` which it was made."""
Dtype = Literal["real", "index"]
