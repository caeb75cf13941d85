"""What a command prints: results to standard output, as text or JSON; remarks to standard error."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def say(arguments: argparse.Namespace, event: str, text: str, **facts: Any) -> None:
    """A result: `text` for a person, or with --json the facts as an object of this event."""
    if arguments.json:
        print_json(event, **facts)
    else:
        print(text, flush=True)


def print_json(event: str, **facts: Any) -> None:
    """One object on a line of its own."""
    print(json.dumps({"event": event, **facts}, allow_nan=False), flush=True)


def remark(text: str) -> None:
    """What is no result."""
    print(text, file=sys.stderr, flush=True)
