"""One training by several processes, by real MPI: that of `pip install 'chainrule[mpi]'`."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.executable).parent / "mpiexec"
pytestmark = pytest.mark.skipif(
    not (MPIEXEC.exists() and importlib.util.find_spec("mpi4py")),
    reason="there is no MPI: pip install 'chainrule[mpi]'",
)


def run(processes: int, module: Path, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A training by so many processes; one of them without MPI."""
    folder.mkdir(exist_ok=True)
    start = [] if processes == 1 else [str(MPIEXEC), "-n", str(processes)]
    worker = [
        sys.executable,
        "-m",
        "tests.modules.rank_training",
        str(module),
        str(folder),
        json.dumps(options),
    ]
    return subprocess.run(
        [*start, *worker],
        cwd=ROOT,
        env={**os.environ, "CHAINRULE_THREADS": "3"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def results(folder: Path, ranks: int) -> list[dict[str, Any]]:
    return [json.loads((folder / f"rank {rank}").read_text()) for rank in range(ranks)]


@pytest.fixture(scope="module")
def module(border: Any) -> Path:
    return border("pixels").module


@pytest.fixture(scope="module")
def alone(module: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two epochs by one process leave."""
    folder = tmp_path_factory.mktemp("alone")
    assert run(1, module, folder, epochs=2).returncode == 0
    return folder


def test_the_same_bits_also_where_another_number_goes_on(module: Path, tmp_path: Path, alone: Path) -> None:
    """Weights, losses, checkpoint and log; with accumulation, averages, dropout, validation."""
    together = tmp_path / "together"
    for ranks, epochs in ((4, 1), (2, 2)):
        done = run(ranks, module, together, epochs=epochs)
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    for name in ("saved", "log"):
        assert (together / name).read_bytes() == (alone / name).read_bytes()
    expected = results(alone, 1)[0]
    for found in results(together, 2):
        assert (found["weights"], found["history"]) == (expected["weights"], expected["history"])
        assert found["seen"] == expected["seen"][-len(found["seen"]) :]
        assert found["threads"] < 3 or (os.cpu_count() or 1) >= 6


def test_each_reads_its_shard(module: Path, tmp_path: Path, alone: Path) -> None:
    """In an epoch every sample is read by one of them, of held-out data too; the bits are those of one."""
    folder = tmp_path / "on demand"
    for ranks, epochs in ((4, 1), (2, 2)):
        done = run(ranks, module, folder, epochs=epochs, demand=1)
        assert done.returncode == 0, done.stderr
        shards = [found["read"] for found in results(folder, ranks)]
        assert sorted(itertools.chain(*shards)) == list(range(150))
        assert max(map(len, shards)) < 150
    assert (folder / "saved").read_bytes() == (alone / "saved").read_bytes()


def test_a_table_is_read_by_one_of_a_machine(module: Path, tmp_path: Path) -> None:
    """By `train`, whose others see the memory of the first; what is wrong with it is said once."""
    rng = np.random.default_rng(0)
    rows = [",".join([*map(str, rng.random(5)), "abc"[k % 3]]) for k in range(90)]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    (tmp_path / "wrong.csv").write_text("\n".join([*rows, "1,2"]))
    train = [sys.executable, "-m", "runtime", "train", str(module), "--quiet", "--epochs", "1", "--data"]

    def trained(ranks: int, table: str) -> subprocess.CompletedProcess[str]:
        start = [] if ranks == 1 else [str(MPIEXEC), "-n", str(ranks)]
        options = [str(tmp_path / table), "--weights", str(tmp_path / str(ranks))]
        return subprocess.run(
            [*start, *train, *options], cwd=ROOT, capture_output=True, text=True, timeout=120
        )

    for ranks in (1, 3):
        assert (done := trained(ranks, "table.csv")).returncode == 0, done.stderr
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()
    done = trained(2, "wrong.csv")
    assert done.returncode != 0 and done.stderr.count("different lengths") == 1, done.stderr


def test_in_any_order_and_by_decision_of_one(module: Path, tmp_path: Path, alone: Path) -> None:
    """Losses but for rounding; who asks for the end ends the training of all."""
    folder = tmp_path / "unordered"
    done = run(3, module, folder, epochs=2, ranks="unordered", stops=2, verbose=0)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    expected = results(alone, 1)[0]["history"]["loss"][:1]
    found = results(folder, 3)
    assert [one["history"]["loss"] for one in found] == [pytest.approx(expected, rel=1e-5)] * 3
    assert found[0]["weights"] == found[1]["weights"] == found[2]["weights"]


def test_statistics_of_each(module: Path, tmp_path: Path) -> None:
    """All have the same weights and history."""
    done = run(2, module, tmp_path / "each", epochs=1, ranks="each", verbose=0)
    assert done.returncode == 0, done.stderr
    one, other = results(tmp_path / "each", 2)
    assert (one["weights"], one["history"]) == (other["weights"], other["history"])


BEFORE_FIT = """
import os, sys
import chainrule
if "knows MPI" in sys.argv:
    from mpi4py import MPI
if os.environ["PMI_RANK"] == "1":
    raise OSError("no data here")
from runtime.distributed.launch import find_group
find_group()
"""


@pytest.mark.parametrize("knows", ["nothing of MPI", "knows MPI"])
def test_a_script_that_fails_before_fit_ends_the_job(knows: str) -> None:
    """The other waits for it where `fit` begins, and would for ever."""
    command = [str(MPIEXEC), "-n", "2", sys.executable, "-c", BEFORE_FIT, knows]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "no data here" in done.stderr


def test_a_process_that_fails_ends_the_job(module: Path, tmp_path: Path) -> None:
    """With a message and a checkpoint; what all do wrong is said by one."""
    done = run(2, module, tmp_path / "failing", epochs=2, fails=1)
    assert done.returncode != 0
    assert "rank 1 of 2 ends the job" in done.stderr and "had enough" in done.stderr
    assert "go on from it" in done.stderr
    done = run(2, module, tmp_path / "wrong", epochs=1, batch_size=-1)
    assert done.returncode != 0 and done.stderr.count("TrainingError: ") == 1, done.stderr
