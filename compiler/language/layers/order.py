"""Everything that values are computed from, inputs before results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compiler.language.layers.base import Node
from compiler.language.layers.shaping import Input


def in_order(values: Iterable[object]) -> Iterator[object]:
    """Everything that the values depend on, inputs before results, left to right.

    It does not recurse, so the depth of a model has no limit.
    """
    seen: set[int] = set()
    stack: list[tuple[object, bool]] = [(value, False) for value in reversed(list(values))]
    while stack:
        value, ready = stack.pop()
        if ready:
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            stack.append((value, True))
            if isinstance(value, Node):
                stack += [(item, False) for item in reversed(value.inputs)]
            elif isinstance(value, Input) and value.companion is not None:
                stack.append((value.companion, False))
