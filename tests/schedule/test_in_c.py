"""A few programs of each schedule and each statement, through the C compiler: what the interpreter computes.

`test_interpreted.py` has all of them for all machine models. Here is seen that the text of each statement
means what the interpreter takes it to mean, and that no bit depends on the number of threads.
"""

from __future__ import annotations

import numpy as np

from compiler.ir.loops.grammar import Statement
from compiler.ir.loops.walk import statements
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.harness import compile_programs
from tests.machines import TARGETS, targets
from tests.schedule.building import SEED, STEP
from tests.schedule.running import interpret_programs
from tests.schedule.samples import Sample, samples

NAMES = (
    "fused: max and relu",
    "tangent: max and relu",
    "zeros: some",
    "sums in parts",
    "a sum that is finished",
    "looked up: planes 1",
    "selected: 1 channels",
    "picked",
    "max_pool-stride2-explicit-window3",
    "pointwise group",
    "dropout",
    "copies, axes and numbers",
    "to the end of sequences",
)
DTYPES = {"x86-64-v3": "float32"}
"""Of the widest target float64, where zeros are listed."""
TILE = 16
"""Examples in a tile: of fewer it does not pay to list what is not zero."""
BATCHES = (1, 5, 35)


def chosen() -> list[Sample]:
    return [sample for sample in samples() if sample.name in NAMES]


@targets(1)
def test_compiled_kernels(target: Target) -> None:
    """All in one module."""
    dtype = DTYPES.get(target.name, "float64")
    settings = Settings(target, dtype, TILE)
    ready = [sample.ready(target, dtype) for sample in chosen()]
    module = compile_programs(ready, settings, extra_flags=("-O0",))
    same = interpret_programs(ready, settings)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for number, sample in enumerate(chosen()):
        for batch in BATCHES:
            inputs, keys = sample.inputs(batch), {"batch": batch, "seed": SEED, "step": STEP}
            interpreted, found = same.run(number, inputs, **keys), module.run(number, inputs, **keys)
            many = module.run(number, inputs, **keys, threads=3)
            for name, wanted in interpreted.items():
                assert found[name].tobytes() == many[name].tobytes(), (sample.name, batch, name)
                scale = max(1, np.abs(wanted).max(initial=0))
                error = np.abs(found[name] - wanted).max(initial=0) / scale
                assert error <= tolerance, (sample.name, batch, name, error)


def test_every_statement_is_compiled() -> None:
    kinds = set()
    for sample in chosen():
        settings = Settings(TARGETS["x86-64-v4"], "float64", TILE)
        programs = interpret_programs([sample.ready(settings.target, "float64")], settings)
        kinds |= {type(s) for kernel in programs.plans[0].kernels for s in statements(kernel.body)}
    assert kinds == set(Statement.__args__)
