"""A `Gather` of the module IR as text: rows of an input as the kernels of a tile read them."""

from __future__ import annotations

from compiler.emit.cython.rows import RowText


def print_gather(row: RowText) -> str:
    """The function that routines call for an input that may be scaled: `scaling` is not None."""
    assert row.scaling is not None
    field, size = row.field, f"{row.constant}_ROW"
    lines = [
        f"cdef inline const real* {field}_rows(",
        "    const Context* context, Py_ssize_t first, Py_ssize_t batch, real* room",
        ") noexcept nogil:",
        "    # Bytes are scaled to [0, 1] and chosen rows gathered a tile at a time: "
        "the batch is never copied as a whole.",
        "    cdef Py_ssize_t n, i, row",
        "    cdef const uint8* source",
        "    cdef real* into",
        f"    if context.chosen == NULL and not context.{field}_is_bytes:",
        f"        return <const real*>context.{field} + first * {size}",
        "    for n in range(batch):",
        "        row = first + n if context.chosen == NULL else context.chosen[first + n]",
        f"        into = room + n * {size}",
        f"        if context.{field}_is_bytes:",
        f"            source = <const uint8*>context.{field} + row * {size}",
        f"            for i in range({size}):",
        f"                into[i] = source[i] * {row.scaling.factor}",
        "        else:",
        f"            memcpy(into, <const real*>context.{field} + row * {size}, {size} * sizeof(real))",
        "    return room",
    ]
    return "\n".join(lines)
