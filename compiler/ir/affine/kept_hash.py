"""Hashes that are worked out once: values that hold many others are looked up in tables all the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

Kind = TypeVar("Kind", bound=type)


def keeps_hash(kind: Kind) -> Kind:
    """A frozen dataclass whose instances remember their hash, which goes through all that they hold."""
    work_out = cast("Callable[[object], int]", kind.__hash__)

    def kept(self: object) -> int:
        try:
            return cast(int, self._hash)  # type: ignore[attr-defined]
        except AttributeError:
            known = self.__dict__["_hash"] = work_out(self)
            return known

    kind.__hash__ = kept  # type: ignore[method-assign, assignment]
    return kind
