"""How many examples a tile holds: weights are read again for each, and large ones spill."""

from __future__ import annotations

from compiler.ir.tensor.axes import has_batch
from compiler.machine.elements import element_bytes
from compiler.machine.machine import Machine
from compiler.plan.plan import Call, Plan
from compiler.schedule.layout import row_size

LARGEST_TILE = 16
"""Examples in a tile at most: a batch of 128 then has a tile for each of 8 lanes."""


def cheapest_tile(plan: Plan, machine: Machine, dtype: str) -> int:
    """The power of two that moves the fewest bytes an example from beyond the second-level cache.

    `plan` is one for tiles of one example. Weights are read once a tile. A tile's workspace stays in half of
    the cache, or is written to the next level and read again: that pays where the weights are larger.
    """
    costs = machine.costs(dtype)
    weights = sum(_weight_bytes(call, plan, dtype) for phase in plan.phases for call in phase.tile)

    def moved(tile: int) -> float:
        fits = tile * plan.tile_bytes <= machine.level2_bytes * costs.workspace_share
        return weights / tile + (0 if fits else costs.spill_passes * plan.tile_bytes)

    return min((1 << k for k in range(LARGEST_TILE.bit_length())), key=moved)


def _weight_bytes(call: Call, plan: Plan, dtype: str) -> int:
    """Bytes without a batch axis that a kernel reads."""
    read = (n for n, buffer in zip(call.tensors, call.kernel.buffers, strict=True) if not buffer.written)
    shapes = {name: plan.program.shape(name) for name in read}
    sizes = {n: row_size(shape) * element_bytes(plan.elements[n], dtype) for n, shape in shapes.items()}
    return sum(size for name, size in sizes.items() if not has_batch(shapes[name]))
