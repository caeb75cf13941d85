"""Sums over the whole batch at once, and weights packed by several threads."""

from __future__ import annotations

from functools import partial

import numpy as np

from compiler.ir.tensor.interpreter import run
from compiler.language.layers import Dense
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.derive.cases import Case, layer_program
from tests.harness import at_once, compile_programs
from tests.machines import every_model, targets
from tests.schedule.building import lowered, pullback

CASE = Case("dense", partial(layer_program, Dense(150), (133,)), "y", ("x", "kernel", "bias"))


@targets(1)
def test_dense_of_any_batch(target: Target) -> None:
    pair = pullback(CASE)
    settings = Settings(target, "float64", 4)
    module = compile_programs([lowered(pair.simplified, target, "float64")], settings, extra_flags=("-O0",))
    shared = [kernel.name for kernel in module.plans[0].kernels if kernel.shared]
    assert {name.partition(".")[0] for name in shared} == {"kernel"}
    assert any("cotangent" in name for name in shared)
    assert any("packed" in name for name in shared)
    random = np.random.default_rng(1)
    for batch in (1, 5, 130):
        inputs = {t.name: random.standard_normal([n or batch for n in t.shape]) for t in pair.raw.inputs}
        wanted = run(pair.raw, inputs, batch=batch)
        bits = set()
        for threads in (1, 2, 3, 4):
            found = module.run(0, inputs, batch=batch, threads=threads)
            bits.add(b"".join(found[name].tobytes() for name in pair.raw.outputs))
        assert len(bits) == 1
        for name in pair.raw.outputs:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-11, atol=1e-11, err_msg=name)


@every_model
def test_what_is_summed_at_once(target: Target) -> None:
    """A large sum of small operands, not a small one, and not one whose operands are larger."""
    settings = Settings(target, "float32", 4)
    program = pullback(CASE).simplified
    assert at_once(program, settings) == {"kernel.cotangent"}
    small = Case("small", partial(layer_program, Dense(3), (5,)), "y", ("kernel",))
    assert not at_once(pullback(small).simplified, settings)
