"""Where in the user's file something is written."""

from __future__ import annotations

import os
import sys
from types import FrameType

from compiler.errors import Span

_PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def caller() -> Span | None:
    """The place in the user's file that the present call comes from."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<string>")):
            return Span(file, frame.f_lineno)
        frame = frame.f_back
    return None
