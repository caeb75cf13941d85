"""Values of the command line, from their text. Each raises argparse's own error: wrong usage, exit code 2."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from compiler.errors import ModelError
from compiler.modes import checked_modes
from compiler.toolchain.versions import version_of

T = TypeVar("T")


def modes(text: str) -> tuple[str, ...]:
    return _as_usage(lambda: checked_modes(mode.strip() for mode in text.split(",")))


def switches(text: str) -> frozenset[str]:
    # The table holds the passes themselves, which import SymPy: only who asks for one pays for it.
    from compiler.pipeline import parse_switches

    return _as_usage(lambda: parse_switches(text))


def _as_usage(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ModelError as error:
        problem = error.problems[0]
        raise argparse.ArgumentTypeError(
            f"{problem.message} {problem.found}, expected {problem.expected}"
        ) from None


def step(text: str) -> str:
    from compiler.pipeline import parse_step

    return _as_usage(lambda: parse_step(text))


def positive(text: str) -> int:
    if not text.strip().isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive integer, found {text!r}")
    return int(text)


def positive_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text!r}")
    return number


def positives(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(map(positive, text.split(","))))


class Version(argparse.Action):
    """Looks for the version only where somebody asks: every command makes this parser."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> None:
        print(f"chainrule {version_of('chainrule')}")
        parser.exit()
