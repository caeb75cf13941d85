"""Which data a run has seen, as its checkpoints say it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class DataIdentity:
    """Which data a run has seen: a name for people, a checksum, and whether they only stand in for others.

    `classes` are the names of their classes, in order, where the data say them.
    """

    name: str
    sha256: str
    stand_in: bool = False
    classes: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, text: str) -> DataIdentity:
        """What `str` has written. Raises ValueError, TypeError."""
        said = json.loads(text)
        data = cls(**{**said, "classes": tuple(said.get("classes", ()))})
        if {type(one) for one in (data.name, data.sha256, *data.classes)} != {str}:
            raise TypeError(f"no names of data: {text}")
        return data

    def __str__(self) -> str:
        """As JSON; classes that are not known are left out, as files of earlier versions have it."""
        return json.dumps({k: v for k, v in asdict(self).items() if v or k != "classes"}, sort_keys=True)
