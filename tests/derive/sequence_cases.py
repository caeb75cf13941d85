"""Layers over sequences as rows of the table, each beside what JAX computes when it is told the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from compiler.ir.tensor.program import Tensor
from compiler.language.layers import GRU, LSTM, MultiHeadAttention, PositionalEncoding, PositionEmbedding
from tests.derive.case_builders import layer_case
from tests.derive.cases import Arrays, Case


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


def sines(base: float) -> Callable:
    def moved(jax: ModuleType, v: Arrays):
        steps, channels = v["x"].shape[1:]
        position, channel = np.arange(steps)[:, None], np.arange(channels)[None]
        angle = position / base ** (2 * (channel // 2) / channels)
        return v["x"] + np.where(channel % 2 == 0, np.sin(angle), np.cos(angle))

    return moved


def _draw(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(scale=0.7, size=shape)
