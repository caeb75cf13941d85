"""Compare one training step of the MNIST network with other frameworks, at equal threads, in one run.

    python -m benchmarks.mnist_step --batch 128 --threads 1,2 --rounds 10

Run it from the root of the checkout; `make bench` does, and builds what it needs. Every peer has the fastest
setting that an ordinary user of it would choose; where that depends on the machine, each choice is a row.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.contention import describe_contention, share_of_others, take_reading
from benchmarks.machine import describe_machine, usable_cores
from benchmarks.measure import Plan, measure
from benchmarks.report import render_report, to_json
from benchmarks.worker import Peer, Request
from benchmarks.workloads import WORKLOADS

PEERS = {
    peer.name: peer
    for peer in (
        Peer("chainrule", "benchmarks.peers.chainrule_step", virtual_environment=".venv"),
        Peer("keras-tf", "benchmarks.peers.keras_tf"),
        Peer("keras-tf-xla", "benchmarks.peers.keras_tf", variant="xla"),
        Peer("torch", "benchmarks.peers.torch_step"),
        Peer("torch-channels-last", "benchmarks.peers.torch_step", variant="channels-last"),
        Peer("torch-compile", "benchmarks.peers.torch_step", variant="compile"),
        Peer("torch-compile-channels-last", "benchmarks.peers.torch_step", variant="compile channels-last"),
        Peer("jax", "benchmarks.peers.jax_step"),
    )
}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--workload", default="mnist_cnn", choices=WORKLOADS, help="the model")
    parser.add_argument("--batch", type=int, default=128, help="images in a batch")
    parser.add_argument(
        "--threads", type=parse_threads, default="1,2", help="numbers of threads, with commas"
    )
    parser.add_argument("--rounds", type=int, default=10, help="turns that every worker gets")
    parser.add_argument("--steps", type=int, default=10, help="counted steps in a turn")
    parser.add_argument("--peers", type=parse_peers, default=",".join(PEERS), help="rows, with commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single step there as well")
    return parser.parse_args()


def parse_threads(text: str) -> list[int]:
    """Numbers of threads; more threads than cores would measure the scheduler of the system."""
    counts = [int(word) for word in text.split(",")]
    cores = len(usable_cores())
    possible = [count for count in counts if 1 <= count <= cores]
    if not possible:
        raise argparse.ArgumentTypeError(f"{text}: this machine has {cores} core(s)")
    return possible


def parse_peers(text: str) -> list[Peer]:
    """Rows of the table by name."""
    unknown = [name for name in text.split(",") if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(PEERS)}")
    return [PEERS[name] for name in text.split(",")]


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    request = Request(arguments.workload, arguments.batch)
    plan = Plan(arguments.peers, arguments.threads, arguments.rounds, arguments.steps, request)
    machine = describe_machine()
    before = take_reading()
    measurements = measure(plan, progress=lambda text: print(text, file=sys.stderr))
    contention = describe_contention(share_of_others(before, take_reading()))
    description = WORKLOADS[arguments.workload].description
    title = f"One training step of {arguments.workload}, batch {arguments.batch}\n\nmodel     {description}"
    print(render_report(title, machine, contention, measurements))
    if arguments.json:
        arguments.json.write_text(
            json.dumps(to_json(machine, contention, measurements), indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
