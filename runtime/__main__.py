"""`python -m runtime train generated/mnist`: built modules trained and measured without the compiler."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.arguments import COMMANDS, parse
from runtime.border import guarded
from runtime.commands.table import RUNS
from runtime.modules import load_module


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code."""
    parsed = parse(_parser(), arguments)
    return guarded(lambda: _run(parsed))


def _run(arguments: argparse.Namespace) -> int:
    run = RUNS[arguments.command]
    run.check(arguments)
    return run.run(arguments, load_module(arguments.module))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runtime", description="Use a built module.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    for command in COMMANDS:
        used = commands.add_parser(command.name, help=command.help)
        used.add_argument("module", metavar="MODULE", help="a built module, such as generated/mnist")
        command.add_arguments(used)
    return parser


if __name__ == "__main__":
    sys.exit(main())
