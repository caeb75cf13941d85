"""Stateful recurrences: a sequence in parts, each beginning where the one before ended, is the sequence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import (
    GRU,
    LSTM,
    SGD,
    Bidirectional,
    Dense,
    Input,
    MeanSquaredError,
    Model,
    SimpleRNN,
    TimeDistributed,
)
from compiler.derive.vjp import cotangent_name, vjp
from compiler.errors import ModelError
from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel
from compiler.ir.tensor.interpreter import run

BATCH, CHANNELS, UNITS = 3, 2, 4
LAYERS = {
    "simple": SimpleRNN(UNITS),
    "lstm": LSTM(UNITS, return_sequences=True),
    "lstm, last": LSTM(UNITS, return_state=True),
    "gru": GRU(UNITS, return_sequences=True),
    "gru, reset before": GRU(UNITS, reset_after=False),
    "lstm backwards": LSTM(UNITS, go_backwards=True),
    "gru backwards": GRU(UNITS, go_backwards=True, return_sequences=True),
}


def model(layer, steps: int, *, lengths: bool = False) -> LoweredModel:
    x = Input(steps, CHANNELS, lengths=lengths)
    y = layer(x)
    y = y[0] if isinstance(y, tuple) else y
    inputs = [x, x.lengths] if lengths else x
    return lower(Model(inputs, y, losses={"far": MeanSquaredError()(y)}, optimizer=SGD()))


def weights(lowered: LoweredModel, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {p.name: rng.normal(0, 0.6, p.shape) for p in lowered.parameters}


def nothing_kept(lowered: LoweredModel, batch: int = BATCH) -> dict[str, np.ndarray]:
    rows = lowered.signature.of("example_state")
    return {row.name: np.zeros((batch, *row.example)) for row in rows}


def renewed(lowered: LoweredModel, results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        role.of: results[name]
        for name, role in lowered.roles.items()
        if role.use == "new_example_state" and name in results
    }


def in_parts(lowered: LoweredModel, given: dict[str, np.ndarray], parts) -> list[np.ndarray]:
    """The output of each part, in the order in which they are given."""
    kept, found = nothing_kept(lowered), []
    (output,) = lowered.signature.of("output")
    for part in parts:
        results = run(lowered.predict, {**given, **part, **kept})
        found.append(results[output.name])
        kept = renewed(lowered, results)
    return found


@pytest.mark.parametrize(
    ("name", "steps"), [*((name, 2) for name in LAYERS), ("lstm", 1), ("gru, reset before", 1)]
)
def test_a_sequence_in_parts_is_the_sequence(name: str, steps: int):
    layer, rng = LAYERS[name], np.random.default_rng(1)
    short, long = model(replace(layer, stateful=True), steps), model(layer, 3 * steps)
    x = rng.normal(size=(BATCH, 3 * steps, CHANNELS))
    given = weights(long)
    (output,) = long.signature.of("output")
    expected = run(long.predict, {**given, "input": x})[output.name]
    parts = [{"input": part} for part in np.split(x, 3, axis=1)]
    found = in_parts(short, given, parts[::-1] if layer.go_backwards else parts)
    whole = np.concatenate(found, axis=1) if layer.return_sequences else found[-1]
    np.testing.assert_allclose(whole, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "gru, reset before"])
def test_steps_that_only_fill_up_leave_what_is_kept(name: str):
    """The last real step of a part is what the next one begins with, none at all included."""
    layer, rng = LAYERS[name], np.random.default_rng(2)
    layer = replace(layer, return_sequences=False)
    short, long = model(replace(layer, stateful=True), 3, lengths=True), model(layer, 9, lengths=True)
    sequence, lengths = (row.name for row in long.signature.of("input"))
    lasting = np.array([[3, 1, 2], [3, 0, 2], [0, 3, 3]])
    x = rng.normal(size=(BATCH, 3, 3, CHANNELS))
    together = np.zeros((BATCH, 9, CHANNELS))
    for b in range(BATCH):
        real = np.concatenate([x[b, part, :count] for part, count in enumerate(lasting[b])])
        together[b, : len(real)] = real
    given = weights(long)
    (output,) = long.signature.of("output")
    expected = run(long.predict, {**given, sequence: together, lengths: lasting.sum(axis=1)})[output.name]
    parts = [{sequence: x[:, part], lengths: lasting[:, part]} for part in range(3)]
    np.testing.assert_allclose(in_parts(short, given, parts)[-1], expected, rtol=1e-12)


def test_both_ways_keep_their_own():
    layer = Bidirectional(GRU(UNITS, return_sequences=True, stateful=True))
    lowered, rng = model(layer, 2), np.random.default_rng(3)
    given, x = weights(lowered), rng.normal(size=(BATCH, 4, CHANNELS))
    first, second = in_parts(lowered, given, [{"input": x[:, :2]}, {"input": x[:, 2:]}])
    long = model(Bidirectional(GRU(UNITS, return_sequences=True)), 4)
    whole = run(long.predict, {**given, "input": x})["bidirectional_1"]
    np.testing.assert_allclose(np.concatenate([first, second], 1)[..., :UNITS], whole[..., :UNITS])
    # Backwards the second part begins where the first ended: at its first step.
    turned = run(long.predict, {**given, "input": np.concatenate([x[:, 2:], x[:, :2]], 1)})
    np.testing.assert_allclose(second[..., UNITS:], turned["bidirectional_1"][:, :2, UNITS:])


def test_over_time_every_step_has_its_own():
    x = Input(5, 3, CHANNELS)
    lowered = lower(
        Model(
            x, TimeDistributed(SimpleRNN(UNITS, stateful=True))(x), loss=MeanSquaredError(), optimizer=SGD()
        )
    )
    assert [row.shape for row in lowered.signature.of("example_state")] == [(None, 5, UNITS)]


@pytest.mark.parametrize("name", ["lstm", "gru backwards"])
def test_there_is_no_gradient_through_what_is_kept(name: str):
    """The gradients are those of a layer that is given its first states as inputs."""
    layer, rng = LAYERS[name], np.random.default_rng(4)
    own = model(replace(layer, stateful=True), 3)
    states = [Input(UNITS) for _ in layer.equations().states]
    x = Input(3, CHANNELS)
    y = layer(x, *states)
    given = lower(Model([x, *states], y, losses={"far": MeanSquaredError()(y)}, optimizer=SGD()))
    values = weights(own)
    kept = [rng.normal(size=(BATCH, UNITS)) for _ in states]
    found = []
    for lowered, names in (
        (own, [row.name for row in own.signature.of("example_state")]),
        (given, [row.name for row in given.signature.of("input")[1:]]),
    ):
        first, label = lowered.signature.of("input")[0], lowered.signature.one("label")
        draw = np.random.default_rng(5)
        arrays = {
            first.name: draw.normal(size=(BATCH, 3, CHANNELS)),
            label.name: draw.normal(size=(BATCH, *label.example)),
        }
        program = vjp(lowered.training, lowered.total, tuple(values))[0]
        results = run(program, {**values, **arrays, **dict(zip(names, kept, strict=True))})
        found.append([results[lowered.total], *(results[cotangent_name(n)] for n in values)])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def problems(y, inputs) -> str:
    with pytest.raises(ModelError) as caught:
        lower(Model(inputs, y, loss=MeanSquaredError(), optimizer=SGD()))
    return str(caught.value)


def test_what_a_stateful_layer_cannot_be():
    x, h = Input(3, CHANNELS), Input(UNITS)
    assert "initial states are given to a layer that keeps its own" in problems(
        GRU(UNITS, stateful=True)(x, h), [x, h]
    )
    shared = GRU(UNITS, stateful=True)
    other = Input(3, CHANNELS)
    assert "a layer with a state of its own is used twice" in problems(shared(x) + shared(other), [x, other])
    assert "stateful" in problems(GRU(UNITS, stateful=1)(x), x)


def test_what_follows_may_be_called_like_a_state():
    x = Input(3, CHANNELS)
    y = Dense(UNITS, name="new_initial_h")(GRU(UNITS, stateful=True, name="initial_h")(x))
    lowered = lower(Model(x, y, loss=MeanSquaredError(), optimizer=SGD()))
    assert [row.name for row in lowered.signature.of("example_state")] == ["initial_h.initial_h"]
