"""Flags for XLA are given to a library that has them: one that it does not know ends the process at once."""

from __future__ import annotations

from pathlib import Path

from tests.quick_jax import QUICK, is_in


def test_a_flag_that_is_there_no_longer_is_not_given(tmp_path: Path) -> None:
    """XLA of JAX 0.12 names one among those that are reserved, and ended every process that gave it."""
    first, *others = (name.encode() for name in QUICK)
    library = tmp_path / "library.so"
    reserved = b"".join(b"R" + bytes([len(name)]) + name for name in others)
    library.write_bytes(b"flags\0" + first + b"\0what it does\0" + reserved)
    assert [name for name in QUICK if is_in(library, name)] == [first.decode()]
