"""Whether `mpiexec` started this process together with others, and the group that they make."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal

from runtime.distributed.group import Group
from runtime.errors import TrainingError

Ranks = Literal["ordered", "unordered", "alone"]
"""How processes that were started together train: adding up in a fixed order, in any, or each by itself."""
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Where starters say how many they have started: MPICH and what is made of it, Open MPI."""


def launched(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes were started together; 1 where nobody says more."""
    found = (environment.get(name, "") for name in COUNTS)
    return max((int(text) for text in found if text.isdigit()), default=1)


def find_group(ranks: Ranks = "ordered") -> Group | None:
    """The processes that train together; None where this one is alone. All of them must ask.

    Raises TrainingError where there is no mpi4py, or one of another MPI than that of `mpiexec`.
    """
    if ranks not in ("ordered", "unordered", "alone"):
        expected = "'ordered', 'unordered' or 'alone'"
        raise TrainingError("ranks makes no sense", expected=expected, found=repr(ranks))
    started = launched()
    running = "mpi4py.MPI" in sys.modules
    if ranks == "alone" or (started == 1 and not running):
        return None
    group = Group.of_all(ordered=ranks == "ordered")
    if started > 1 and group.ranks != started:
        raise TrainingError(
            f"mpiexec has started {started} processes, and mpi4py sees {group.ranks}",
            advice="the mpiexec of the MPI that mpi4py uses: from pip install 'chainrule[mpi]' it is beside "
            + sys.executable,
        )
    return group if group.ranks > 1 else None
