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
    rounds: int = 1
    """Times that a kernel goes through it: a recurrence once a step."""
    round_by_example: int = 0
    """Bytes of each example that the kernel touches in a round."""
    round_whole: int = 0
    """Those of what has no batch axis, this tensor included."""

    def waits(self, machine: Machine, tile: int) -> float:
        """Cycles an example that what is beyond the second-level cache takes to deliver it; and what is in
        that cache, where a kernel goes through it again and again."""
        own = self.size * (tile if self.by_example else 1)
        first = self.since_by_example * tile + self.since + own
        later = self.round_by_example * tile + self.round_whole
        times = (
            (self.passes, first, machine.level2_bytes),
            ((self.rounds - 1) * self.passes, later, machine.level1_bytes),
        )
        far = ((n, distance) for n, distance, near in times if n and distance > near)
        return sum(n * own / tile / machine.level_of(distance).bandwidth for n, distance in far)


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
    """What a call touches, in the order of its kernel's buffers.

    A recurrence goes through its weights once a step. Between two steps lie the weights and a step's share of
    what has a batch axis, however long the sequence: 28 steps of 262,144 bytes of weights and 16 examples
    with 5,000 bytes a step stay in a cache of a mebibyte, though all of the steps' values do not.
    """
    found = []
    for name, buffer in zip(call.tensors, call.kernel.buffers, strict=True):
        if buffer.room:
            continue
        shape = plan.program.shape(name)
        size = row_size(shape) * element_bytes(plan.elements[name], dtype)
        passes = costs.written_passes if buffer.written else 1
        found.append(Touch(name, size, has_batch(shape), passes))
    rounds = call.schedule.rounds
    if rounds == 1:
        return found
    by_example = sum(touch.size for touch in found if touch.by_example) // rounds
    whole = sum(touch.size for touch in found if not touch.by_example)
    written = {t for t, buffer in zip(call.tensors, call.kernel.buffers, strict=True) if buffer.written}
    return [
        touch
        if touch.by_example or touch.tensor in written
        else replace(touch, rounds=rounds, round_by_example=by_example, round_whole=whole)
        for touch in found
    ]


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
