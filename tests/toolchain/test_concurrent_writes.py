"""Another thread that writes what a step was given: wrong numbers at worst, never a crash.

Before labels, integer inputs and rows were copied, every case here ended in a segmentation fault.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RACE = """
import sys, threading
import numpy as np

case, size, steps, threads = sys.argv[1], *map(int, sys.argv[2:])
sys.setswitchinterval(1e-5)
done = threading.Event()
if case == "tokens":
    import letters
    shared = np.zeros((size, 4), np.int32)
    y = np.zeros((size, 4), np.int32)
    net = letters.Network(threads=threads)
    calls = [lambda: net.train_step(shared, y), lambda: net.predict(shared), lambda: net.evaluate(shared, y)]
else:
    import pixels
    net = pixels.Network(threads=threads)
    shared = np.zeros(size, np.int64 if case == "rows" else np.int32)
    x, y = np.ones((50 if case == "rows" else size, 5), np.float32), np.zeros(50, np.int32)
    along = {"input": np.ones((size, 5))}
    given = (x, y) if case == "rows" else (x, shared)
    named = {"rows": shared} if case == "rows" else {}
    calls = [
        lambda: net.train_step(*given, **named),
        lambda: net.value_and_grad(*given, inputs=True, **named),
        lambda: net.jvp(*given, along, **named),
        lambda: net.hvp(*given, along, **named),
        lambda: net.per_example_gradients(*given, **named),
    ]

def write():
    while not done.is_set():
        shared[...] = 10**9
        shared[...] = 0

writer = threading.Thread(target=write)
writer.start()
outcomes = {"done": 0, "refused": 0}
for number in range(steps):
    try:
        calls[number % len(calls)]()
        outcomes["done"] += 1
    except ValueError as error:
        assert "found 1000000000 at position" in str(error), error
        outcomes["refused"] += 1
done.set()
writer.join()
# Nobody writes any more: what is left is a network that works.
shared[...] = 0
for call in calls:
    call()
assert all(np.isfinite(array).all() for array in net.parameters.values())
print(sum(outcomes.values()))
"""


@pytest.mark.parametrize("case", ["rows", "labels", "tokens"])
@pytest.mark.parametrize(
    ("size", "steps", "threads"), [(64, 500, 1), (100_000, 10, 1), (100_000, 10, 2)], ids=str
)
def test_a_thread_that_writes_crashes_nothing(case: str, size: int, steps: int, threads: int, border) -> None:
    folder: Path = border("letters" if case == "tokens" else "pixels").module.parent
    command = [sys.executable, "-c", RACE, case, str(size), str(steps), str(threads)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, f"exit code {result.returncode}\n{result.stderr}"
    assert result.stdout.split() == [str(steps)]
