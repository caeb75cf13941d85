"""What needs each other: the strongly connected components of who reads what.

    reads  h: z, s   s: h   y: h   z: x        components  [z], [h, s], [y]

A component of one that does not read itself is a definition as any other; each other one is a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping


def components(reads: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """The components, each behind all that it reads, and else as they are given; so are the members of each.

    What is read and has no entry of its own is given, and left out. It is Tarjan's algorithm without
    recursion, so a chain may be as long as it likes."""
    place = {name: number for number, name in enumerate(reads)}
    found: list[tuple[str, ...]] = []
    entered: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_names: list[str] = []
    closed: set[str] = set()
    for start in reads:
        if start in entered:
            continue
        path: list[tuple[str, Iterator[str]]] = []
        _enter(start, reads, path, entered, lowest, open_names)
        while path:
            name, rest = path[-1]
            unseen = _next_unseen(name, rest, reads, entered, lowest, closed)
            if unseen is not None:
                _enter(unseen, reads, path, entered, lowest, open_names)
                continue
            path.pop()
            if path:
                lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[name])
            if lowest[name] == entered[name]:
                members = [open_names.pop()]
                while members[-1] != name:
                    members.append(open_names.pop())
                closed.update(members)
                found.append(tuple(sorted(members, key=place.__getitem__)))
    return found


def _enter(
    name: str,
    reads: Mapping[str, Iterable[str]],
    path: list[tuple[str, Iterator[str]]],
    entered: dict[str, int],
    lowest: dict[str, int],
    open_names: list[str],
) -> None:
    entered[name] = lowest[name] = len(entered)
    open_names.append(name)
    path.append((name, iter(reads[name])))


def _next_unseen(
    name: str,
    rest: Iterator[str],
    reads: Mapping[str, Iterable[str]],
    entered: Mapping[str, int],
    lowest: dict[str, int],
    closed: Collection[str],
) -> str | None:
    """The next that `name` reads and that has not been entered; what has been and is open is its circle's."""
    for read in rest:
        if read not in reads or read in closed:
            continue
        if read not in entered:
            return read
        lowest[name] = min(lowest[name], entered[read])
    return None


def circles_among(reads: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """The components that read themselves."""
    return [names for names in components(reads) if len(names) > 1 or names[0] in reads[names[0]]]
