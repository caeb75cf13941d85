"""A thread pool: a network is used by one thread at a time, so each thread has a copy of its own.

    python examples/thread_pool.py

A network computes without Python's lock, so the copies run at the same time; with one thread each, they do
not compete for processors.
"""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import chainrule
from runtime.data import load_mnist

digits = chainrule.compile(Path(__file__).with_name("digits.py"))
data = load_mnist(offline=True).arrays()
trained = digits.Network(seed=0, threads=1)
chainrule.fit(trained, data.x_train, data.y_train, batch_size=32, verbose=0)

mine = threading.local()


def predict(images: np.ndarray) -> np.ndarray:
    if not hasattr(mine, "network"):
        mine.network = copy.deepcopy(trained)
    return mine.network.predict(images)


with ThreadPoolExecutor(4) as pool:
    parts = list(pool.map(predict, np.array_split(data.x_test, 8)))

together = np.concatenate(parts)
assert np.array_equal(together, trained.predict(data.x_test))  # to the bit
print(
    f"{len(together)} predictions by four threads, accuracy {(together.argmax(1) == data.y_test).mean():.1%}"
)
