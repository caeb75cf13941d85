"""Which data a run has seen, as its checkpoints say it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

NAMES = ("classes", "features", "labels")
"""What holds names that data may say, or not."""


@dataclass(frozen=True)
class DataIdentity:
    """Which data a run has seen: a name for people, a checksum, and whether they only stand in for others.

    `classes` are the names of their classes, in order, where the data say them; `features` and `labels` those
    of a table's columns that are samples, and that say what these are.
    """

    name: str
    sha256: str
    stand_in: bool = False
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, text: str) -> DataIdentity:
        """What `str` has written. Raises ValueError, TypeError."""
        said = json.loads(text)
        data = cls(**{**said, **{name: tuple(said.get(name, ())) for name in NAMES}})
        names = (*data.classes, *data.features, *data.labels)
        if {type(one) for one in (data.name, data.sha256, *names)} != {str}:
            raise TypeError(f"no names of data: {text}")
        return data

    def __str__(self) -> str:
        """As JSON; names that are not known are left out, as files of earlier versions have it."""
        return json.dumps({k: v for k, v in asdict(self).items() if v or k not in NAMES}, sort_keys=True)
