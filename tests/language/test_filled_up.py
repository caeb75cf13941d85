"""What fills up a sequence has no part in anything, whatever stands there: NaN and infinity neither."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from compiler import (
    GRU,
    LSTM,
    Add,
    BatchNormalization,
    Bidirectional,
    Dense,
    Derivative,
    Dropout,
    Formula,
    GlobalAveragePooling1D,
    GlobalMaxPool1D,
    Input,
    LayerNormalization,
    Masking,
    MeanSquaredError,
    Model,
    MultiHeadAttention,
    SimpleRNN,
    Softmax,
    Unmasked,
)
from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import run
from compiler.language.optimizers import SGD
from tests.language.test_masks import STEPS, THERE, values_of

KINDS: dict[str, Callable] = {
    "dense": Dense(2),
    "activation": Dense(2, activation="softmax"),
    "attention": MultiHeadAttention(1, 2),
    "attention that gives weights to positions": MultiHeadAttention(2, 2, causal=True, alibi=True, rotary=9),
    "memory": lambda x: MultiHeadAttention(1, 2)(Dense(3)(x), x),
    "simple_rnn": SimpleRNN(2, return_sequences=True),
    "lstm": LSTM(2),
    "gru": GRU(2),
    "bidirectional": Bidirectional(LSTM(2, return_sequences=True)),
    "mean": GlobalAveragePooling1D(),
    "mean of dense": lambda x: GlobalAveragePooling1D()(Dense(2, activation="relu")(x)),
    "maximum": GlobalMaxPool1D(),
    "softmax over steps": lambda x: Softmax()(Formula("y[b, t] = sum[c](x[b, t, c])")(x)),
    "batch_normalization": BatchNormalization(),
    "layer_normalization": lambda x: Dense(2)(LayerNormalization()(x)),
    "sum": lambda x: Add()(x, Dropout(0.5)(x)),
    "masking": lambda x: GRU(2)(Masking()(x)),
    "formula of lengths": lambda x: Formula(
        "y[b, c] = sum[t](x[b, t, c] * w[c] if n[b, t] > 0.5 else 0)",
        inputs=("x", "n"),
        parameters={"w": Dense(1).forward((3,)).parameters["kernel"].initializer},
    )(x, x.mask),
}
BAD = (np.nan, np.inf, -np.inf)


def model_of(layer: Callable, how: str) -> Model:
    x = Input(STEPS, 3, **{how: True})
    return Model(x, layer(x), loss=MeanSquaredError(), optimizer=SGD(), name="filled")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_number_there_changes_nothing(kind: str) -> None:
    """The loss, all gradients and the running averages are those with 0 there; its own gradient is 0."""
    for how in ("mask",) if kind == "formula of lengths" else ("lengths", "mask"):
        lowered = lower(model_of(KINDS[kind], how))
        names = ("input", *(p.name for p in lowered.parameters))
        gradient, _ = vjp(lowered.training, "loss", names)
        given = values_of(gradient)
        zero = run(gradient, {**given, "input": np.where(THERE[..., None], given["input"], 0)})
        for bad in BAD:
            wrong = {**given, "input": np.where(THERE[..., None], given["input"], bad)}
            label = given["label"]
            if label.shape[1:2] == (STEPS,):
                there = THERE.reshape(THERE.shape + (1,) * (label.ndim - 2))
                wrong["label"] = np.where(there, label, bad)
            with np.errstate(all="ignore"):
                found = run(gradient, wrong)
            for name in gradient.outputs:
                assert np.isfinite(zero[name]).all()
                np.testing.assert_array_equal(found[name], zero[name], err_msg=f"{name}, {bad}")
            moved = found[cotangent_name("input")]
            assert not moved[~THERE].any() and moved[0].any()


def test_a_model_without_masks_has_no_step_more() -> None:
    x = Input(STEPS, 3)
    assert [step.name for step in Model(x, Dense(2)(x)).graph.steps] == ["input", "dense_1"]
    tokens = Input(STEPS, vocabulary=3, lengths=True)
    read = Formula("y[b, t] = w[x[b, t]]", parameters={"w": Dense(1).forward((3,)).parameters["bias"]})
    steps = Model(tokens, read(tokens)).graph.steps
    assert [step.layer.kind for step in steps] == ["input", "input", "formula"]


def test_who_reads_what_fills_up() -> None:
    """Unmasked gives what was given; a derivative is by the input itself."""
    x = Input(STEPS, 3, lengths=True)
    model = Model(x, Unmasked()(x), loss=MeanSquaredError(), optimizer=SGD())
    program = lower(model).predict
    given = values_of(program)
    np.testing.assert_array_equal(run(program, given)[program.outputs[0]], given["input"])
    squares = Formula("y[b] = sum[t, c](x[b, t, c]**2 if n[b, t] > 0.5 else 0)", inputs=("x", "n"))
    x = Input(STEPS, 3, mask=True)
    slope = Derivative((1, 2))(squares(x, x.mask), x)
    program = lower(Model(x, slope, loss=MeanSquaredError(), optimizer=SGD())).predict
    given = values_of(program)
    expected = np.where(THERE[:, 1], 2 * given["input"][:, 1, 2], 0)
    np.testing.assert_allclose(run(program, given)[program.outputs[0]], expected)


def test_running_averages_stay_where_nothing_is_real() -> None:
    lowered = lower(model_of(BatchNormalization(name="bn"), "lengths"))
    given = values_of(lowered.training)
    moved = run(lowered.training, given)
    still = run(lowered.training, {**given, "input_lengths": 0 * given["input_lengths"]})
    for of in ("mean", "variance"):
        old, new = given[f"bn.moving_{of}"], f"bn.new_moving_{of}"
        np.testing.assert_array_equal(still[new], old)
        assert (moved[new] != old).all()
