"""Vector types of the generated code: the machine's own, and shorter ones for what would leave lanes empty.

Six or eight channels fill less than half of a 64-byte vector. They are computed in vectors of 32 bytes, which
many processors execute at twice the rate, or of 16. The longest type is `vector`, with `load`, `store` and
`splat`; those of 8 values are `vector8`, `load8` and so on; `load8_partial(p, 6)` is the first six lanes.
"""

from __future__ import annotations

from compiler.ir.loops.grammar import Choose

SHORTEST_BYTES = 16


def lengths(lanes: int, vector_bytes: int) -> tuple[int, ...]:
    """Lanes of every vector type, the shortest first: the machine's vector, its half, its quarter."""
    shortest = max(1, lanes * SHORTEST_BYTES // max(SHORTEST_BYTES, vector_bytes))
    return tuple(n for n in (1, 2, 4, 8, 16, 32, 64) if shortest <= n <= lanes)


def vector_types(lanes: int, vector_bytes: int, dtype: str) -> list[dict[str, object]]:
    """What the preamble writes down of each vector type, the longest first: names, sizes, intrinsics.

    And the macros under which the C compiler has these: without them the module builds all the same, slower.
    """
    double = "" if dtype == "float32" else "d"
    types = []
    for length in reversed(lengths(lanes, vector_bytes)):
        size = length * vector_bytes // lanes
        bits = {32: "256", 64: "512"}.get(size, "")
        masks = "__AVX512F__" if size == 64 else "__AVX512VL__"
        widens = {64: "__AVX512F__", 32: "__AVX2__"}.get(size, "__SSE4_1__")
        types.append(
            {
                "suffix": "" if length == lanes else length,
                "lanes": length,
                "bytes": size,
                "prefix": f"_mm{bits}",
                "kind": "pd" if double else "ps",
                "intrinsic_type": f"__m{8 * size}{double}",
                "mask_type": f"__mmask{max(8, length)}",
                "masks": masks,
                "widens": widens,
            }
        )
    return types


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


def better_lines(lengths: tuple[int, ...], choose: Choose, value: str, position: str) -> list[str]:
    """A choice of the better value in every lane; the winner first, since it depends on the value so far."""
    name = f"{'larger' if choose.better == '>' else 'smaller'}{suffix(lengths, choose.width)}"
    kept = f"{choose.name} = {name}({choose.name}, {value})"
    if choose.winner is None:
        return [kept]
    return [f"{choose.winner} = {name}_winner({choose.name}, {value}, {choose.winner}, {position})", kept]
