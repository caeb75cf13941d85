"""What is left of a training by four processes of which one is killed: the second part of `make crash-test`.

`mpiexec -n 4` trains a built module with a checkpoint after every update. A process, each in turn, is killed
by SIGKILL at a random moment: the job must end by itself and say so, and what it has left must be loadable,
never older than before. Another number of processes goes on from it. A run that reaches its end must end with
the bytes of one process.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import crash
import numpy as np

from runtime.modules import load_module

MPIEXEC = Path(sys.executable).parent / "mpiexec"
RANKS = 4
OTHERS = (1, 2, 3, 8)
"""How many go on, in turn."""
PATIENCE_SECONDS = 60.0


def run(module: Path, path: Path, ranks: int) -> subprocess.Popen[str]:
    """A training by so many processes, which tells its process numbers in files beside `path`."""
    start = [] if ranks == 1 else [str(MPIEXEC), "-n", str(ranks)]
    worker = [sys.executable, __file__, str(module), "--worker", str(path)]
    return subprocess.Popen([*start, *worker], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def work(module: Path, path: Path) -> None:
    """What each process does."""
    rank = os.environ.get("PMI_RANK", "0")
    path.with_name(f"rank {rank}").write_text(str(os.getpid()))
    crash.subject_of(load_module(module)).train(path)


def kill_ranks(module: Path, folder: Path, kills: int, report: crash.Report) -> None:
    """Trainings of which one process is killed, `kills` in all."""
    straight, path = folder / "straight", folder / "killed"
    crash.subject_of(load_module(module)).train(straight)
    expected = straight.read_bytes()
    begun = time.monotonic()
    if run(module, path, RANKS).wait() or path.read_bytes() != expected:
        report.wrong.append(f"{RANKS} processes have other bytes than one")
    duration, step = time.monotonic() - begun, -1
    path.unlink()
    moments = np.random.Generator(np.random.Philox(key=crash.SEED))
    while report.kills < kills:
        if not killed(module, path, report.kills % RANKS, float(moments.random()) * duration, report):
            report.finished_runs += 1
            finished(path, expected, report)
            step = -1
            continue
        report.kills += 1
        step = crash._look_at(path, step, report)
        if report.kills % 5 == 0:
            others = run(module, path, OTHERS[report.kills // 5 % len(OTHERS)])
            if others.wait():
                report.wrong.append(f"after kill {report.kills} others did not go on: {others.stdout.read()}")
            report.finished_runs += 1
            finished(path, expected, report)
            step = -1


def killed(module: Path, path: Path, rank: int, seconds: float, report: crash.Report) -> bool:
    """Train, and kill a process; False where all had ended before."""
    note = path.with_name(f"rank {rank}")
    note.unlink(missing_ok=True)
    job = run(module, path, RANKS)
    while not (note.exists() and note.read_text()) and job.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    if job.poll() is not None:
        return False
    try:
        os.kill(int(note.read_text()), signal.SIGKILL)
    except ProcessLookupError:
        job.wait()
        return False
    try:
        said, _ = job.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        report.wrong.append(f"kill {report.kills}: the job does not end")
        job.kill()
        return True
    if job.returncode == 0 or not said.strip():
        report.wrong.append(f"kill {report.kills}: the job ended with {job.returncode} and said {said!r}")
    return True


def finished(path: Path, expected: bytes, report: crash.Report) -> None:
    """A run has reached its end."""
    if path.read_bytes() != expected:
        report.wrong.append(f"the run that ended after kill {report.kills} has other bytes")
    path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--worker", type=Path)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.module, arguments.worker)
        return 0
    report = crash.Report()
    with tempfile.TemporaryDirectory(prefix="chainrule-crash-") as folder:
        kill_ranks(arguments.module, Path(folder), arguments.kills, report)
    print(f"of {RANKS} processes one was killed, {report.kills} times")
    print(
        f"  {report.before_the_first} before the first checkpoint, {report.in_an_epoch} left one in an epoch"
    )
    print(f"  {report.finished_runs} runs went on to their end, with the bytes of one process")
    print("\n".join(("WRONG:", *report.wrong) if report.wrong else ("nothing wrong",)))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
