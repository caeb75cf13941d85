"""What the verifier of routines finds: each mistake of a plan, without a C compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from compiler.errors import CompilerBug
from compiler.frontend.lower import lower
from compiler.ir.module.grammar import Call, Parts, Place, Pointer, Routine, Sum
from compiler.ir.module.text import print_routine
from compiler.ir.module.verify import verify_routine
from compiler.language.description import Sequential
from compiler.language.layers import Dense, Input, ReLU, Softmax
from compiler.language.losses import CrossEntropy
from compiler.language.optimizers import SGD
from compiler.module_source import ModuleSource, compile_to_source
from tests.machines import TARGETS

SIZES = {"tile": 1 << 16, "lane": 1 << 16, "shared": 1 << 16, "parameter": 1 << 16, "total": 1 << 16}


@cache
def source() -> ModuleSource:
    layers = [Input(20), Dense(16), ReLU(), Dense(3), Softmax()]
    model = Sequential(layers, loss=CrossEntropy(), optimizer=SGD(0.1))
    return compile_to_source(model, TARGETS["x86-64-v3"], "float32", "digest")


def gradient() -> Routine:
    routine, entry = source().module.routines[0], source().entries[0]
    assert entry.duty == "training" and routine.name == entry.name
    return routine


def verify(routine: Routine, **changes: object) -> None:
    entry = source().entries[0]
    given = [t.name for t in entry.program.inputs if t.name in entry.roles]
    arguments = {"given": given, "results": entry.program.outputs, "real_bytes": 4, "sizes": SIZES} | changes
    verify_routine(routine, **arguments)


def with_calls(change: Callable[[tuple[Call, ...]], tuple[Call, ...]]) -> Routine:
    """The routine with other calls in the tiles of its first phase."""
    routine = gradient()
    first, *rest = routine.phases
    tiles = replace(first.tiles, calls=change(first.tiles.calls))
    return replace(routine, phases=(replace(first, tiles=tiles), *rest))


def with_pointers(change: Callable[[Pointer, bool], Pointer]) -> Routine:
    """The routine with other pointers; `change` hears whether a pointer is written through."""

    def changed(call: Call) -> Call:
        pairs = zip(call.kernel.buffers, call.pointers, strict=True)
        return replace(call, pointers=tuple(change(pointer, buffer.written) for buffer, pointer in pairs))

    return with_calls(lambda calls: tuple(map(changed, calls)))


def test_a_routine_as_it_is_planned_is_right() -> None:
    verify(gradient())


def test_every_call_of_a_tile_is_needed() -> None:
    """Whichever is left out: somebody reads what it makes, or it gives a result."""
    count = len(gradient().phases[0].tiles.calls)
    assert count > 8
    for left_out in range(count):
        with pytest.raises(CompilerBug, match=r"read before it is there|never writes it"):
            verify(with_calls(lambda calls, k=left_out: calls[:k] + calls[k + 1 :]))


def test_what_is_packed_is_packed_before_the_tiles() -> None:
    routine = gradient()
    first, *rest = routine.phases
    assert first.before
    with pytest.raises(CompilerBug, match="read before it is there"):
        verify(replace(routine, phases=(replace(first, before=()), *rest)))


def test_calls_stand_in_order() -> None:
    with pytest.raises(CompilerBug, match="read before it is there"):
        verify(with_calls(lambda calls: calls[::-1]))


def test_places_lie_within_their_areas() -> None:
    for area in ("tile", "lane", "shared", "parameter"):
        with pytest.raises(CompilerBug, match=f"of 10 of {area}"):
            verify(gradient(), sizes=SIZES | {area: 10})


def test_tensors_that_live_together_have_room_of_their_own() -> None:
    """All that a tile makes at one place: each is read where another has been written over it."""

    def together(pointer: Pointer, written: bool) -> Pointer:
        return replace(pointer, place=Place("tile")) if pointer.place.area == "tile" else pointer

    with pytest.raises(CompilerBug, match=r"read before it is there|written over it"):
        verify(with_pointers(together))


def test_sums_are_cleared_and_added_up() -> None:
    routine = gradient()
    first, *rest = routine.phases
    for sums in ((), (Sum(0, 1, 1),)):
        tiles = replace(first.tiles, sums=sums)
        with pytest.raises(CompilerBug, match="added up where no lane is cleared"):
            verify(replace(routine, phases=(replace(first, tiles=tiles), *rest)))


def test_inputs_that_are_gathered_are_given() -> None:
    with pytest.raises(CompilerBug, match="input is gathered and not given"):
        verify(gradient(), given=[n for n in source().entries[0].roles if n != "input"])


def test_text_has_a_line_for_each_call() -> None:
    routine = gradient()
    text = print_routine(routine)
    lines = text.splitlines()
    assert lines[0] == f"gradient: tiles of {routine.tile} examples"
    assert len(lines) == 1 + sum(
        1 + len(phase.before) + (1 + len(phase.tiles.gathers) + len(phase.tiles.calls) if phase.tiles else 0)
        for phase in routine.phases
    )
    assert "      gather input into tile" in text
    assert routine.sites == 2 + sum(isinstance(s, Parts) for p in routine.phases for s in p.before)


def test_lowered_models_say_what_they_are_given_and_give() -> None:
    layers = [Input(20), Dense(3), Softmax()]
    model = lower(Sequential(layers, loss=CrossEntropy(), optimizer=SGD(0.1)))
    rows = [(row.name, row.use, row.shape, row.limit, row.argument) for row in model.signature.rows]
    assert rows == [
        ("input", "input", (None, 20), None, "x"),
        ("label", "label", (None,), 3, "y"),
        ("dense_1.kernel", "parameter", (20, 3), None, ""),
        ("dense_1.bias", "parameter", (3,), None, ""),
        ("batch_size", "batch_size", (), None, ""),
        ("rate", "rate", (), None, "learning_rate"),
        ("step", "step", (), 2**64, "step"),
        ("softmax_1", "output", (None, 3), None, ""),
        ("loss", "value", (), None, ""),
    ]
    (scaled,) = (row for row in model.signature.rows if row.scaling)
    assert (scaled.name, scaled.scaling.dtype, float(255 * scaled.scaling.factor)) == ("input", "uint8", 1.0)
