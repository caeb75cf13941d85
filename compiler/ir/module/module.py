"""A module as a whole: what the emitter prints, and nothing that it would have to find out."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.ir.module.entry_point import Duty
from compiler.ir.module.grammar import Memory, Routine, Storage
from compiler.ir.module.methods import Absent, Method
from compiler.ir.module.signature import Signature


@dataclass(frozen=True)
class Instruments:
    """What a module has for measurements."""

    clocks: int
    """One for each kernel call; 0: the time of routines alone."""
    timed: tuple[tuple[Duty, str], ...]
    """Duties whose routines are given a batch alone and give the same every time, and these."""
    output_row: int
    """The values of an example that a timed routine gives at most."""


@dataclass(frozen=True)
class Module:
    """A trainable module."""

    name: str
    digest: str
    """Of the model and what it was compiled with."""
    target: str
    dtype: str
    modes: tuple[str, ...]
    summary: tuple[str, ...]
    """What its head says of the model."""
    parameter_count: int
    signature: Signature
    storage: Storage
    memory: Memory
    tile: int
    """Examples in a tile of a step."""
    routines: tuple[Routine, ...]
    initialize: Routine
    """What sets parameters and states to their first values."""
    initialize_bytes: int
    """The shared memory of that."""
    methods: tuple[Method | Absent, ...]
    training: Routine
    """Of the routines the one of a step, whose phases several processes can run together."""
    instruments: Instruments | None = None

    @property
    def of_modes(self) -> tuple[Method, ...]:
        """What it has because a mode was asked for."""
        return tuple(method for method in self.methods if isinstance(method, Method) and method.mode)

    @property
    def tangents(self) -> bool:
        """Whether some method takes tangents."""
        return any(isinstance(method, Method) and method.tangents for method in self.methods)

    @property
    def cotangents(self) -> bool:
        """Whether some method takes cotangents of the outputs."""
        return any(isinstance(method, Method) and method.cotangents for method in self.methods)
