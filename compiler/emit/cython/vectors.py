"""Vector types of the generated code: the machine's own, and shorter ones for what would leave lanes empty.

Six or eight channels fill less than half of a 64-byte vector. They are computed in vectors of 32 bytes, which
many processors execute at twice the rate, or of 16. The longest type is `vector`, with `load`, `store` and
`splat`; those of 8 values are `vector8`, `load8` and so on; `load8_partial(p, 6)` is the first six lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.ir.loops.grammar import Choose
from compiler.machine.elements import REALS
from compiler.machine.target import Target

RELATIONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
"""Comparisons of vectors, by the names that their functions have for them."""
_INTEGERS = ("uint8", "int32")
PAIRS = ("halves", "round", "repeat", "pair", "neighbours", "add_products", "products")
"""Of numbers with eight digits; text that calls none of them has none of them written down."""
WORDS = (
    *(
        "vector",
        "integers",
        "load",
        "store",
        "splat",
        "zeros",
        "lanes",
        "pick",
        "larger",
        "smaller",
        "roots",
        "transpose",
    ),
    *(f"where_{word}" for word in (*RELATIONS.values(), *_INTEGERS)),
    *(f"{word}_{integer}" for word in ("store", "widen") for integer in _INTEGERS),
    *(f"bfloat16_{word}" for word in PAIRS),
)
"""The types of vectors and their functions, before what tells one length from another."""


def vector_types(target: Target, dtype: str) -> list[dict[str, object]]:
    """What the preamble writes down of each vector type, longest first: names, sizes, the target's words."""
    lengths = target.machine.lengths(dtype)
    sizes = {length: length * REALS[dtype].bytes for length in reversed(lengths)}
    return [
        {
            "suffix": suffix(lengths, length),
            "lanes": length,
            "bytes": size,
            "words": target.words(size, dtype),
        }
        for length, size in sizes.items()
    ]


def length_of(lengths: tuple[int, ...], width: int) -> int:
    """Lanes of the shortest vector type that holds `width` values."""
    return next(length for length in lengths if width <= length)


def suffix(lengths: tuple[int, ...], width: int) -> str:
    """What tells a shorter vector type and its functions from the longest."""
    length = length_of(lengths, width)
    return "" if length == lengths[-1] else str(length)


def vector_type(lengths: tuple[int, ...], width: int) -> str:
    """The type of a value of `width` lanes; 0 is a scalar."""
    return f"vector{suffix(lengths, width)}" if width else "real"


def vector_call(lengths: tuple[int, ...], function: str, width: int, *arguments: str) -> str:
    """A call of a function of vectors in its form for `width` lanes: a whole vector or its first lanes."""
    name = f"{function}{suffix(lengths, width)}"
    if width == length_of(lengths, width):
        return f"{name}({', '.join(arguments)})"
    return f"{name}_partial({', '.join(arguments)}, {width})"


@dataclass(frozen=True)
class LaneStep:
    """Two rows of a square, and of which lanes of both the first and the second are made."""

    rows: tuple[int, int]
    near: tuple[int, ...]
    far: tuple[int, ...]


def transpose_steps(length: int) -> list[LaneStep]:
    """How a square of vectors is transposed: the vectors of two rows become two others, of lanes of both.

    Lanes of the second vector count from `length` on.

    Halves change places, then halves of halves:

        0 1 2 3      0 1 8 9        0 4 8 c
        4 5 6 7      4 5 c d        1 5 9 d
        8 9 a b      2 3 a b        2 6 a e
        c d e f      6 7 e f        3 7 b f

    See J. O. Eklundh, "A fast computer method for matrix transposing", IEEE Trans. Computers 21 (1972)."""
    steps, distance = [], length // 2
    while distance:
        near = tuple(lane + (length - distance) * bool(lane & distance) for lane in range(length))
        far = tuple(lane + (length if lane & distance else distance) for lane in range(length))
        steps += [LaneStep((row, row + distance), near, far) for row in range(length) if not row & distance]
        distance //= 2
    return steps


def better_lines(lengths: tuple[int, ...], choose: Choose, value: str, position: str) -> list[str]:
    """A choice of the better value in every lane; the winner first, since it depends on the value so far."""
    name = f"{'larger' if choose.better == '>' else 'smaller'}{suffix(lengths, choose.width)}"
    kept = f"{choose.name} = {name}({choose.name}, {value})"
    if choose.winner is None:
        return [kept]
    return [f"{choose.winner} = {name}_winner({choose.name}, {value}, {choose.winner}, {position})", kept]
