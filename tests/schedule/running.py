"""Plans run in the interpreter of loop nests: phases, tiles, lanes and shared kernels, without a C compiler.

Memory is laid out as the generated module lays it out, and begins without values. Beside what the interpreter
of one kernel sees, this finds a tensor that is read after another one has taken its memory, and pieces of a
shared kernel that read or write what another piece writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from compiler.errors import CompilerBug
from compiler.ir.loops.grammar import Buffer
from compiler.ir.loops.interpret import Arguments, Memory, element_type, run_kernel
from compiler.ir.tensor.interpreter import concrete_shape
from compiler.ir.tensor.program import Program
from compiler.plan.kernels import Call
from compiler.plan.plan import Phase, Plan
from compiler.schedule.layout import row_size
from compiler.schedule.settings import Settings
from tests.harness import LANES, plans_of

PARTS = 5
"""Pieces of a shared kernel: few of its loops divide by it."""
Arrays = Mapping[str, np.ndarray]


@dataclass
class Room:
    """An area of memory, and the tensors that live in it, some at the same place one after the other."""

    data: np.ndarray
    tensors: dict[str, Memory] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of_bytes(count: int) -> Room:
        return Room(np.full(count, 0xFF, np.uint8))

    def memory(self, name: str, start: int, count: int, kind: np.dtype) -> Memory:
        """The tensor of this name, `start` bytes from the beginning of the room."""
        if name not in self.tensors:
            end = start + count * kind.itemsize
            if end > self.data.size:
                raise CompilerBug(f"{name} ends {end - self.data.size} bytes behind its room")
            self.tensors[name] = Memory.of(self.data[start:end].view(kind), known=False)
            self.starts[name] = start
        return self.tensors[name]

    def overwritten(self, name: str) -> None:
        """Tensors lose what now belongs to the one of this name."""
        if name not in self.tensors:
            return
        first = self.starts[name]
        last = first + self.tensors[name].values.nbytes
        for other, memory in self.tensors.items():
            size, start = memory.values.itemsize, self.starts[other]
            low, high = max(0, first - start) // size, -(-min(memory.values.nbytes, last - start) // size)
            if other != name and low < high:
                memory.known[low:high] = bytes(high - low)

    def emptied(self) -> None:
        """Nothing in it has a value any more."""
        self.data[:] = 0xFF
        for memory in self.tensors.values():
            memory.known[:] = bytes(len(memory.known))


@dataclass
class _Run:
    """One call of one program."""

    plan: Plan
    settings: Settings
    given: Arrays
    batch: int
    seed: int
    step: int

    def __post_init__(self) -> None:
        real = self.dtype.itemsize
        self.outside: dict[str, np.ndarray] = {}
        self.outside_memory: dict[str, Memory] = {}
        self.rooms = {
            "tile": Room.of_bytes(self.plan.tile_bytes),
            "shared": Room.of_bytes(self.plan.shared_bytes),
            "batch": Room.of_bytes(self.plan.batch_elements * self.batch * real),
            "total": Room.of_bytes(self.plan.lane_elements * real),
        }
        self.lanes = [Room.of_bytes(self.plan.lane_elements * real) for _ in range(LANES)]

    @cached_property
    def dtype(self) -> np.dtype:
        return np.dtype(self.settings.dtype)

    def kind(self, name: str) -> np.dtype:
        return element_type(self.plan.elements[name], self.dtype.type)

    def everything(self) -> None:
        """All phases in order."""
        tiles = -(-self.batch // self.plan.tile)
        for phase in self.plan.phases:
            for call in phase.before:
                self.once(call)
            if not phase.tile:
                continue
            for lane in self.lanes:
                self.cleared(lane, phase)
            for number in range(tiles):
                self.rooms["tile"].emptied()
                first = number * self.plan.tile
                for call in phase.tile:
                    self.on_tile(call, first, min(self.plan.tile, self.batch - first), number % LANES)
            self.summed(phase)

    def cleared(self, lane: Room, phase: Phase) -> None:
        for name in self.reduced(phase):
            memory = self.in_room(lane, name)
            memory.values[:] = 0
            memory.known[:] = b"\1" * len(memory.known)

    def summed(self, phase: Phase) -> None:
        for name in self.reduced(phase):
            total = self.in_room(self.rooms["total"], name)
            total.values[:] = np.sum([self.in_room(lane, name).values for lane in self.lanes], axis=0)
            total.known[:] = b"\1" * len(total.known)

    def reduced(self, phase: Phase) -> Iterator[str]:
        """Tensors that lie in a range that the phase clears and sums."""
        for name, place in self.plan.places.items():
            end = place.offset + row_size(self.plan.program.shape(name)) if place.area == "lane" else 0
            if any(start <= place.offset and end <= stop for start, stop in phase.sums) and end:
                yield name

    def in_room(self, room: Room, name: str) -> Memory:
        size = self.plan.places[name].offset * self.dtype.itemsize
        return room.memory(name, size, row_size(self.plan.program.shape(name)), self.dtype)

    def once(self, call: Call) -> None:
        """A kernel outside the tiles; of a shared one all pieces."""
        memories = self.memories(call, LANES)
        if not call.kernel.shared:
            run_kernel(
                call.kernel, memories, self.dtype.type, Arguments(self.batch, 0, 1, self.seed, self.step)
            )
        else:
            run_pieces(call, memories, self.dtype.type, self.batch)
        self.overwritten(call)

    def on_tile(self, call: Call, first: int, batch: int, lane: int) -> None:
        """A kernel on a tile's examples, of which it can reach no others."""
        whole = self.memories(call, lane)
        both = zip(call.kernel.buffers, call.tensors, strict=True)
        rows = {buffer.name: None if buffer.room else tensor for buffer, tensor in both}
        parts = {name: self.rows(rows[name], memory, first, batch) for name, memory in whole.items()}
        arguments = Arguments(batch, 0, 1, self.seed, self.step, first)
        run_kernel(call.kernel, {n: part for n, (part, _) in parts.items()}, self.dtype.type, arguments)
        for name, (part, start) in parts.items():
            whole[name].known[start : start + len(part.known)] = part.known
        self.overwritten(call)

    def rows(self, name: str | None, memory: Memory, first: int, batch: int) -> tuple[Memory, int]:
        """The examples of a tile, and the number of the first element; a kernel's own room is all of it."""
        shape = () if name is None else self.plan.program.shape(name)
        if name is None or None not in shape:
            return memory, 0
        size = row_size(shape)
        start = 0 if self.plan.places[name].area == "tile" else first * size
        stop = start + batch * size
        return Memory(memory.values[start:stop], memory.known[start:stop]), start

    def memories(self, call: Call, lane: int) -> dict[str, Memory]:
        buffers = zip(call.kernel.buffers, call.tensors, strict=True)
        return {
            buffer.name: self.memory(tensor, buffer.written, lane) if not buffer.room else self.room(buffer)
            for buffer, tensor in buffers
        }

    def room(self, buffer: Buffer) -> Memory:
        """What a kernel is given for what it makes on the way."""
        return Memory.of(np.full(buffer.room, np.nan, self.dtype), known=False)

    def memory(self, name: str, written: bool, lane: int) -> Memory:
        place, shape = self.plan.places[name], self.plan.program.shape(name)
        count, kind = row_size(shape), self.kind(name)
        if place.area == "lane":
            return self.in_room(self.lanes[lane] if written else self.rooms["total"], name)
        if place.area == "total":
            return self.in_room(self.rooms["total"], name)
        if place.area == "tile":
            examples = self.plan.tile if None in shape else 1
            return self.rooms["tile"].memory(name, place.offset, count * examples, kind)
        if place.area == "shared":
            return self.rooms["shared"].memory(name, place.offset, count, kind)
        if place.area == "batch":
            start = place.offset * self.batch * self.dtype.itemsize
            return self.rooms["batch"].memory(name, start, count * self.batch, kind)
        return self.outside_of(name)

    def outside_of(self, name: str) -> Memory:
        """A tensor that the caller holds."""
        if name not in self.outside_memory:
            array, known = self.array(name)
            self.outside[name] = array
            self.outside_memory[name] = Memory.of(array, known=known)
        return self.outside_memory[name]

    def array(self, name: str) -> tuple[np.ndarray, bool]:
        entry, kind = self.plan.program[name], self.kind(name)
        shape = concrete_shape(entry.shape, self.batch)
        if name in self.given:
            return np.array(np.broadcast_to(self.given[name], shape), dtype=kind, order="C"), True
        if getattr(entry, "kind", None) == "batch_size":
            return np.full(shape, self.batch, kind), True
        return np.full(shape, np.nan if kind.kind == "f" else -1).astype(kind), False

    def overwritten(self, call: Call) -> None:
        for buffer, name in zip(call.kernel.buffers, call.tensors, strict=True):
            room = None if buffer.room else self.rooms.get(self.plan.places[name].area)
            if buffer.written and room is not None:
                room.overwritten(name)


def run_pieces(call: Call, memories: Mapping[str, Memory], dtype: type, batch: int) -> None:
    """All pieces of a shared kernel; CompilerBug where one touches what another writes. Each is given room of
    its own, in which there is nothing."""
    rooms = {buffer.name for buffer in call.kernel.buffers if buffer.room}
    readers, writers = ({name: np.zeros(len(m.known), int) for name, m in memories.items()} for _ in range(2))
    for part in range(PARTS):
        own = {
            name: Memory(m.values, bytearray(len(m.known)) if name in rooms else m.known)
            for name, m in memories.items()
        }
        run_kernel(call.kernel, own, dtype, Arguments(batch, part, PARTS), traced=True)
        for name, memory in own.items():
            read, written = (np.frombuffer(flags, np.uint8) for flags in (memory.read, memory.written))
            # An element that a piece reads and writes itself is its own.
            readers[name] += (read != 0) & (written == 0)
            writers[name] += written
    for name in memories.keys() - rooms:
        crossed = (writers[name] > 1) | ((writers[name] > 0) & (readers[name] > 0))
        if crossed.any():
            raise CompilerBug(f"{call.kernel.name}: pieces meet at element {crossed.argmax()} of {name}")


@dataclass(frozen=True)
class InterpretedPrograms:
    """Programs that run in the interpreter, called as `CompiledPrograms` are."""

    plans: tuple[Plan, ...]
    settings: Settings

    def run(
        self,
        number: int,
        inputs: Arrays,
        *,
        batch: int | None = None,
        seed: int = 0,
        step: int = 0,
        threads: int = 1,
    ) -> dict[str, np.ndarray]:
        """The outputs of program `number` by name; `inputs` by name. Threads there are none."""
        plan = self.plans[number]
        if batch is None:
            batched = (t.name for t in plan.program.inputs if None in t.shape and t.name in inputs)
            batch = next((len(inputs[name]) for name in batched), 1)
        run = _Run(plan, self.settings, inputs, batch, seed, step)
        run.everything()
        result = {}
        for name in plan.program.outputs:
            memory = run.memory(name, False, LANES)
            if 0 in memory.known:
                raise CompilerBug(f"{plan.name}: element {memory.known.index(0)} of {name} was never written")
            result[name] = memory.values.reshape(concrete_shape(plan.program.shape(name), batch))
        return result


def interpret_programs(
    programs: Sequence[Program], settings: Settings, without: frozenset[str] = frozenset()
) -> InterpretedPrograms:
    """Programs (already through the passes), planned as `compile_programs` plans them."""
    return InterpretedPrograms(plans_of(programs, settings, without), settings)
