"""How many examples a tile holds: weights are read again for each, and large ones spill."""

from __future__ import annotations

from compiler.ir.tensor.axes import has_batch
from compiler.machine.elements import element_bytes
from compiler.machine.machine import Machine
from compiler.plan.kernels import Call
from compiler.plan.plan import Plan
from compiler.schedule.layout import row_size

LARGEST_TILE = 16
"""Examples in a tile at most: a batch of 128 then has a tile for each of 8 lanes."""


def cheapest_tile(plan: Plan, machine: Machine, dtype: str) -> int:
    """The power of two that waits the least, an example, for what is beyond the second-level cache.

    `plan` is one for tiles of one example. Weights are read once a tile, in a recurrence once a step. A
    tile's workspace stays in half of the cache, or is written to the next level that holds it and read again:
    that pays where the weights are larger.
    """
    costs = machine.costs(dtype)
    weights, read = _weights(plan, dtype), _weights_read(plan, dtype)

    def waiting(tile: int) -> float:
        workspace = tile * plan.tile_bytes
        fits = workspace <= machine.level2_bytes * costs.workspace_share
        spilled = 0 if fits else costs.spill_passes * plan.tile_bytes / _beyond(machine, workspace)
        return read / tile / _beyond(machine, weights) + spilled

    return min(_sizes(LARGEST_TILE), key=waiting)


def smallest_tile(plan: Plan, machine: Machine, dtype: str) -> int:
    """The power of two down to which an example takes hardly longer: a small batch is so shared out.

    A batch of 16 examples in one tile of 16 is work for one thread, in eight tiles of 2 for eight. What a
    smaller tile takes beside its share is predicted: weights are read for each, blocks of registers are not
    full, and a lane more is cleared and summed.
    """
    costs = machine.costs(dtype)
    schedules = [call.schedule for phase in plan.phases for call in phase.tile]
    weights, read = _weights(plan, dtype), _weights_read(plan, dtype)
    lane = plan.lane_elements * element_bytes("real", dtype)

    def cycles(tile: int) -> float:
        """Of an example."""
        moved = read / _beyond(machine, weights) + costs.lane_passes * lane / _beyond(machine, lane)
        return (sum(schedule.cycles_for(machine, tile) for schedule in schedules) + moved) / tile

    whole = cycles(plan.tile)
    if plan.tile * whole < costs.shared_cycles:
        return plan.tile
    most = (1 + costs.small_tile) * whole
    return next((size for size in _sizes(plan.tile) if cycles(size) <= most), plan.tile)


def _sizes(most: int) -> list[int]:
    """Powers of two up to `most`."""
    return [1 << k for k in range(most.bit_length())]


def _beyond(machine: Machine, size: float) -> float:
    """Bytes a cycle of the level beyond the second that holds so many."""
    return machine.level_of(max(size, machine.level2_bytes + 1)).bandwidth


def _weights(plan: Plan, dtype: str) -> int:
    return sum(_weight_bytes(call, plan, dtype) for phase in plan.phases for call in phase.tile)


def _weights_read(plan: Plan, dtype: str) -> int:
    """Bytes of weights that a tile reads."""
    calls = (call for phase in plan.phases for call in phase.tile)
    return sum(call.schedule.rounds * _weight_bytes(call, plan, dtype) for call in calls)


def _weight_bytes(call: Call, plan: Plan, dtype: str) -> int:
    """Bytes without a batch axis that a kernel reads."""
    read = (n for n, buffer in zip(call.tensors, call.kernel.buffers, strict=True) if not buffer.written)
    shapes = {name: plan.program.shape(name) for name in read}
    sizes = {n: row_size(shape) * element_bytes(plan.elements[n], dtype) for n, shape in shapes.items()}
    return sum(size for name, size in sizes.items() if not has_batch(shapes[name]))
