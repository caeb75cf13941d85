"""Whether `mpiexec` started this process together with others, and the group that they make."""

from __future__ import annotations

import sys
from typing import get_args

from runtime.distributed.group import Group
from runtime.distributed.ranks import Ranks
from runtime.distributed.uncaught import launched
from runtime.errors import TrainingError


def find_group(ranks: Ranks = "ordered") -> Group | None:
    """The processes that train together; None where this one is alone. All of them must ask.

    Raises TrainingError where there is no mpi4py, or one of another MPI than that of `mpiexec`.
    """
    if ranks not in get_args(Ranks):
        expected = "'ordered', 'unordered', 'each' or 'alone'"
        raise TrainingError("ranks makes no sense", expected=expected, found=repr(ranks))
    started = launched()
    running = "mpi4py.MPI" in sys.modules
    if ranks == "alone" or (started == 1 and not running):
        return None
    group = Group.of_all(ordered=ranks != "unordered", apart=ranks == "each")
    if started > 1 and group.ranks != started:
        raise TrainingError(
            f"mpiexec has started {started} processes, and mpi4py sees {group.ranks}",
            advice="the mpiexec of the MPI that mpi4py uses: from pip install 'chainrule[mpi]' it is beside "
            + sys.executable,
        )
    return group if group.ranks > 1 else None
