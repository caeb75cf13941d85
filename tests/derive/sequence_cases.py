"""Layers over sequences as rows of the table, each beside what JAX computes when it is told the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from compiler.ir.tensor.program import Tensor
from compiler.language.layers import (
    GRU,
    LSTM,
    Bidirectional,
    MultiHeadAttention,
    PositionalEncoding,
    PositionEmbedding,
    SimpleRNN,
)
from tests.derive.case_builders import layer_case
from tests.derive.cases import Arrays, Case, made_once


@made_once
def sequence_cases() -> Iterator[Case]:
    """Attention with itself and with a memory, masked and not; recurrent layers; positions."""
    for label, layer, *shapes in (
        ("", MultiHeadAttention(2, 3), (4, 5)),
        ("-causal", MultiHeadAttention(2, 3, value_size=2, causal=True), (4, 5)),
        ("-without-bias", MultiHeadAttention(1, 4, use_bias=False), (3, 2)),
        ("-with-memory", MultiHeadAttention(3, 2), (4, 5), (3, 2)),
        ("-of-one-position", MultiHeadAttention(2, 2, causal=True), (1, 3)),
    ):
        yield layer_case(f"attention{label}", layer, attention(layer), *shapes, draw=_draw)
    for name, layer, reference in (("lstm", LSTM, lstm), ("gru", GRU, gru)):
        yield layer_case(name, layer(3), reference(False), (4, 2), draw=_draw)
        yield layer_case(
            f"{name}-sequences", layer(2, return_sequences=True), reference(True), (3, 4), draw=_draw
        )
        yield layer_case(f"{name}-of-one-step", layer(2), reference(False), (1, 3), draw=_draw)
    yield from recurrent_cases()
    yield layer_case("positional_encoding", PositionalEncoding(), sines(10_000), (5, 4), draw=_draw)
    yield layer_case("positional_encoding-odd", PositionalEncoding(base=50.0), sines(50), (3, 5), draw=_draw)
    yield layer_case(
        "position_embedding", PositionEmbedding(), lambda jax, v: v["x"] + v["table"], (5, 4), draw=_draw
    )


def attention(layer: MultiHeadAttention) -> Callable:
    def mixed(jax: ModuleType, v: Arrays):
        np = jax.numpy
        memory = v.get("memory", v["x"])

        def projected(name, of):
            return np.einsum("bti,ink->btnk", of, v[f"{name}_kernel"]) + v.get(f"{name}_bias", 0)

        query, key, value = projected("query", v["x"]), projected("key", memory), projected("value", memory)
        score = np.einsum("btnk,bsnk->bnts", query, key) / np.sqrt(layer.key_size)
        if layer.causal:
            score = np.where(np.tril(np.ones(score.shape[2:], bool)), score, -np.inf)
        heads = np.einsum("bnts,bsnv->btnv", jax.nn.softmax(score), value)
        return np.einsum("btnv,nvo->bto", heads, v["output_kernel"]) + v.get("output_bias", 0)

    return mixed


def lstm(sequences: bool) -> Callable:
    def unrolled(jax: ModuleType, v: Arrays):
        np, sigmoid = jax.numpy, jax.nn.sigmoid
        h = c = np.zeros((v["x"].shape[0], v["kernel"].shape[2]))
        outputs = []
        for t in range(v["x"].shape[1]):
            z = np.einsum("bi,iku->kbu", v["x"][:, t], v["kernel"]) + v["bias"][:, None]
            if t:
                z = z + np.einsum("bv,vku->kbu", h, v["recurrent_kernel"])
            c = sigmoid(z[1]) * c + sigmoid(z[0]) * np.tanh(z[3])
            h = sigmoid(z[2]) * np.tanh(c)
            outputs.append(h)
        return np.stack(outputs, axis=1) if sequences else h

    return unrolled


def gru(sequences: bool) -> Callable:
    def unrolled(jax: ModuleType, v: Arrays):
        np, sigmoid = jax.numpy, jax.nn.sigmoid
        h = np.zeros((v["x"].shape[0], v["kernel"].shape[2]))
        outputs = []
        for t in range(v["x"].shape[1]):
            a = np.einsum("bi,iku->kbu", v["x"][:, t], v["kernel"]) + v["bias"][:, None]
            r = v["recurrent_bias"][:, None]
            if t:
                r = r + np.einsum("bv,vku->kbu", h, v["recurrent_kernel"])
            update, reset = sigmoid(a[0] + r[0]), sigmoid(a[1] + r[1])
            h = update * h + (1 - update) * np.tanh(a[2] + reset * r[2])
            outputs.append(h)
        return np.stack(outputs, axis=1) if sequences else h

    return unrolled


def recurrent_cases() -> Iterator[Case]:
    """The other recurrent layers, and the other ways to go through a sequence."""
    simple, before = SimpleRNN(3), GRU(3, reset_after=False)
    yield layer_case("simple_rnn", simple, last(simple_steps), (4, 2), draw=_draw)
    yield layer_case("gru-reset-before", before, last(reset_before_steps), (4, 2), draw=_draw)
    yield layer_case("gru-reset-before-of-one-step", before, last(reset_before_steps), (1, 2), draw=_draw)
    for sequences in (False, True):
        layer = SimpleRNN(2, sequences, go_backwards=True)
        suffix = "-sequences" if sequences else ""
        yield layer_case(f"simple_rnn-backwards{suffix}", layer, backwards(sequences), (4, 2), draw=_draw)
    for merge in ("concat", "sum", "mul", "ave"):
        both = Bidirectional(SimpleRNN(2, return_sequences=merge != "sum"), merge)
        yield layer_case(f"bidirectional-{merge}", both, bidirectional(merge), (3, 2), draw=_draw)
    both = Bidirectional(LSTM(2))
    yield layer_case("bidirectional-lstm", both, bidirectional_lstm, (3, 2), draw=_draw)


def simple_steps(jax: ModuleType, v: Arrays) -> list:
    np = jax.numpy
    h, outputs = np.zeros((len(v["x"]), v["kernel"].shape[2])), []
    for t in range(v["x"].shape[1]):
        carried = h @ v["recurrent_kernel"][:, 0] if t else 0
        h = np.tanh(v["x"][:, t] @ v["kernel"][:, 0] + v["bias"][0] + carried)
        outputs.append(h)
    return outputs


def reset_before_steps(jax: ModuleType, v: Arrays) -> list:
    np, sigmoid = jax.numpy, jax.nn.sigmoid
    h, outputs = np.zeros((len(v["x"]), v["kernel"].shape[2])), []
    for t in range(v["x"].shape[1]):
        a = np.einsum("bi,iku->kbu", v["x"][:, t], v["kernel"]) + v["bias"][:, None]
        r = v.get("recurrent_kernel", np.zeros((h.shape[1], 3, h.shape[1])))
        update, reset = (sigmoid(a[k] + h @ r[:, k]) for k in (0, 1))
        h = update * h + (1 - update) * np.tanh(a[2] + (reset * h) @ r[:, 2])
        outputs.append(h)
    return outputs


def last(steps: Callable) -> Callable:
    return lambda jax, v: steps(jax, v)[-1]


def backwards(sequences: bool) -> Callable:
    def reference(jax: ModuleType, v: Arrays):
        outputs = simple_steps(jax, {**v, "x": v["x"][:, ::-1]})
        return jax.numpy.stack(outputs, axis=1) if sequences else outputs[-1]

    return reference


def of_way(v: Arrays, way: str) -> dict:
    own = {name.removeprefix(f"{way}_"): value for name, value in v.items() if name.startswith(way)}
    return {**own, "x": v["x"] if way == "forward" else v["x"][:, ::-1]}


def bidirectional(merge: str) -> Callable:
    def reference(jax: ModuleType, v: Arrays):
        np = jax.numpy
        first = np.stack(simple_steps(jax, of_way(v, "forward")), axis=1)
        second = np.stack(simple_steps(jax, of_way(v, "reverse"))[::-1], axis=1)
        if merge == "sum":
            return first[:, -1] + second[:, 0]
        if merge == "concat":
            return np.concatenate([first, second], axis=-1)
        return first * second if merge == "mul" else (first + second) / 2

    return reference


def bidirectional_lstm(jax: ModuleType, v: Arrays):
    ways = [lstm(False)(jax, of_way(v, way)) for way in ("forward", "reverse")]
    return jax.numpy.concatenate(ways, axis=-1)


def sines(base: float) -> Callable:
    def moved(jax: ModuleType, v: Arrays):
        steps, channels = v["x"].shape[1:]
        position, channel = np.arange(steps)[:, None], np.arange(channels)[None]
        angle = position / base ** (2 * (channel // 2) / channels)
        return v["x"] + np.where(channel % 2 == 0, np.sin(angle), np.cos(angle))

    return moved


def _draw(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(scale=0.7, size=shape)
