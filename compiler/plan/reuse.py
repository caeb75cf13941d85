"""How long ago a tile's kernels touched what they touch: whether it is still in a cache.

A cache that gives up what was used least recently still holds what is touched again if everything touched
since fits (Mattson et al., "Evaluation techniques for storage hierarchies", 1970: the stack distance). What
has a batch axis grows with the tile, what has none does not: a distance is two numbers, and holds for every
size of a tile. A worked miniature, tiles of n examples; y = x·w, z = y², u = y·(sum of z), where w has 5,000
bytes, an example of x 20, of y, z and u 1,000:

    kernel    touches             bytes touched since, its own included
    y         w                   5,000 + 3,020 n: x, y, z and u of the tile before
              y, written anew     5,000 + 3,020 n: z and u of the tile before, w and x
    z         y, just written     1,000 n
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from compiler.ir.tensor.axes import has_batch
from compiler.machine.costs import Costs
from compiler.machine.elements import element_bytes
from compiler.machine.machine import Machine
from compiler.plan.kernels import Call
from compiler.plan.plan import Phase, Plan
from compiler.schedule.layout import row_size


@dataclass(frozen=True)
class Touch:
    """A kernel's reading or writing of one tensor, in a tile that is not a phase's first."""

    tensor: str
    size: int
    """Bytes: of an example where it has a batch axis."""
    by_example: bool
    passes: int
    """Times that its bytes pass between a cache and what is beyond."""
    since_by_example: int = 0
    """Bytes touched since it was touched last, of each example of a tile."""
    since: int = 0
    """Those of what has no batch axis."""

    def waits(self, machine: Machine, tile: int) -> float:
        """Cycles an example that what is beyond the second-level cache takes to deliver it."""
        own = self.size * (tile if self.by_example else 1)
        distance = self.since_by_example * tile + self.since + own
        if distance <= machine.level2_bytes:
            return 0.0
        return self.passes * own / tile / machine.level_of(distance).bandwidth


def touches(plan: Plan, machine: Machine, dtype: str) -> list[Touch]:
    """What the calls of a tile touch again, phase by phase; `plan` is one for tiles of one example.

    What only this tile reads, its rows of the caller's arrays, comes from memory in tiles of any size: its
    first touch is none of these.
    """
    return [found for phase in plan.phases for found in _touches(phase, plan, machine, dtype)]


def _touches(phase: Phase, plan: Plan, machine: Machine, dtype: str) -> list[Touch]:
    """Of a phase: its tiles are alike, so what the second of two in a row finds is what any finds."""
    calls = [touch for call in phase.tile for touch in _of_call(call, plan, machine.costs(dtype), dtype)]
    shared = _sharing_memory(calls, plan)
    fresh = {t.tensor for t in calls if t.by_example and t.tensor not in shared}
    sizes = np.zeros((2, 2 * len(calls)), dtype=np.int64)
    last: dict[str, int] = {}
    found = []
    for number, touch in enumerate((*calls, *calls)):
        second, name = number >= len(calls), touch.tensor
        whose = [other for other in shared.get(name, (name,)) if other in last]
        before = max((last[other] for other in whose), default=None)
        if second and before is not None and (name not in fresh or before >= len(calls)):
            by_example, whole = sizes[:, before + 1 : number].sum(axis=1)
            found.append(replace(touch, since_by_example=int(by_example), since=int(whole)))
        if name in last:
            sizes[:, last[name]] = 0
        sizes[0 if touch.by_example else 1, number] = touch.size
        last[name] = number
    return found


def _of_call(call: Call, plan: Plan, costs: Costs, dtype: str) -> list[Touch]:
    """What a call touches, in the order of its kernel's buffers."""
    found = []
    for name, buffer in zip(call.tensors, call.kernel.buffers, strict=True):
        if buffer.room:
            continue
        shape = plan.program.shape(name)
        size = row_size(shape) * element_bytes(plan.elements[name], dtype)
        passes = costs.written_passes if buffer.written else 1 if has_batch(shape) else call.schedule.rounds
        found.append(Touch(name, size, has_batch(shape), passes))
    return found


def _sharing_memory(calls: Iterable[Touch], plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """The tensors, itself among them, that have bytes of each one's place in the workspace of a tile."""
    spans = {
        touch.tensor: (place.offset, place.offset + touch.size)
        for touch in calls
        if (place := plan.places[touch.tensor]).area == "tile"
    }
    ordered = sorted(spans, key=lambda name: spans[name])
    starts = np.array([spans[name][0] for name in ordered])
    ends = np.array([spans[name][1] for name in ordered])
    return {
        name: tuple(ordered[k] for k in np.flatnonzero((starts < stop) & (ends > start)))
        for name, (start, stop) in spans.items()
    }
