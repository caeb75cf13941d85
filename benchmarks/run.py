"""Compare training steps and predictions with other frameworks, at equal threads, in one run.

    python -m benchmarks.run --cases mnist_cnn/train/128 --threads 1,2 --rounds 10

Run it from the root of the checkout; `make bench` does, and builds what it needs. Every peer has the fastest
setting that an ordinary user of it would choose; where that depends on the machine, each choice is a row.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path

from benchmarks.cases import CASES, Case, needed_files, parse_case
from benchmarks.contention import describe_contention, share_of_others, take_reading
from benchmarks.machine import describe_machine, usable_cores
from benchmarks.measure import Plan, measure
from benchmarks.report import (
    Record,
    keep,
    make_record,
    render_case,
    render_results,
    render_summary,
    write_into,
)
from benchmarks.worker import ROOT, Peer, Turn

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
        Peer(
            "torch-compile-max-autotune",
            "benchmarks.peers.torch_step",
            variant="compile max-autotune channels-last",
        ),
        Peer("jax", "benchmarks.peers.jax_step"),
        Peer("onnxruntime", "benchmarks.peers.onnx_runtime"),
        Peer("openvino", "benchmarks.peers.openvino_runtime"),
        Peer(
            "chainrule-bfloat16",
            "benchmarks.peers.chainrule_step",
            virtual_environment=".venv",
            variant="bfloat16",
        ),
        Peer("torch-bfloat16", "benchmarks.peers.torch_step", variant="bfloat16"),
    )
}
PREDICT_ONLY = {"onnxruntime", "openvino"}
LOW_PRECISION = {"chainrule-bfloat16", "torch-bfloat16"}
"""Rows of another precision, which are compared with each other: only where they are asked for."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--cases", type=parse_cases, default=",".join(CASES), help="what, with commas")
    parser.add_argument(
        "--threads", type=parse_threads, default="1,2", help="numbers of threads, with commas"
    )
    parser.add_argument("--rounds", type=int, default=10, help="turns that every worker gets")
    parser.add_argument("--seconds", type=float, default=0.5, help="counted time of a turn")
    parser.add_argument(
        "--peers",
        type=parse_peers,
        default=",".join(n for n in PEERS if n not in LOW_PRECISION),
        help="rows, with commas",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the records there as well")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the results into docs/benchmarks.md and benchmarks/results.json",
    )
    parser.add_argument(
        "--list-models", action="store_true", help="print the model files of the cases and measure nothing"
    )
    return parser.parse_args()


def parse_cases(text: str) -> list[Case]:
    """Cases by name."""
    try:
        return [parse_case(name) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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


def measure_case(case: Case, arguments: argparse.Namespace) -> Record:
    """Measure one case, and see how much of the machine others took meanwhile."""
    peers = [peer for peer in arguments.peers if case.mode == "predict" or peer.name not in PREDICT_ONLY]
    plan = Plan(peers, arguments.threads, arguments.rounds, Turn(arguments.seconds))
    before = take_reading()
    measurements = measure(case, plan, progress=lambda text: print(text, file=sys.stderr))
    load = describe_contention(share_of_others(before, take_reading()))
    date = datetime.date.today().isoformat()
    return make_record(case, describe_machine(), load, date, arguments.rounds, measurements)


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.list_models:
        print("\n".join(needed_files(arguments.cases)))
        return
    records = []
    for case in arguments.cases:
        records.append(measure_case(case, arguments))
        print(render_case(records[-1]), end="\n\n", flush=True)
        if arguments.write:
            # After each case, so that an interrupted run leaves what it has measured.
            known = keep(records[-1:], ROOT / "benchmarks" / "results.json")
            write_into(ROOT / "docs" / "benchmarks.md", render_results(known))
    print(render_summary(records))
    if arguments.json:
        arguments.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
