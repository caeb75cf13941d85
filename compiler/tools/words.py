"""How reports say what they have counted."""

from __future__ import annotations


def bytes_text(count: int) -> str:
    """A number of bytes in the largest unit of which there is one: "3.8 MiB", "512 bytes"."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
