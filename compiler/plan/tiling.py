"""How many examples a tile holds: weights are read again for each, and large ones spill."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.ir.tensor.axes import has_batch
from compiler.machine.elements import element_bytes
from compiler.machine.machine import Machine
from compiler.plan.kernels import Call
from compiler.plan.plan import Plan
from compiler.plan.reuse import touches
from compiler.schedule.layout import row_size
from compiler.schedule.schedule import Schedule

LARGEST_TILE = 16
"""Examples in a tile at most: a batch of 128 then has a tile for each of 8 lanes."""


def cheapest_tile(plan: Plan, machine: Machine, dtype: str) -> int:
    """The largest power of two for which an example takes hardly longer than for the best.

    `plan` is one for tiles of one example. An example takes what its kernels compute, and what they wait for
    beyond the second-level cache: weights, read again for each tile, and what one kernel of a tile hands to
    another, which a large tile spreads out over more than a cache holds.
    """
    schedules = [call.schedule for phase in plan.phases for call in phase.tile]
    touched = touches(plan, machine, dtype)

    def cycles(tile: int) -> float:
        """Of an example."""
        computed = _cycles(schedules, machine, tile) / tile
        return computed + sum(touch.waits(machine, tile) for touch in touched)

    taken = {tile: cycles(tile) for tile in _sizes(LARGEST_TILE)}
    most = (1 + machine.costs(dtype).large_tile) * min(taken.values())
    return max(tile for tile, cycles in taken.items() if cycles <= most)


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
        moved = read / machine.bandwidth_beyond(
            weights
        ) + costs.lane_passes * lane / machine.bandwidth_beyond(lane)
        return (_cycles(schedules, machine, tile) + moved) / tile

    whole = cycles(plan.tile)
    if plan.tile * whole < costs.shared_cycles:
        return plan.tile
    most = (1 + costs.small_tile) * whole
    return next((size for size in _sizes(plan.tile) if cycles(size) <= most), plan.tile)


def _cycles(schedules: Iterable[Schedule], machine: Machine, tile: int) -> float:
    """Of a tile of this size. Equal blocks have one schedule, of which it is worked out once."""
    known: dict[int, float] = {}
    total = 0.0
    for schedule in schedules:
        if id(schedule) not in known:
            known[id(schedule)] = schedule.cycles_for(machine, tile)
        total += known[id(schedule)]
    return total


def _sizes(most: int) -> list[int]:
    """Powers of two up to `most`."""
    return [1 << k for k in range(most.bit_length())]


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
