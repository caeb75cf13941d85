"""A table of programs of which each schedule, and each statement of a loop nest, has at least one.

What is checked for every schedule goes over this table: in the interpreter for every machine model
(`test_interpreted.py`), through the C compiler (`test_in_c.py`), with the compiler changed
(`test_mutations.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.program import Program
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.derive.cases import Arrays
from tests.derive.layer_cases import other_layer_cases, pooling_cases
from tests.passes import test_picked, test_selected, test_winograd
from tests.plan import test_joining, test_whole
from tests.schedule import test_fusion, test_lookups, test_nonzero, test_parts
from tests.schedule.building import SEED, STEP, lowered, pullback, random_inputs

Change = Callable[[str, np.ndarray], np.ndarray]


def as_drawn(_name: str, values: np.ndarray) -> np.ndarray:
    return values


def rounded(_name: str, values: np.ndarray) -> np.ndarray:
    """Numbers with ties and many zeros."""
    return np.round(values) if values.dtype.kind == "f" else values


def as_built(target: Target) -> Target:
    return target


@dataclass(frozen=True)
class Sample:
    """A program, and what it becomes for a machine; `change` alters what is drawn for its inputs."""

    name: str
    program: Program
    ready: Callable[[Target, str], Program]
    tile: int = 2
    batches: tuple[int, ...] = (1, 5)
    change: Change = as_drawn
    fuse: bool = True
    on: Callable[[Target], Target] = as_built
    """What a target is taken for: one with other prices, or a smaller cache."""

    def settings(self, target: Target, dtype: str) -> Settings:
        return Settings(self.on(target), dtype, self.tile, fuse=self.fuse)

    def inputs(self, batch: int) -> Arrays:
        return _drawn(self.program, batch, self.change)

    def expected(self, batch: int, dtype: str = "float64") -> Arrays:
        """What the interpreter makes of the program as it was."""
        return _expected(self.program, batch, self.change, dtype)


@cache
def _drawn(program: Program, batch: int, change: Change) -> Arrays:
    values = random_inputs(program, batch)
    names = {tensor.name for tensor in program.inputs if tensor.kind not in ("random", "iota", "batch_size")}
    return {name: change(name, value) for name, value in values.items() if name in names}


@cache
def _expected(program: Program, batch: int, change: Change, dtype: str) -> Arrays:
    given = _drawn(program, batch, change)
    values = run(program, given, batch=batch, seed=SEED, step=STEP, dtype=np.dtype(dtype).type)
    return {name: np.asarray(values[name]) for name in program.outputs}


def as_it_is(name: str, text: Program | str, **others: object) -> Sample:
    """A program that no pass changes."""
    program = parse_program(text) if isinstance(text, str) else text
    return Sample(name, program, lambda _machine, _dtype: program, **others)


def through_passes(name: str, program: Program, off: frozenset[str] = frozenset(), **others) -> Sample:
    return Sample(name, program, lambda machine, dtype: lowered(program, machine, dtype, off), **others)


@cache
def samples() -> tuple[Sample, ...]:
    """The whole table."""
    return tuple(_samples())


def _samples() -> Iterator[Sample]:
    yield from _contractions()
    yield from _windows()
    yield from _together()
    yield from _others()


def _contractions() -> Iterator[Sample]:
    for name, chain in test_fusion.CHAINS.items():
        forward = chain.program()
        program, _ = vjp(forward, "y", tuple(chain.shapes), seed="input")
        program = replace(program, outputs=("y", *program.outputs))
        yield through_passes(f"fused: {name}", program, change=rounded if "max" in name else as_drawn)
    yield through_passes("apart", program, fuse=False)
    names = tuple(test_fusion.TANGENTS)
    for name, program in zip(names, test_fusion.tangents(names), strict=True):
        yield through_passes(f"tangent: {name}", program, frozenset(["winograd"]))
    for name, change in test_nonzero.CASES.items():
        zeros = test_nonzero.PROGRAM
        yield as_it_is(f"zeros: {name}", zeros, tile=16, batches=(1, 18), change=_of_x(change))
    yield as_it_is("sums in parts", test_parts.PROGRAM)
    dense = pullback(test_whole.CASE)
    whole = replace(dense, name="whole")
    yield Sample(
        whole.name,
        whole.raw,
        lambda machine, dtype: lowered(whole.simplified, machine, dtype),
        tile=4,
        batches=(3,),
    )
    yield as_it_is("a sum that is finished", FINISHED, batches=(5,))
    yield as_it_is("heads", HEADS, tile=4, batches=(5,))
    yield as_it_is("long sums", LONG, batches=(3,))
    yield as_it_is("strips", STRIPS, batches=(2,))
    yield as_it_is("a sum over a long batch", OVER_BATCH, tile=128, batches=(130,))


def _of_x(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda name, values: change(values) if name == "x" else values


FINISHED = """
input x: (batch, 20) real
input y: (batch, 36) real
input w: (20, 36) real
z: (20, 36) real = sum at once of "z"
    for b:batch, i:20, o:36: [i, o] += x[b, i]*y[b, o]
v: (20, 36) real = sum at once of "v"
    for i:20, o:36: [i, o] += w[i, o] - z[i, o]/sqrt(w[i, o]**2 + 1)
outputs v
"""
"""The gradient of a kernel, and what becomes of the kernel."""
HEADS = """
input a: (batch, 4) real
input c: (batch, 1) real
parameter k: (4, 5) real
parameter l: (1, 5) real
y: (batch, 5) real = sum of "y"
    for b:batch, o:4, i:5: [b, i] += a[b, o]*k[o, i]
    for b:batch, o:1, i:5: [b, i] += c[b, o]*l[o, i]
outputs y
"""
"""What the cotangent of a layer under two others is, one of them of a single unit."""
LONG = """
input x: (batch, 2000) real
input w: (2000,) real
input m: (1111, 3) real
dots: (batch,) real = sum of "dots"
    for b:batch, i:2000: [b] += w[i]*x[b, i]
sums: (3,) real = sum of "sums"
    for i:1111, k:3: [k] += m[i, k]
roots: (batch,) real = sum of "roots"
    for b:batch, i:2000: [b] += sqrt(x[b, i]**2 + 1)
outputs dots, sums, roots
"""
STRIPS = """
input x: (batch, 2, 150) real
means: (batch, 2) real = sum of "means"
    for b:batch, i:2, c:150: [b, i] += x[b, i, c]/150
powers: (batch, 2) real = sum of "powers"
    for b:batch, i:2, c:150: [b, i] += exp(x[b, i, c] - means[b, i])
tops: (batch, 2) real = max of "tops"
    for b:batch, i:2, c:150: [b, i] max= x[b, i, c]
nearest: (batch, 2) real = min of "nearest"
    for b:batch, i:2, c:150: [b, i] min= exp(x[b, i, c])
outputs powers, tops, nearest
"""
"""150 is some strips, some vectors and some values, of every machine."""
OVER_BATCH = """
input x: (batch, 3) real
input w: (batch, 17) real
y: (3, 17) real = sum of "y"
    for b:batch, i:3, j:17: [i, j] += w[b, j]*x[b, i]
outputs y
"""


def _windows() -> Iterator[Sample]:
    for name, case in test_lookups.WINDOWS.items():
        for number, program in enumerate(test_lookups.programs(*case)):
            yield through_passes(f"looked up: {name} {number}", program)
    for channels in (8, 1):
        pair = pullback(test_selected.case(channels))
        yield Sample(
            f"selected: {channels} channels",
            pair.raw,
            lambda machine, dtype, pair=pair: lowered(pair.simplified, machine, dtype),
            batches=(2,),
            change=_sparse,
        )
    pair = pullback(test_selected.case(8))
    yield Sample(
        "selected: all of 8 channels",
        pair.raw,
        lambda machine, dtype: lowered(pair.simplified, machine, dtype),
        batches=(1,),
    )
    plain = parse_program(test_picked.text(20))
    picked = test_picked.changed(plain)
    yield Sample("picked", plain, lambda _machine, _dtype: picked)
    wanted = ("max_pool-stride2-explicit-window3", "average_pool-stride1-same-window2")
    for case in pooling_cases():
        if case.name in wanted:
            yield _layer(case)


def _sparse(name: str, values: np.ndarray) -> np.ndarray:
    """Most cotangents are zero."""
    return values * (np.random.default_rng(3).random(values.shape) < 0.3) if "cotangent" in name else values


def _layer(case, **others) -> Sample:
    pair = pullback(case)
    return Sample(
        case.name, pair.raw, lambda machine, dtype: lowered(pair.simplified, machine, dtype), **others
    )


def _together() -> Iterator[Sample]:
    yield as_it_is("pointwise group", test_joining.UNPOOLED)
    yield as_it_is("joined", test_joining.TRANSPOSED)
    plain = test_winograd.forward_and_transpose((6, 6), (3, 9), (3, 3))
    tiles = test_winograd.with_tiles(plain, (2, 2))
    yield Sample("linear sums", plain, lambda _machine, _dtype: tiles)


def _others() -> Iterator[Sample]:
    for case in other_layer_cases():
        if case.name in ("dropout", "embedding", "layer_normalization", "batch_normalization"):
            yield _layer(case)
    yield as_it_is("copies, axes and numbers", COPIES)
    yield as_it_is("to the end of sequences", SEQUENCES)


SEQUENCES = """
input x: (batch, 6, 5) real
input n: (batch,) index < 7
parameter k: (5, 20) real
z: (batch, 6, 20) real = sum of "z"
    for b:batch, t:6 until n, i:5, o:20: [b, t, o] += x[b, t, i]*k[i, o]
y: (batch, 20) real = sum of "y"
    for b:batch, t:6, o:20 if n[b] - 1 - t >= 0: [b, o] += z[b, t, o]
outputs y
"""

COPIES = """
input x: (batch, 20, 33) real
parameter k: (200, 90) real
label answer: (batch,) index < 20
random noise: (batch, 4) real stream 3
iota count: (7,) real
turned: (batch, 33, 20) real = sum of "turned"
    for b:batch, i:20, j:33: [b, j, i] += x[b, i, j]
packed: (90, 200) real = sum of "packed"
    for i:200, j:90: [j, i] += k[i, j]
chosen: (batch,) real = sum of "chosen"
    for b:batch: [b] += x[b, answer[b], 3]
counted: (20,) real = sum of "counted"
    for b:batch: [answer[b]] += 1
ramp: (7,) real = sum of "ramp"
    for i:7: [i] += count[i]**2
best: (batch, 33) real = max of "best"
    for b:batch, i:20, j:33: [b, j] max= x[b, i, j]
which: (batch, 33) index < 20 = argmax as winner of best
    for b:batch, i:20, j:33: [b, j] argmax= x[b, i, j]
triangle: (batch, 20) real = sum of "triangle"
    for b:batch, i:20, j:33 if i - j >= 0: [b, i] += x[b, i, j]
corner: (batch, 33) real = sum of "corner"
    for b:batch, j:33, i:20 if i - j >= 0: [b, j] += x[b, i, j]
noisy: (batch, 4) real = sum of "noisy"
    for b:batch, i:4: [b, i] += 2*noise[b, i]
outputs turned, packed, chosen, counted, ramp, best, which, triangle, corner, noisy
"""
