"""Counter-based uniform random numbers: the reference of what generated kernels compute.

Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC'11). The key is (seed, stream), the counter is (element, step); so no thread, tile or resume
changes a mask. The first output word's upper 24 bits become a multiple of 2^-24 in [0, 1), exact in
float32 and float64 alike.
"""

from __future__ import annotations

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry(key: tuple[int, int], counter: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two uint32 arrays of random bits from a key of two words and counters of two uint32 arrays."""
    keys = (np.uint32(key[0]), np.uint32(key[1]), np.uint32(key[0] ^ key[1] ^ PARITY))
    with np.errstate(over="ignore"):
        x0 = counter[0].astype(np.uint32) + keys[0]
        x1 = counter[1].astype(np.uint32) + keys[1]
        for group in range(5):
            for rotation in ROTATIONS[group % 2]:
                x0 = x0 + x1
                x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
                x1 = x1 ^ x0
            x0 = x0 + keys[(group + 1) % 3]
            x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def uniform(seed: int, step: int, stream: int, elements: np.ndarray) -> np.ndarray:
    """Float64 uniforms in [0, 1) for flat element numbers, as every generated kernel computes them."""
    elements = np.asarray(elements, dtype=np.uint32)
    steps = np.full(elements.shape, step & 0xFFFFFFFF, dtype=np.uint32)
    bits, _ = threefry((seed & 0xFFFFFFFF, stream & 0xFFFFFFFF), (elements, steps))
    return (bits >> np.uint32(8)).astype(np.float64) * 2.0**-24
