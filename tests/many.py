"""How many random cases of a kind the long tests examine: `make long CASES=…`, in parts side by side."""

from __future__ import annotations

import os

MANY = int(os.environ.get("CHAINRULE_CASES", "10000"))
FEW = 200
"""In `make test`, where a case takes a few hundredths of a second or less."""
PARTS = 10


def part_of(part: int, first: int = 0) -> range:
    """The numbers of the cases of one part; those before `first` are examined by `make test`."""
    return range(first + part * MANY // PARTS, first + (part + 1) * MANY // PARTS)
