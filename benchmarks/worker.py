"""The driver's side of a measurement: start a peer with its threads limited, and ask it to time its task."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.machine import usable_cores

ROOT = Path(__file__).resolve().parent.parent

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

# Work-arounds that a machine may set for older libraries, and that slow a current one down.
REMOVED_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

FRAMEWORK_VARIABLES = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "-1",
}


@dataclass(frozen=True)
class Peer:
    """One row of the table: a worker module, how it is set, and the Python that runs it."""

    name: str
    module: str
    variant: str = ""
    virtual_environment: str = ".venv-bench"
    """A folder of the checkout: the frameworks live apart from what chainrule itself needs."""

    @property
    def interpreter(self) -> Path:
        """The Python of the peer's virtual environment."""
        return ROOT / self.virtual_environment / "bin" / "python"


@dataclass(frozen=True)
class Turn:
    """How long one turn of a worker is."""

    seconds: float
    """Until these have passed, of counted calls, …"""
    least: int = 3
    """… but at least so many calls."""
    untimed: int = 2
    """Calls at the start that are not counted: they bring the worker's data back into the caches."""


class WorkerFailed(Exception):
    """The worker cannot be measured; the message is its own reason, or the end of what it printed."""


class Worker:
    """A running peer. It is built when the constructor returns, and ends with `close`."""

    def __init__(self, peer: Peer, threads: int, case: Case) -> None:
        self.peer = peer
        self.threads = threads
        if not peer.interpreter.is_file():
            raise WorkerFailed(f"there is no {peer.virtual_environment}: `make bench` creates it")
        command = [str(peer.interpreter), "-m", peer.module, "--case", case.name]
        command += ["--variant", peer.variant, "--threads", str(threads)]
        # What a framework prints goes to a file, for a pipe that nobody reads would fill and block it.
        self._printed = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        with limited_to_cores(threads):
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=make_environment(threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                text=True,
            )
        self.description = self._receive()
        if "unavailable" in self.description:
            self.close()
            raise WorkerFailed(self.description["unavailable"])

    def take_turn(self, turn: Turn) -> tuple[list[float], float, int]:
        """The seconds of each counted call, the evidence of the last that it did its work, and the most bytes
        that the process has had in memory."""
        self._process.stdin.write(json.dumps(asdict(turn)) + "\n")
        self._process.stdin.flush()
        reply = self._receive()
        return reply["seconds"], reply["evidence"], reply["memory"]

    def close(self) -> None:
        """Let the worker end by itself, and forget what it printed."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._printed.close()

    def _receive(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._printed.seek(0)
        lines = [text.strip() for text in self._printed.read().splitlines() if text.strip()]
        self.close()
        raise WorkerFailed(lines[-1] if lines else f"ended with exit code {self._process.returncode}")


def make_environment(threads: int) -> dict[str, str]:
    """The worker's environment: as many threads as asked for every library that reads a variable for it."""
    environment = {name: value for name, value in os.environ.items() if name not in REMOVED_VARIABLES}
    environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    environment |= FRAMEWORK_VARIABLES
    if threads == 1:
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return environment


@contextlib.contextmanager
def limited_to_cores(count: int) -> Iterator[None]:
    """Start processes on the last `count` cores: some thread pools follow the cores they see and no variable.

    A child inherits its affinity, so ours is narrowed while it starts and then put back.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = usable_cores()
    os.sched_setaffinity(0, cores[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
