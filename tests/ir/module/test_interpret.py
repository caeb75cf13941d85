"""A whole step in NumPy, without a C compiler: phases, tiles and lanes give what the tensor program says."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.frontend.lower import lower
from compiler.ir.module.entry_point import with_duty
from compiler.ir.module.interpret import Given, run_routine
from compiler.ir.tensor.interpreter import run
from compiler.language.description import Model, Sequential
from compiler.language.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPool2D,
    ReLU,
    Softmax,
)
from compiler.language.losses import CrossEntropy
from compiler.language.optimizers import Adam
from compiler.module_source import ModuleSource, compile_to_source
from tests.machines import TARGETS


def network() -> Model:
    layers = [
        *(Input(6, 6, 2), Conv2D(3, 3, padding="same"), ReLU(), MaxPool2D(2), BatchNormalization()),
        *(Flatten(), Dropout(0.5), Dense(3), Softmax()),
    ]
    return Sequential(layers, loss=CrossEntropy(), optimizer=Adam(0.01))


def areas(source: ModuleSource, batch: int, values: dict[str, np.ndarray]) -> dict:
    """The arrays of a network, with these values of parameters and states."""
    storage, memory = source.storage, source.module.memory
    flat = {
        "parameter": np.zeros(storage.parameters.size),
        "state": np.zeros(storage.first_state + 2 * storage.states.size),
        "total": np.zeros(max(memory.lane_elements, storage.parameters.size)),
        "output": np.zeros(64 * batch),
        "scalar": np.array([batch, 0.01, 1.0]),
    }
    for layout, area, start in (
        (storage.parameters, "parameter", 0),
        (storage.states, "state", storage.first_state),
    ):
        for row in layout.rows:
            first = start + layout.offsets[row.name]
            flat[area][first : first + values[row.name].size] = values[row.name].reshape(-1)
    return flat


@pytest.mark.parametrize("target", ["scalar", "x86-64-v3"])
def test_a_step_in_numpy_is_the_program_in_numpy(target: str) -> None:
    source = compile_to_source(network(), TARGETS[target], "float64", "digest")
    model, entry = lower(network()), with_duty(source.entries, "training")
    routine = source.module.routines[source.entries.index(entry)]
    batch = 2 * source.settings.tile + 1
    rng = np.random.default_rng(0)
    values = {row.name: rng.normal(size=row.shape) for row in model.signature.of("parameter", "state")}
    x = rng.normal(size=(batch, 6, 6, 2))
    y = rng.integers(3, size=batch).astype(np.int32)
    flat = areas(source, batch, values)
    given = Given(batch, {"input": x, "label": y}, flat, seed=4, step=2)
    run_routine(routine, source.module.memory, given, np.float64)

    expected = run(entry.program, {"input": x, "label": y, **values}, seed=4, step=2)
    plan = source.plan("training")
    results = entry.results("gradient") | entry.results("value") | entry.results("new_state")
    assert len(results) == len(entry.program.outputs) > 6
    for name in results:
        place, right = plan.places[name], np.asarray(expected[name])
        area = "total" if place.area == "lane" else place.area
        found = flat[area][place.offset : place.offset + right.size]
        assert found == pytest.approx(right.reshape(-1), rel=1e-9, abs=1e-12), name
