"""What code costs, counted in calls of Python functions: the same on any machine, however busy it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls_of(work: Callable[[], object], most: int | None = None) -> int:
    """How many Python functions are called; what is kept of earlier work makes it fewer.

    Raises AssertionError as soon as there are more than `most`: what never ends fails, too."""
    count = 0

    def counting(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"
        if most is not None and count > most:
            raise AssertionError(f"more than {most} calls")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
