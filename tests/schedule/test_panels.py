"""Products over the whole batch, whose shared operand is packed into panels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.loops.grammar import If, Load
from compiler.ir.loops.parser import parse_kernel
from compiler.ir.loops.text import print_kernel
from compiler.ir.loops.walk import statements
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.machine.target import Target
from compiler.schedule.panels import EXAMPLES
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.packed_panels import PackedPanels
from tests.harness import compile_programs, plans_of
from tests.machines import MODELS, TARGETS, every_model, shared_out, targets
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs
from tests.schedule.samples import FINISHED
from tests.schedule.verifying import verify_plan

PRODUCTS = {
    "dense": """
input x: (batch, 9) real
input w: (9, 130) real
input bias: (130) real
z: (batch, 130) real = sum at once of "z"
    for b:batch, o:130: [b, o] += bias[o]
    for b:batch, o:130, i:9: [b, o] += x[b, i]*w[i, o]
outputs z
""",
    "transposed": """
input x: (batch, 128) real
input w: (101, 128) real
z: (batch, 101) real = sum at once of "z"
    for b:batch, i:101, o:128: [b, i] += x[b, o]*w[i, o]
outputs z
""",
    "kernel": """
input x: (batch, 2) real
input y: (batch, 1300) real
z: (2, 1300) real = sum at once of "z"
    for b:batch, i:2, o:1300: [i, o] += 1/3*x[b, i]*y[b, o]
outputs z
""",
    "positions": """
input x: (batch, 3, 6) real
input w: (6, 5, 26) real
z: (batch, 3, 5, 26) real = sum at once of "z"
    for b:batch, t:3, n:5, k:26, i:6: [b, t, n, k] += x[b, t, i]*w[i, n, k]
outputs z
""",
}


OPERANDS = {"dense": 9 * 130, "transposed": 101 * 128, "kernel": 128 * 1300, "positions": 6 * 5 * 26}
"""Elements of what is packed."""


def settings_for(name: str, target: Target) -> Settings:
    """On such a machine, whose second-level cache has no room for the operand and what streams past it."""
    return Settings(with_small_cache(name, target), "float64", 4)


def with_small_cache(name: str, target: Target) -> Target:
    return with_room(target, 2 * OPERANDS[name])


def with_room(target: Target, singles: int) -> Target:
    """With a second-level cache in half of which nearly so many numbers in float32 fit."""
    return replace(target, machine=replace(target.machine, level2_bytes=2 * 4 * singles - 2))


@shared_out(PRODUCTS, 4)
def test_products_over_panels(target: Target, part: list[str]) -> None:
    """On every machine they are what the program says, for batches of any size; pieces do not meet, nothing
    is read of a panel that is not in it, and no access may leave its buffer."""
    for name in part:
        check_panels(name, target)


def check_panels(name: str, target: Target) -> None:
    program, settings = parse_program(PRODUCTS[name]), settings_for(name, target)
    (plan,) = plans_of([program], settings)
    (call,) = plan.phases[0].before
    assert isinstance(call.schedule, PackedPanels)
    assert parse_kernel(print_kernel(call.kernel)) == call.kernel
    verify_plan(plan)
    module = interpret_programs([program], settings)
    for batch in (1, 3, 17):
        given = random_inputs(program, batch)
        found = module.run(0, given, batch=batch)
        np.testing.assert_allclose(found["z"], run(program, given, batch=batch)["z"], rtol=1e-12, atol=1e-12)


def test_a_batch_for_which_a_panel_is_too_short() -> None:
    program, settings = parse_program(PRODUCTS["kernel"]), settings_for("kernel", TARGETS["x86-64-v4"])
    module = interpret_programs([program], settings)
    for batch in (EXAMPLES, EXAMPLES + 1):
        given = random_inputs(program, batch)
        found = module.run(0, given, batch=batch)
        np.testing.assert_allclose(found["z"], run(program, given, batch=batch)["z"], rtol=1e-11, atol=1e-11)


@targets(1)
def test_panels_in_c(target: Target) -> None:
    """The same bits for any number of threads."""
    program = parse_program(PRODUCTS["transposed"])
    module = compile_programs([program], settings_for("transposed", target), extra_flags=("-O0",))
    assert "context.tiles + member * TILE_BYTES" in module.source
    for batch in (1, 21):
        given = random_inputs(program, batch)
        found = [module.run(0, given, batch=batch, threads=threads)["z"] for threads in (1, 2, 3)]
        assert len({one.tobytes() for one in found}) == 1
        np.testing.assert_allclose(found[0], run(program, given, batch=batch)["z"], rtol=1e-12, atol=1e-12)


def test_what_has_no_panels() -> None:
    """What stays in the cache, an operand that differs from position to position, and one panel alone."""
    small = settings_for("dense", TARGETS["x86-64-v4"])
    cases = [
        (PRODUCTS["dense"], Settings(TARGETS["x86-64-v4"], "float64", 4)),
        (PRODUCTS["dense"].replace("w: (9, 130)", "w: (batch, 9, 130)").replace("w[i", "w[b, i"), small),
        (PRODUCTS["dense"].replace("130", "16").replace("9", "900"), small),
    ]
    for text, settings in cases:
        (plan,) = plans_of([parse_program(text)], settings)
        assert not any(isinstance(call.schedule, PackedPanels) for call in plan.phases[0].before)


DEEP = """
input x: (batch, {deep}) real
input w: ({deep}, 4096) real
z: (batch, 4096) real = sum at once of "z"
    for b:batch, o:4096, i:{deep}: [b, o] += x[b, i]*w[i, o]
outputs z
"""


@every_model
def test_a_panel_of_a_deep_sum_is_narrower(target: Target) -> None:
    """As wide as what its tile costs says, where the second-level cache has room for that; else narrower."""
    machine = target.machine
    elements = machine.level2_bytes * machine.costs("float32").workspace_share // 4
    widths = []
    for deep in (64, 4096, 8192):
        (plan,) = plans_of([parse_program(DEEP.format(deep=deep))], Settings(target, "float32", 16))
        (found,) = (c.schedule for c in plan.calls if isinstance(c.schedule, PackedPanels))
        widths.append(found.tile.width)
        assert deep * widths[-1] <= elements
    assert widths[0] >= widths[1] >= widths[2]


def test_a_finished_block_waits_where_one_thread_has_all_blocks() -> None:
    """Over panels, whose loop is the one that is shared out, and in groups of vectors; not where the loop
    over blocks is itself the outermost."""
    whole = Settings(MODELS["avx2"], "float32", 5)
    small = replace(whole, target=with_room(MODELS["avx2"], 40_000))
    found = {}
    for name, text, settings in (
        ("panels", FINISHED.replace("36", "720"), small),
        ("groups", FINISHED.replace("36", "72"), whole),
        ("few columns", FINISHED, whole),
    ):
        (plan,) = plans_of([parse_program(text)], settings)
        (kernel,) = plan.kernels
        waiting = (s for s in statements(kernel.body) if isinstance(s, If) and isinstance(s.body[0], Load))
        found[name] = ("over panels" in kernel.schedule, any(s.body[0].name == "waiting" for s in waiting))
    assert found == {"panels": (True, True), "groups": (False, True), "few columns": (False, False)}
