"""What several processes gain: measured here, and by a model of clusters: `python -m benchmarks.distributed`.

    mpiexec -n 4 python -m benchmarks.distributed --measure    steps of the built module by four processes

The model (Hockney, 1994): a message of n bytes takes α + n/β. Collective operations as MPICH has them for
long messages (Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH,
International Journal of High Performance Computing Applications 19(1), 2005), p processes:

    allgather, ring           (p - 1)·α + (p - 1)/p · n/β     n bytes in all
    all-to-all, pairwise      (p - 1)·α + (p - 1)/p · n/β     n bytes of each process
    allreduce, Rabenseifner   2·log₂ p·α + 2·(p - 1)/p · n/β

What is added up, and the time of Python around an exchange, is left out; the latter is measured.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contention import describe_contention, share_of_others, take_reading
from runtime.distributed.exchange import SMALL_BYTES
from runtime.distributed.launch import find_group
from runtime.distributed.network import SharedNetwork, begin_alike
from runtime.interface import ModelInterface
from runtime.modules import load_module

LANES = 8
"""Of a module; more processes add up in any order."""
NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
STEP_SECONDS, STEP_IMAGES = 3.23e-3, 128
"""A step of models/mnist.py by the two cores of the machine of docs/benchmarks.md, which are a node here."""


@dataclass(frozen=True)
class Network:
    """α in seconds and β in bytes a second, and where they were published."""

    name: str
    latency: float
    bandwidth: float
    source: str


NETWORKS = (
    Network(
        "gigabit Ethernet, TCP",
        25e-6,
        117e6,
        "OSU micro-benchmarks, MPICH: gist.github.com/jfgrimm/3af692a5475bdd4ed836b5a18197a209",
    ),
    Network(
        "10 Gbit/s of a cloud",
        48e-6,
        1.19e9,
        "half of a round trip of 92 to 100 µs, 95 % of 10 Gbit/s: "
        "blogs.scalablelogic.com/2014/01/enhanced-networking-in-aws-cloud-part-2.html",
    ),
    Network(
        "InfiniBand, UCX",
        0.95e-6,
        10.3e9,
        "OSU micro-benchmarks, MPICH over UCX, as its wheel has it: the gist above",
    ),
)


@dataclass(frozen=True)
class Traffic:
    """What a step exchanges, in bytes, one entry for each exchange; values of an example for each image."""

    sums: tuple[int, ...]
    results: tuple[int, ...]
    gathered: tuple[int, ...]


def traffic_of(module: Any) -> Traffic:
    """Of a built module, from what it says of its phases."""
    size = np.dtype(module.DTYPE).itemsize
    phases = module._EXCHANGES
    sums = (size * sum(stop - start for start, stop, _ in summed) for _, _, summed in phases)
    results = (size * sum(values for _, _, values in at_once) for _, at_once, _ in phases)
    gathered = (sum(width for _, width in kept) for kept, _, _ in phases)
    return Traffic(*(tuple(filter(None, found)) for found in (sums, results, gathered)))


def exchange_seconds(traffic: Traffic, network: Network, ranks: int, images: int) -> float:
    """The exchanges of a step whose whole batch has so many images."""
    if ranks == 1:
        return 0.0
    latency, per_byte = network.latency, (ranks - 1) / ranks / network.bandwidth
    reduce = [2 * math.log2(ranks) * latency + 2 * per_byte * size for size in traffic.results]
    if ranks > LANES:
        size = sum(traffic.sums)
        return sum(reduce) + 2 * math.log2(ranks) * latency * len(traffic.sums) + 2 * per_byte * size
    lanes = [
        (ranks - 1) * latency + per_byte * ranks * size
        if size <= SMALL_BYTES
        else 2 * ((ranks - 1) * latency + per_byte * size)
        for size in traffic.sums
    ]
    gather = [(ranks - 1) * latency + per_byte * images * size for size in traffic.gathered]
    return sum(reduce) + sum(lanes) + sum(gather)


def table(traffic: Traffic) -> Iterator[str]:
    """As docs/distributed.md has it: milliseconds of a step, and the share of the time that computes."""
    for title, images_of in (
        ("8,192 images a step", lambda nodes: 8192),
        ("128 images a node", lambda nodes: 128 * nodes),
    ):
        yield f"| {title}: nodes | computing, ms | " + " | ".join(n.name for n in NETWORKS) + " |"
        yield "|---:|---:|" + "---:|" * len(NETWORKS)
        for nodes in NODES:
            images = images_of(nodes)
            computing = STEP_SECONDS * images / STEP_IMAGES / nodes
            cells = []
            for network in NETWORKS:
                step = computing + exchange_seconds(traffic, network, nodes, images)
                cells.append(f"{1e3 * step:.2f} ms, {computing / step:.0%}")
            yield f"| {nodes:,} | {1e3 * computing:.2f} | " + " | ".join(cells) + " |"
        yield ""


def measure(module: Any, batch: int, steps: int, ranks: str) -> None:
    """Time steps of a batch by the processes that `mpiexec` has started, and their exchanges."""
    group = find_group(ranks)
    interface = ModelInterface.of_module(module)
    random = np.random.default_rng(0)
    x = random.random((batch, *interface.input_shape)).astype(interface.dtype)
    y = random.integers(interface.classes, size=(batch, *interface.label_shape))
    network = module.Network(seed=0)
    if group is not None:
        begin_alike(network, group)
        network = SharedNetwork(network, group)
    before, times, spent = take_reading(), [], [(0.0, 0.0)]
    for _ in range(steps):
        begun = time.perf_counter()
        network.train_step(x, y)
        times.append(time.perf_counter() - begun)
        spent.append((0.0, 0.0) if group is None else (network.share.seconds, network.share.processor))
    if group is not None and not group.first:
        return
    clock, processor = (np.diff([one[k] for one in spent]) for k in (0, 1))
    print(f"{1 if group is None else group.ranks} processes, {network.threads} threads each, batch {batch}")
    for what, seconds in (("a step", times), ("its exchanges", clock), ("their processor time", processor)):
        best, median = 1e3 * min(seconds), 1e3 * statistics.median(seconds)
        print(f"  {what:<24}{best:8.3f} ms at best, median {median:.3f}")
    if group is not None:
        print(f"  {network.share.sent // steps:,} bytes sent by the first in a step")
    print(f"  {describe_contention(share_of_others(before, take_reading()))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", type=Path, default=Path("generated/mnist"), help="a built module")
    parser.add_argument("--measure", action="store_true", help="time steps, under mpiexec")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--ranks", choices=("ordered", "unordered"), default="ordered")
    options = parser.parse_args()
    module = load_module(options.module)
    if options.measure:
        measure(module, options.batch_size, options.steps, options.ranks)
        return
    traffic = traffic_of(module)
    print(
        f"sums of lanes {traffic.sums} bytes, sums at once {traffic.results}, {traffic.gathered} an image\n"
    )
    print("\n".join(table(traffic)))
    for network in NETWORKS:
        speeds = f"{1e6 * network.latency:g} µs, {network.bandwidth / 1e9:g} GB/s"
        print(f"{network.name}: {speeds} ({network.source})")


if __name__ == "__main__":
    main()
