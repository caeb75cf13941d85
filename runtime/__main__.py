"""`python -m runtime train generated/mnist`: built modules trained and measured without the compiler."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.border import guarded
from runtime.cli import add_evaluate_arguments, add_train_arguments, evaluate, train
from runtime.modules import load_module


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    return guarded(lambda: parsed.run(parsed, load_module(parsed.module)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runtime", description="Use a built module.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for run, add_arguments, words in (
        (train, add_train_arguments, "train a built module"),
        (evaluate, add_evaluate_arguments, "measure saved weights on the test data"),
    ):
        command = commands.add_parser(run.__name__, help=words)
        command.add_argument("module", metavar="MODULE", help="a built module, such as generated/mnist")
        add_arguments(command)
        command.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
