"""How many examples a tile holds, and into which tiles a small batch is divided."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from compiler.ir.module.grammar import Routine
from compiler.language.layers import Conv2D, Dense
from compiler.machine.target import Target
from compiler.plan.plan import Plan
from compiler.plan.tiling import smallest_tile
from compiler.plan.whole import LANES
from compiler.schedule.settings import Settings
from compiler.schedule.tiled import TiledSum
from tests.derive.cases import Case, layer_program
from tests.harness import compile_programs, plans_of
from tests.machines import TARGETS, every_model
from tests.schedule.building import lowered, pullback

CONVOLUTION = Case("conv", partial(layer_program, Conv2D(16, 3), (20, 20, 8)), "y", ("x", "kernel"))
POSITIONS = Case("positions", partial(layer_program, Dense(192), (128, 192)), "y", ("x", "kernel"))
DENSE = Case("dense", partial(layer_program, Dense(256), (256,)), "y", ("x", "kernel"))


def plan_of(case: Case, target: Target, tile: int) -> Plan:
    (plan,) = plans_of(
        [lowered(pullback(case).simplified, target, "float32")], Settings(target, "float32", tile)
    )
    return plan


@every_model
def test_a_small_batch_is_divided_where_that_costs_little(target: Target) -> None:
    """A convolution's positions fill its registers, whatever the batch; a dense layer's are examples."""
    few, many = (
        smallest_tile(plan_of(case, target, 16), target.machine, "float32") for case in (CONVOLUTION, DENSE)
    )
    assert few <= min(many, 8)


@every_model
def test_blocks_of_equal_cost_lie_within_an_example(target: Target) -> None:
    """Each position of a sequence has a product of its own: blocks of positions are as good as blocks of
    examples, and in a tile of few examples only they are full. A batch of 8 is so shared out."""
    plan = plan_of(POSITIONS, target, 16)
    tiles = [call.schedule.tile for call in plan.phases[0].tile if isinstance(call.schedule, TiledSum)]
    assert all(tile.examples == 1 for tile in tiles if tile.nonzero is None)
    assert any(tile.nonzero is None for tile in tiles)
    assert smallest_tile(plan, target.machine, "float32") <= 4


@pytest.mark.parametrize(("least", "most"), [(1, 16), (2, 4), (8, 8)])
def test_tiles_of_any_batch(least: int, most: int) -> None:
    """None is smaller than `least` or larger than `most`; and where they may be small, no lane is empty that
    examples are left for."""
    routine = Routine("step", most, (), least)
    for batch in range(1, 300):
        size = routine.tile_of(batch, LANES)
        tiles = -(-batch // size)
        assert least <= size <= most
        assert size in (least, most) or LANES // 2 < tiles <= LANES
        assert tiles >= min(batch // least, LANES // 2) or size == least


def test_the_same_bits_for_any_number_of_threads() -> None:
    settings = Settings(TARGETS["x86-64-v2"], "float64", 16)
    pair = pullback(CONVOLUTION)
    module = compile_programs([pair.simplified], settings, extra_flags=("-O0",), least=1)
    assert "tile_size(context.whole, 1, 16)" in module.source
    random = np.random.default_rng(1)
    for batch in (1, 5, 24, 70):
        inputs = {t.name: random.standard_normal([n or batch for n in t.shape]) for t in pair.raw.inputs}
        bits = {
            b"".join(found[name].tobytes() for name in pair.raw.outputs)
            for threads in (1, 2, 3)
            for found in [module.run(0, inputs, batch=batch, threads=threads)]
        }
        assert len(bits) == 1
