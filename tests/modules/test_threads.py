"""Threads of a network: how many there are, when they start and end, forks, and several networks at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.modules.test_network import data

EAGER = ("tiny", "float64")
"""A module that shares out all that it can."""


def _count() -> int:
    """Threads of this process, or a skipped test."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("only Linux tells the threads of a process")
    return len(list(tasks.iterdir()))


def test_threads_start_with_work_and_end_with_their_network(built) -> None:
    module = built(*EAGER)
    x, y = data(module, 64)
    before = _count()
    net = module.Network(seed=0, threads=3)
    assert _count() == before, "nothing to do yet"
    net.train_step(x, y)
    assert _count() == before + 2
    net.threads = 2
    assert _count() == before
    net.predict(x)
    assert _count() == before + 1
    other = module.Network(seed=0, threads=4)
    other.predict(x)
    assert _count() == before + 4
    del net
    assert _count() == before + 3
    del other
    assert _count() == before


def test_a_tile_is_one_thread_work(built) -> None:
    """A small model at batch 8 wakes nobody, even where everything is shared out."""
    module = built(*EAGER)
    x, y = data(module, 8)
    before = _count()
    net = module.Network(seed=0, threads=2)
    for _ in range(3):
        net.train_step(x, y)
        net.predict(x)
    assert _count() == before


def test_networks_in_several_threads_at_once(built) -> None:
    """Each has the bits that it has alone."""
    module = built(*EAGER)
    batches = [data(module, 40, seed) for seed in range(4)]

    def trained(seed: int, threads: int) -> tuple:
        net = module.Network(seed=seed, threads=threads)
        losses = [net.train_step(*batches[seed]) for _ in range(20)]
        return losses, net.predict(batches[seed][0]).tobytes()

    results = {}
    workers = [
        threading.Thread(target=lambda seed=seed: results.update({seed: trained(seed, 1 + seed)}))
        for seed in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == {seed: trained(seed, 1) for seed in range(4)}


def test_one_network_in_several_threads_at_once(built) -> None:
    module = built(*EAGER)
    x, _ = data(module, 40)
    net = module.Network(seed=0, threads=2)
    expected = net.predict(x).tobytes()
    found = []
    workers = [
        threading.Thread(target=lambda: found.extend(net.predict(x).tobytes() for _ in range(20)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 80


LOAD = """
import importlib.util, multiprocessing, os, resource, sys, threading, time
import numpy as np

def load():
    spec = importlib.util.spec_from_file_location("tiny", sys.argv[1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def batch(module):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (64, *module.INPUT_SHAPE), dtype=np.uint8)
    return x, rng.integers(0, module.LABEL_LIMIT, 64)

"""

FORKED = """
def compute(queue, net=None):
    module = load()
    x, y = batch(module)
    own = net is None
    net = module.Network(seed=0, threads=2) if own else net
    if own:
        net.train_step(x, y)
    before = net.predict(x).tobytes()
    net.train_step(x, y)
    queue.put((before, net.predict(x).tobytes(), net.threads))

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    module = load()
    x, y = batch(module)
    net = module.Network(seed=0, threads=2)
    net.train_step(x, y)
    net.predict(x)
    queue = context.Queue()
    given = (queue, net) if sys.argv[2] == "fork" else (queue,)
    children = [context.Process(target=compute, args=given, daemon=True) for _ in range(3)]
    for child in children:
        child.start()
    found = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    before = net.predict(x).tobytes()
    net.train_step(x, y)
    assert found == [(before, net.predict(x).tobytes(), 2)] * 3, "other bits"
    assert [child.exitcode for child in children] == [0, 0, 0]
"""

FORKED_IN_A_CALL = """
# While another thread is inside a call, which holds the network's lock.
if __name__ == "__main__":
    module = load()
    x, y = batch(module)
    net = module.Network(seed=0, threads=2)
    many = np.concatenate([x] * 4000)
    ended = []
    def work():
        while not ended:
            net.predict(many)
    worker = threading.Thread(target=work)
    worker.start()
    expected = module.Network(seed=0, threads=1).predict(x).tobytes()
    context = multiprocessing.get_context("fork")
    def compute(queue):
        queue.put(net.predict(x).tobytes())
        queue.put([net.train_step(x, y) for _ in range(3)])
    for _ in range(5):
        time.sleep(0.02)
        queue = context.Queue()
        child = context.Process(target=compute, args=(queue,), daemon=True)
        child.start()
        assert queue.get(timeout=60) == expected
        assert np.isfinite(queue.get(timeout=60)).all()
        child.join(60)
        assert child.exitcode == 0
    ended.append(True)
    worker.join()
"""

WITHOUT_THREADS = """
# A system that gives no more threads: their stacks find no room.
if __name__ == "__main__":
    module = load()
    x, y = batch(module)
    expected = module.Network(seed=0, threads=1).train_step(x, y)
    net = module.Network(seed=0, threads=4)
    used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGESIZE")
    tasks = len(os.listdir("/proc/self/task"))
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 20), -1))
    assert net.train_step(x, y) == expected
    assert len(os.listdir("/proc/self/task")) == tasks
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    del net
"""

STILL_THERE = """
# At the end of the program: a network that lives on, and one that a daemon thread is using.
if __name__ == "__main__":
    module = load()
    x, y = batch(module)
    net = module.Network(seed=0, threads=3)
    net.train_step(x, y)
    busy = module.Network(seed=0, threads=2)
    many = np.concatenate([x] * 100)
    def work():
        while True:
            busy.predict(many)
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.1)
"""


def _run(module, folder: Path, text: str, *arguments: str) -> None:
    script = folder / "script.py"
    script.write_text(LOAD + text)
    command = [sys.executable, str(script), module.__file__, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_other_processes(method: str, built, tmp_path: Path) -> None:
    """After two threads were used, a child predicts and trains, with two threads and the same bits."""
    if not hasattr(os, "fork") and method != "spawn":
        pytest.skip("this system cannot fork")
    _run(built(*EAGER), tmp_path, FORKED, method)


def test_a_fork_during_a_call(built, tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    _run(built(*EAGER), tmp_path, FORKED_IN_A_CALL)


def test_a_system_without_threads_to_give(built, tmp_path: Path) -> None:
    _count()
    _run(built(*EAGER), tmp_path, WITHOUT_THREADS)


def test_the_end_of_the_program(built, tmp_path: Path) -> None:
    _run(built(*EAGER), tmp_path, STILL_THERE)


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu rw shared:9 master:1 - cgroup cgroup rw,cpu\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
GROUPS = [
    # what it is; proc/self/cgroup; proc/self/mountinfo; files; processors
    ("no files", None, None, {}, None),
    ("v2 without a limit", "0::/", V2, {"cpu.max": "max 100000"}, None),
    ("v2, root of a namespace", "0::/", V2, {"cpu.max": "150000 100000"}, 1.5),
    ("v2, one and a half", "0::/a/b", V2, {"a/b/cpu.max": "150000 100000"}, 1.5),
    ("v2, the group above is smaller", "0::/a/b", V2,
     {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000", "b/cpu.max": "1 100000"}, 0.5),
    ("v2, a group outside of the namespace", "0::/../a", V2, {"cpu.max": "max 100000"}, None),
    ("v2, unreadable words", "0::/", V2, {"cpu.max": "many 100000"}, None),
    ("v1", "4:cpuset:/\n3:cpu,cpuacct:/a", V1.format(top="/"),
     {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "200000"}, 2),
    ("v1 without a limit", "2:cpu:/a\n0::/", V1.format(top="/"),
     {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
    ("v1 in a container", "2:cpu:/docker/1f\n0::/docker/1f", V1.format(top="/docker/1f"),
     {"cpu/cpu.cfs_quota_us": "70000", "cpu/cpu.cfs_period_us": "100000"}, 0.7),
    ("v1 in a container that sees its own root", "2:cpu:/\n0::/", V1.format(top="/docker/1f"),
     {"cpu/cpu.cfs_quota_us": "70000", "cpu/cpu.cfs_period_us": "100000"}, 0.7),
]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "quota"), [row[1:] for row in GROUPS], ids=[row[0] for row in GROUPS]
)
def test_the_default_follows_control_groups(
    groups: str | None,
    mounts: str | None,
    files: dict,
    quota: float | None,
    built,
    tmp_path: Path,
    monkeypatch,
) -> None:
    for name, text in [("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)]:
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    monkeypatch.delenv("CHAINRULE_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    module = built(*EAGER)
    assert module._quota(f"{tmp_path}/") == quota
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    expected = usable if quota is None else min(usable, int(np.ceil(quota)))
    assert module._default_threads(f"{tmp_path}/") == expected


def test_the_default_follows_the_affinity_mask(built, monkeypatch) -> None:
    monkeypatch.delenv("CHAINRULE_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    module = built(*EAGER)
    monkeypatch.setattr(module, "_quota", lambda root: None)
    assert module._default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2,4")
    assert module._default_threads() == 2
    monkeypatch.setenv("CHAINRULE_THREADS", "5")
    assert module._default_threads() == 5
