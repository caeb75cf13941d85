"""Kernels that are equal but for names become one function, which all their calls use.

    conv2d_3(a, b)  for o in range(8): b[o] += a[o]
    conv2d_7(c, d)  for p in range(8): d[p] += c[p]        a call of conv2d_3 with the pointers c and d

Twenty equal blocks of a network then have the code of one, and so have the forward kernels of entry points,
the steps of an unrolled loop, and whatever else happens to be computed alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from compiler.ir.loops.grammar import Kernel
from compiler.ir.loops.meaning import Meaning, meaning
from compiler.ir.module.grammar import Call, Phase, Routine


def with_shared_kernels(routines: Iterable[Routine]) -> tuple[Routine, ...]:
    """The routines, in which of kernels that are equal but for names each call has the first."""
    known = _Known()
    return tuple(
        replace(routine, phases=tuple(_phase(phase, known.shared) for phase in routine.phases))
        for routine in routines
    )


def _phase(phase: Phase, change: Callable[[Call], Call]) -> Phase:
    before = tuple(replace(step, call=change(step.call)) for step in phase.before)
    tiles = phase.tiles
    return Phase(before, tiles and replace(tiles, calls=tuple(map(change, tiles.calls))))


@dataclass(frozen=True)
class _Known:
    first: dict[Meaning, Kernel] = field(default_factory=dict)
    """The first kernel of each meaning."""
    seen: dict[int, tuple[Kernel, Kernel]] = field(default_factory=dict)
    """Kernels by `id`, kept so that none is used twice, each with the first that is equal."""

    def shared(self, call: Call) -> Call:
        kernel = call.kernel
        if id(kernel) not in self.seen:
            self.seen[id(kernel)] = kernel, self.first.setdefault(meaning(kernel), kernel)
        return replace(call, kernel=self.seen[id(kernel)][1])
