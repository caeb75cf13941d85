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
            # Asked for in every comparison: an attribute is found sooner than a key of __dict__, and a call
            # that says its type would take as long again.
            return self._hash  # type: ignore[attr-defined]  # kept below
        except AttributeError:
            known = self.__dict__["_hash"] = work_out(self)
            return known

    kind.__hash__ = kept  # type: ignore[method-assign, assignment]  # what this function is for
    return kind
