"""A process pool after fork: children go on with the network of their parent, without a copy of its weights.

    python examples/process_pool.py

Where processes are spawned instead (macOS, Windows), a network is pickled: `from generated import digits`
makes one that can be.
"""

import multiprocessing
from pathlib import Path

import numpy as np

import chainrule
from runtime.data import load_mnist

digits = chainrule.compile(Path(__file__).with_name("digits.py"))
data = load_mnist(offline=True).arrays()
network = digits.Network(seed=0)
chainrule.fit(network, data.x_train, data.y_train, batch_size=32, verbose=0)


def count_right(part: slice) -> int:
    """Runs in a child, which has all of this as it was at the fork, and threads of its own."""
    network.threads = 1
    return int((network.predict(data.x_test[part]).argmax(axis=1) == data.y_test[part]).sum())


parts = [slice(begin, begin + 50) for begin in range(0, len(data.x_test), 50)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    right = sum(pool.map(count_right, parts))

assert right == np.sum(network.predict(data.x_test).argmax(axis=1) == data.y_test)
print(f"{right} of {len(data.x_test)} right, counted by two processes")
