"""Which positions are real: from inputs through layers to losses and metrics, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import (
    GRU,
    LSTM,
    MSE,
    Accuracy,
    Adam,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Formula,
    GlobalAveragePooling1D,
    GlobalMaxPool1D,
    Input,
    LayerNormalization,
    Masking,
    MeanSquaredError,
    Model,
    MultiHeadAttention,
    Perplexity,
    PositionalEncoding,
    Sequential,
    SimpleRNN,
    Softmax,
    Unmasked,
)
from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify

STEPS = 5
LENGTHS = np.array([STEPS, 1, 0, 2])
THERE = np.arange(STEPS) < LENGTHS[:, None]


def model_of(x, y, loss=None, **options) -> Model:
    return Model(x, y, loss=loss or CrossEntropy(), optimizer=Adam(), **options)


def values_of(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of a program, four sequences of these lengths."""
    rng, found = np.random.default_rng(seed), {}
    for tensor in program.inputs:
        shape = concrete_shape(tensor.shape, len(LENGTHS))
        if tensor.name.endswith("_lengths"):
            found[tensor.name] = LENGTHS
        elif tensor.name.endswith("_mask"):
            found[tensor.name] = THERE.astype(float)
        elif tensor.dtype == "index":
            found[tensor.name] = rng.integers(tensor.limit, size=shape)
        elif tensor.kind not in ("iota", "batch_size", "random"):
            found[tensor.name] = rng.normal(size=shape)
    return found


def tagger(x):
    """A class for each position."""
    h = PositionalEncoding()(BatchNormalization()(Dense(4)(x)))
    h = LayerNormalization()(h + MultiHeadAttention(2, 2, causal=True)(h))
    h = Bidirectional(LSTM(2, return_sequences=True))(h)
    return Softmax()(Dense(3)(h))


def classifier(x):
    """A class for each sequence."""
    h = MultiHeadAttention(1, 3)(Dense(4, activation="tanh")(x))
    parts = GlobalAveragePooling1D()(h), GlobalMaxPool1D()(h), SimpleRNN(2)(h)
    return Softmax()(Dense(3)(Concatenate()(*parts)))


@pytest.mark.parametrize("how", ["lengths", "mask"])
@pytest.mark.parametrize("build", [tagger, classifier])
def test_what_fills_up_has_no_part(build, how: str) -> None:
    """Neither in the loss nor in a metric, and its gradient is 0, whatever stands there."""
    x = Input(STEPS, 3, **{how: True})
    lowered = lower(model_of(x, build(x), metrics=[Accuracy(), Perplexity()]))
    names = ("input", *(p.name for p in lowered.parameters))
    gradient, _ = vjp(lowered.training, "loss", names)
    for program in (gradient, lowered.inference):
        verify(program)
    given, other = values_of(gradient), values_of(gradient, seed=1)
    changed = {**given, "input": np.where(THERE[..., None], given["input"], other["input"])}
    if build is tagger:
        changed["label"] = np.where(THERE, given["label"], other["label"])
    first, second = run(gradient, given), run(gradient, changed)
    for name in gradient.outputs:
        np.testing.assert_allclose(second[name], first[name], rtol=1e-12, atol=1e-15)
    moved = first[cotangent_name("input")]
    assert not moved[~THERE].any() and moved[0].any()
    known = {t.name for t in lowered.inference.inputs}
    found = [run(lowered.inference, {k: v for k, v in g.items() if k in known}) for g in (given, changed)]
    for name in lowered.inference.outputs:
        if lowered.roles[name].use in ("value", "sum"):
            np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-12)


@pytest.mark.parametrize("length", [1, 2, STEPS])
def test_a_filled_up_sequence_is_the_short_one(length: int) -> None:
    """A model for sequences of this length alone computes the same for them."""
    x, short = Input(STEPS, 3, lengths=True), Input(length, 3)
    long_one, short_one = (lower(model_of(v, classifier(v))).predict for v in (x, short))
    given = {**values_of(long_one), "input_lengths": np.full(len(LENGTHS), length)}
    own = {name: value for name, value in given.items() if name in {t.name for t in short_one.inputs}}
    own["input"] = given["input"][:, :length]
    for tensor in short_one.inputs:
        # Of one step nothing is carried: that parameter is not there.
        assert tensor.name in own or tensor.kind in ("iota", "batch_size")
    (result,) = long_one.outputs
    np.testing.assert_allclose(run(long_one, given)[result], run(short_one, own)[result], rtol=1e-12)


def test_a_loss_is_the_mean_over_what_is_real() -> None:
    x = Input(STEPS, 3, lengths=True)
    metrics = [MSE()]
    model = model_of(x, Dense(2, name="out")(x), MeanSquaredError(), metrics=metrics, sample_weight=True)
    lowered = lower(model)
    given = values_of(lowered.inference)
    given["sample_weight"] = np.array([1.0, 2.0, 3.0, 4.0])
    found = run(lowered.inference, given)
    squares = (found["out"] - given["label"]) ** 2 * THERE[..., None]
    weighted = squares.sum((1, 2)) @ given["sample_weight"]
    assert np.isclose(found["loss"], weighted / (2 * THERE.sum()))
    assert np.isclose(found["label.mse.total"], squares.sum())
    assert np.isclose(found["label.mse.count"], 2 * THERE.sum())
    nothing = run(lowered.inference, {**given, "input_lengths": 0 * LENGTHS})
    assert nothing["loss"] == 0 == nothing["label.mse.count"]


def test_labels_that_are_ignored_and_positions_that_are_not_real() -> None:
    x = Input(STEPS, 3, lengths=True)
    loss = CrossEntropy(from_logits=True, ignore_index=-1)
    lowered = lower(model_of(x, Dense(3, name="out")(x), loss, metrics=[Accuracy()]))
    given = values_of(lowered.inference)
    found = run(lowered.inference, given)
    logits, labels = found["out"], given["label"]
    there = THERE & (labels < 3)
    exponentials = np.exp(logits)
    chances = np.log(exponentials / exponentials.sum(-1, keepdims=True))
    chosen = np.take_along_axis(chances, np.minimum(labels, 2)[..., None], -1)[..., 0]
    assert np.isclose(found["loss"], -chosen[there].mean())
    assert found["label.accuracy.count"] == there.sum()


def test_masking_and_mask_zero() -> None:
    """What Keras calls a mask: steps of one value, and the token 0."""
    for build, filled in (
        (lambda: (Input(STEPS, 3), Masking(0.5)), 0.5),
        (lambda: (Input(STEPS, vocabulary=6), Embedding(6, 3, mask_zero=True)), 0),
    ):
        x, front = build()
        masked = lower(model_of(x, Softmax()(Dense(3)(SimpleRNN(4)(front(x)))))).predict
        given = values_of(masked)
        real = np.array([[1, 0, 1, 1, 0]] * len(LENGTHS), bool)
        numbers = np.maximum(given["input"], 1) if masked["input"].dtype == "index" else given["input"]
        given["input"] = np.where(real.reshape(real.shape + (1,) * (numbers.ndim - 2)), numbers, filled)
        short = Input(3, *given["input"].shape[2:], vocabulary=6 if numbers.ndim == 2 else None)
        middle = Embedding(6, 3)(short) if numbers.ndim == 2 else short
        plain = lower(model_of(short, Softmax()(Dense(3)(SimpleRNN(4)(middle))))).predict
        own = {**given, "input": given["input"][:, real[0]]}
        own = {t.name: own[t.name] for t in plain.inputs if t.name in own}
        (result,), (other,) = masked.outputs, plain.outputs
        np.testing.assert_allclose(run(masked, given)[result], run(plain, own)[other], rtol=1e-12)


def test_names_at_the_door() -> None:
    def inputs(model: Model) -> list[str]:
        assert not model.problems, model.problems
        return [step.name for step in model.input_steps]

    x, z = Input(STEPS, 3, lengths=True), Input(STEPS, 3, mask=True, name="z")
    pooled = GlobalMaxPool1D()
    assert inputs(model_of(x, Dense(2, activation="softmax")(pooled(x)))) == ["input", "input_lengths"]
    both = Dense(2, activation="softmax")(pooled(x) + pooled(z))
    assert inputs(model_of([x, z], both)) == ["input_1", "input_1_lengths", "z", "z_mask"]
    named = model_of({"first": x, "second": z}, both)
    assert inputs(named) == ["first", "first_lengths", "second", "second_mask"]
    given = model_of([x.lengths, x], Dense(2, activation="softmax")(pooled(x)))
    assert inputs(given) == ["input_lengths", "input"]
    layers = [Input(STEPS, vocabulary=7, lengths=True), Embedding(7, 3), LSTM(2), Dense(2), Softmax()]
    assert inputs(Sequential(layers, loss=CrossEntropy(), optimizer=Adam())) == ["input", "input_lengths"]


def test_formulas_of_ones_own_carry_masks() -> None:
    """What each position reads of its own keeps the mask; what mixes positions is told so."""
    x = Input(STEPS, 3, lengths=True)

    def problem(layer) -> str | None:
        value = layer(x)
        if value is None:
            return None
        shape = Model(x, value).graph.step(value).shape
        y = Softmax()(Dense(2)(GlobalMaxPool1D()(value) if len(shape) == 2 else value))
        found = [str(p.message) for p in model_of(x, y).problems]
        return found[0] if found else None

    apart = (
        Formula("y[b, t, o] = sum[i](x[b, t, i]) + t", sizes={"o": 2}),
        Formula("s[b, i, t] = x[b, t, i]**2\ny[b, t, o] = s[b, o, t]"),
        Formula("m[b, t] = mean[i](x[b, t, i]); y[b, t, i] = x[b, t, i] - m[b, t]"),
        Dropout(0.5),
    )
    assert [problem(layer) for layer in apart] == [None] * len(apart)
    mixed = (
        Formula("y[b, t, i] = x[b, t, i] + (y[b, t - 1, i] if t >= 1 else 0)"),
        Formula("y[b, t, i] = x[b, size(t) - 1 - t, i]", sizes={"t": STEPS}),
        Formula("m[b, i] = mean[t](x[b, t, i]); y[b, t, i] = x[b, t, i] - m[b, i]"),
        Formula("y[b, i, t] = x[b, t, i]"),
        Conv1D(3, 2),
        Flatten(),
    )
    for layer in mixed:
        assert "mixes positions" in problem(layer), layer
    assert problem(lambda v: Flatten()(Unmasked()(v))) is None
    own = Formula("y[b, i] = sum[t](x[b, t, i] if t < n[b] else 0)", inputs=("x", "n"))
    assert problem(lambda v: own(v, v.lengths)) is None


def test_a_formula_that_is_given_the_lengths_hands_them_on_along_its_axis_of_steps() -> None:
    """A layer behind it that mixes positions asks which are real, or says that it does not know."""
    x = Input(STEPS, STEPS, lengths=True)
    own = "h[b, t, i] = x[b, t, i] + (h[b, t - 1, i] if t >= 1 else 0)\n"
    kept = (
        "y[b, t, i] = x[b, t, i] if t < n[b] else 0",
        "y[b, t, i] = x[b, t, i] + (y[b, t - 1, i] if 1 <= t < n[b] else 0)",
        own + "y[b, t, i] = h[b, t, i] - mean[s](h[b, s, i] if s < n[b] else 0)",
    )
    others = (
        "y[b, i, t] = x[b, t, i] if t < n[b] else 0",
        "m[b, i] = sum[t](x[b, t, i] if t < n[b] else 0)\ny[b, i, o:2] = m[b, i]",
    )
    for text in (*kept, *others):
        h = Formula(text, inputs=("x", "n"), sizes={"t": STEPS})(x, x.lengths)
        found = [problem.message for problem in model_of(x, Softmax()(Dense(2)(Flatten()(h)))).problems]
        assert any("mixes positions" in one for one in found) == (text in kept), (text, found)
    same = Formula(kept[0], inputs=("x", "n"))(x, x.lengths)
    ends = (Softmax()(Dense(2, name="out")(GlobalAveragePooling1D()(value))) for value in (same, x))
    programs = [lower(model_of(x, end)).predict for end in ends]
    found = [run(program, values_of(program))[program.outputs[0]] for program in programs]
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_what_is_refused() -> None:
    def messages(model: Model) -> list[str]:
        return [problem.message for problem in model.problems]

    x, z = Input(STEPS, 3, lengths=True), Input(STEPS, 3, lengths=True, name="z")
    y = Softmax()(Dense(2)(GlobalMaxPool1D()(x + z)))
    assert messages(model_of([x, z], y)) == ["inputs with different masks meet"]
    wrong = Input(STEPS, 3, lengths=True, mask=True)
    assert messages(model_of(wrong, Softmax()(LSTM(2)(wrong)))) == ["wrong mask"]
    number = Input((), lengths=True, name="n")
    assert messages(model_of(number, Softmax()(Dense(2)(Formula("y[b, o:1] = x[b]")(number))))) == [
        "wrong shape"
    ]
    h = Input(2, name="h")
    assert messages(model_of([x, h], Softmax()(LSTM(2)(x, h)))) == ["wrong initial states"]
    short = MultiHeadAttention(1, 2, causal=True)(x, Input(3, 2, name="memory"))
    assert "causal attention to a memory that is shorter" in messages(model_of(x, Softmax()(short)))
    for layer in (
        MultiHeadAttention(3, 2, key_heads=2),
        MultiHeadAttention(3, 3, rotary=100),
        MultiHeadAttention(3, 2, rotary=1),
    ):
        assert messages(model_of(x, Softmax()(layer(x))))[0].startswith("wrong ")


@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU])
@pytest.mark.parametrize("lengths", [False, True])
def test_a_sequence_goes_on_where_another_ended(kind, lengths: bool) -> None:
    """The last states of the first steps, given to the others as initial ones, are those of all steps."""
    options = {"return_sequences": True, "return_state": True}

    def outputs(steps: int, given: bool) -> Program:
        layer = kind(3, name="rnn", **options)
        x = Input(steps, 2, lengths=lengths, name="x")
        states = [Input(3, name=f"s{k}") for k in range(layer.outputs - 1)] if given else []
        results = layer(x, *states)
        losses = {"of": MeanSquaredError()(results[0])}
        model = Model([x, *states], list(results), losses=losses, optimizer=Adam())
        return lower(model).predict

    whole, first, second = outputs(STEPS, False), outputs(2, False), outputs(STEPS - 2, True)
    given = values_of(whole)
    counts = given.get("x_lengths", np.full(len(LENGTHS), STEPS))
    weights = {name: value for name, value in given.items() if name.startswith("rnn.")}

    def parted(x: np.ndarray, own: np.ndarray, **states) -> dict[str, np.ndarray]:
        return {"x": x, **weights, **states, **({"x_lengths": own} if lengths else {})}

    begun = run(first, parted(given["x"][:, :2], np.minimum(counts, 2)))
    states = {f"s{k}": begun[name] for k, name in enumerate(first.outputs[1:])}
    ended = run(second, parted(given["x"][:, 2:], np.maximum(counts - 2, 0), **states))
    expected = run(whole, given)
    found = np.concatenate([begun[first.outputs[0]], ended[second.outputs[0]]], axis=1)
    np.testing.assert_allclose(found, expected[whole.outputs[0]], rtol=1e-12)
    for own, wanted in zip(second.outputs[1:], whole.outputs[1:], strict=True):
        np.testing.assert_allclose(ended[own], expected[wanted], rtol=1e-12)
