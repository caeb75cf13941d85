"""A script that was started with others, and ends by an error that nobody catches: it takes the job with it.

The others would wait for it for ever, where `fit` finds out who they are. Scripts import this with
`chainrule`, so it imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping

COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Where starters say how many they have started: MPICH and what is made of it, Open MPI."""


def launched(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes were started together; 1 where nobody says more."""
    found = (environment.get(name, "") for name in COUNTS)
    return max((int(text) for text in found if text.isdigit()), default=1)


def watch() -> None:
    """From here on an uncaught error of this process ends all that were started with it, if there are any."""
    if launched() > 1:
        atexit.register(end_job_if_failed)


def watched_elsewhere() -> None:
    """The processes know each other: how they end is their group's affair."""
    atexit.unregister(end_job_if_failed)


def end_job_if_failed() -> None:
    """End the job, if this process ends by an error: Python has told it by now."""
    if getattr(sys, "last_type", None) is None:
        return
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        mpi.COMM_WORLD.Abort(1)
    else:
        # An exit code says nothing to those who start programs that do not speak MPI; a signal does.
        import signal

        sys.stderr.flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
