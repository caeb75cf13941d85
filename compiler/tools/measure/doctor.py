"""`chainrule doctor`: what is missing for compiling; with `--measure` what this processor does in a cycle."""

from __future__ import annotations

import argparse
import json
from typing import Any

FORGOTTEN = {True: "removed; native compiles by the defaults again", False: "nothing was measured"}


def add_doctor(commands: Any) -> None:
    """Add the command to those of `chainrule`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="say what is missing for compiling, and how to get it; measure the processor"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--measure",
        action="store_true",
        help="measure bytes and multiply-adds a cycle, and keep that: native is compiled by it from then on",
    )
    what.add_argument("--forget", action="store_true", help="remove what was measured")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=run_doctor)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Run the command; 0 where nothing is missing, or what was asked for is done."""
    if arguments.measure:
        return _measure(arguments.json)
    if arguments.forget:
        return _forget(arguments.json)
    from compiler.toolchain.doctor import report

    return report(arguments.json)


def _measure(as_json: bool) -> int:
    from compiler.toolchain.build import find_toolchain
    from compiler.toolchain.compile_file import described_target
    from compiler.toolchain.measured import keep, try_to_keep
    from compiler.tools.measure.pace import measure_pace
    from compiler.tools.measure.pace_text import render, to_json

    toolchain = find_toolchain()
    target = described_target(toolchain)
    file = try_to_keep()
    found = measure_pace(target, toolchain)
    keep(found, file)
    print(
        json.dumps(to_json(found, target.machine, file)) if as_json else render(found, target.machine, file)
    )
    return 0


def _forget(as_json: bool) -> int:
    from compiler.toolchain.measured import forget

    file, removed = forget()
    print(json.dumps({"file": str(file), "removed": removed}) if as_json else f"{file}: {FORGOTTEN[removed]}")
    return 0
