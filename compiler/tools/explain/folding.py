"""Blocks of layers that repeat, so that a graph shows them once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

LEAST_ALONE = 3
"""Copies of a single layer that are worth folding; of a block of several two are."""


@dataclass(frozen=True)
class Repeat:
    """A block of layers, and its copies right behind it."""

    block: tuple[str, ...]
    copies: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """What the copies are called together."""
        return f"{self.copies[0][0]} … {self.copies[-1][-1]}"


def repeats(
    layers: Sequence[str], arrows: Iterable[tuple[str, str]], looks: Mapping[str, Hashable]
) -> tuple[Repeat, ...]:
    """Blocks that stand right behind each other, look alike layer by layer (`looks`: kind and shape), and
    read what stands as far before them."""
    number = {name: k for k, name in enumerate(layers)}
    sources: dict[str, list[int]] = {name: [] for name in layers}
    for source, target in arrows:
        if target in number:
            # What is given stands before all layers.
            sources[target].append(number[target] - number.get(source, -1))
    signs = [(looks[name], tuple(sorted(sources[name]))) for name in layers]
    return tuple(_found(layers, signs))


def _found(layers: Sequence[str], signs: Sequence[Hashable]) -> Iterator[Repeat]:
    start = 0
    while start < len(layers):
        period, count = max(
            ((p, _count(signs, start, p)) for p in range(1, (len(layers) - start) // 2 + 1)),
            key=lambda found: (found[0] * (found[1] - 1), -found[0]),
            default=(1, 1),
        )
        if count < (LEAST_ALONE if period == 1 else 2):
            start += 1
            continue
        blocks = [tuple(layers[start + k * period : start + (k + 1) * period]) for k in range(count)]
        yield Repeat(blocks[0], tuple(blocks[1:]))
        start += period * count


def _count(signs: Sequence[Hashable], start: int, period: int) -> int:
    """How often what begins there stands behind itself."""
    block, count = signs[start : start + period], 1
    while signs[start + count * period : start + (count + 1) * period] == block:
        count += 1
    return count
