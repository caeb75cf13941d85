"""Layers over sequences of which not all is real, each beside what JAX computes of the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType

import numpy as np

from compiler.ir.tensor.program import Program, Tensor
from compiler.language.layers import (
    GRU,
    LSTM,
    Bidirectional,
    GlobalAveragePooling1D,
    GlobalMaxPool1D,
    MultiHeadAttention,
    SimpleRNN,
    Softmax,
)
from compiler.language.layers.base import Layer
from compiler.language.layers.masks import Mask
from tests.derive.cases import Arrays, Case, layer_program, made_once

BATCH = 4
LENGTHS, TRUTHS = (Mask(kind, "said") for kind in ("lengths", "truths"))


@made_once
def mask_cases() -> Iterator[Case]:
    for label, mask in (("lengths", LENGTHS), ("truths", TRUTHS)):
        yield _case(f"mean-{label}", GlobalAveragePooling1D(), _mean, (5, 3), masks=(mask,))
        yield _case(f"max-{label}", GlobalMaxPool1D(), _max, (5, 3), masks=(mask,))
        yield _case(f"softmax-{label}", Softmax(), _softmax, (7,), masks=(mask,))
        yield _case(f"simple_rnn-{label}", SimpleRNN(3), _simple_rnn(1), (5, 2), masks=(mask,))
        both = Bidirectional(SimpleRNN(2, return_sequences=True))
        yield _case(f"bidirectional-{label}", both, _bidirectional, (4, 3), masks=(mask,))
        attention = MultiHeadAttention(2, 3)
        yield _case(f"attention-{label}", attention, attention_of(attention), (5, 4), masks=(mask,))
        causal = MultiHeadAttention(1, 3, causal=True)
        yield _case(f"attention-causal-{label}", causal, attention_of(causal), (3, 2), masks=(mask,))
    yield _case("lstm-lengths", LSTM(3), _lstm(False), (5, 2), masks=(LENGTHS,))
    yield _case("lstm-of-one-step", LSTM(3), _lstm(False), (1, 2), masks=(LENGTHS,))
    yield _case("lstm-states", LSTM(3), _lstm(True), (4, 2), (3,), (3,), masks=(LENGTHS, None, None))
    yield _case("lstm-states-without-mask", LSTM(2), _lstm(True), (3, 3), (2,), (2,))
    yield _case("lstm-states-of-one-step", LSTM(2), _lstm(True), (1, 3), (2,), (2,))
    yield _case("gru-state", GRU(3), _gru, (4, 2), (3,), masks=(TRUTHS, None))
    back = SimpleRNN(3, return_sequences=True, go_backwards=True)
    yield _case("backwards-from-the-last-real", back, _backwards, (5, 2), masks=(LENGTHS,))
    yield from attention_cases()


def attention_cases() -> Iterator[Case]:
    """Memories, masks that are given, heads that share keys, and positions."""
    for label, layer, masks, *shapes in (
        ("memory", MultiHeadAttention(2, 3), (None, LENGTHS), (3, 4), (5, 3)),
        ("causal-memory", MultiHeadAttention(2, 3, causal=True), (), (3, 4), (5, 3)),
        ("given", MultiHeadAttention(2, 3, attention_mask=True), (), (4, 3), (4, 4)),
        (
            "given-memory",
            MultiHeadAttention(1, 3, attention_mask=True),
            (None, LENGTHS, None),
            (3, 2),
            (5, 4),
            (3, 5),
        ),
        ("grouped", MultiHeadAttention(6, 3, key_heads=2, value_size=2), (LENGTHS,), (5, 4)),
        ("one-key-head", MultiHeadAttention(3, 2, key_heads=1, use_bias=False, causal=True), (), (4, 3)),
        ("rotary", MultiHeadAttention(2, 6, rotary=100), (), (5, 3)),
        ("rotary-causal-memory", MultiHeadAttention(1, 4, rotary=50, causal=True), (), (3, 3), (7, 2)),
        ("alibi", MultiHeadAttention(3, 2, alibi=True), (LENGTHS,), (5, 3)),
        ("all", MultiHeadAttention(4, 4, key_heads=2, rotary=10, alibi=True, causal=True), (TRUTHS,), (5, 3)),
    ):
        yield _case(f"attention-{label}", layer, attention_of(layer), *shapes, masks=masks)


def _case(name: str, layer: Layer, reference: Callable, *shapes: tuple[int, ...], masks=()) -> Case:
    @cache
    def build() -> Program:
        return layer_program(layer, *shapes, masks=masks or (None,) * len(shapes))

    return Case(name, build, "y", None, reference, _draw, BATCH, Masks(build))


@dataclass(frozen=True)
class Masks(Mapping[str, np.ndarray]):
    """What the masks of a program say, by name. They are known when it is built, which takes its time."""

    build: Callable[[], Program]

    @cached_property
    def said(self) -> dict[str, np.ndarray]:
        names = ("allowed", "mask", "mask1", "mask2")
        return {t.name: _said(t) for t in self.build().inputs if t.kind == "input" and t.name in names}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.said[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.said)

    def __len__(self) -> int:
        return len(self.said)


def _said(tensor: Tensor) -> np.ndarray:
    """All, one, nothing and two of the positions, at the beginning or elsewhere."""
    if tensor.dtype == "index":
        return np.array([tensor.limit - 1, 1, 0, min(2, tensor.limit - 1)])
    found = np.zeros((BATCH, *tensor.shape[1:]))
    found[0], found[1, ..., -1], found[3, ..., ::2] = 1, 1, 1
    return found


def _draw(rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(scale=0.7, size=shape)


def real(v: Arrays, name: str = "mask", steps: int | None = None) -> np.ndarray:
    """Which positions are real, (batch, steps)."""
    mask = v.get(name, v.get(f"{name}1"))
    steps = v["x"].shape[1] if steps is None else steps
    if mask is None:
        return np.ones((len(v["x"]), steps), bool)
    mask = np.asarray(mask)
    return mask > 0.5 if mask.ndim == 2 else np.arange(steps) < mask[:, None]


def _mean(jax: ModuleType, v: Arrays):
    there = real(v)[..., None]
    return (v["x"] * there).sum(1) / np.maximum(there.sum(1), 1)


def _max(jax: ModuleType, v: Arrays):
    there = real(v)
    rows = [v["x"][b][there[b]].max(0) if there[b].any() else v["x"][b, 0] * 0 for b in range(len(there))]
    return jax.numpy.stack(rows)


def _softmax(jax: ModuleType, v: Arrays):
    weights = jax.numpy.exp(v["x"]) * real(v)
    return weights / _not_zero(jax, weights.sum(-1, keepdims=True))


def _not_zero(jax: ModuleType, total):
    """A sum of weights, 1 where there are none."""
    return jax.numpy.where(total > 0, total, 1)


def attention_of(layer: MultiHeadAttention) -> Callable:
    def mixed(jax: ModuleType, v: Arrays):
        np = jax.numpy
        x, memory = v["x"], v.get("memory", v["x"])
        shift = memory.shape[1] - x.shape[1]

        def projected(name, of):
            return np.einsum("bti,ink->btnk", of, v[f"{name}_kernel"]) + v.get(f"{name}_bias", 0)

        def turned(of, first):
            if layer.rotary is None:
                return of
            half = of.shape[-1] // 2
            turn = (np.arange(of.shape[1]) + first)[:, None] * layer.rotary ** (-np.arange(half) / half)
            turns = np.exp(1j * turn)[:, None]
            pairs = (of[..., :half] + 1j * of[..., half:]) * turns
            return np.concatenate([pairs.real, pairs.imag], axis=-1)

        query, key, value = projected("query", x), projected("key", memory), projected("value", memory)
        query, key = turned(query, shift), turned(key, 0)
        each = layer.heads // (layer.key_heads or layer.heads)
        key, value = (np.repeat(of, each, axis=2) for of in (key, value))
        score = np.einsum("btnk,bsnk->bnts", query, key) / np.sqrt(layer.key_size)
        distance = np.arange(x.shape[1])[:, None] + shift - np.arange(memory.shape[1])
        if layer.alibi:
            slopes = 2.0 ** (-8 * np.arange(1, layer.heads + 1) / layer.heads)
            score = score - slopes[:, None, None] * np.abs(distance)
        there = real(v, "mask2" if "memory" in v else "mask", memory.shape[1])[:, None, None]
        there = there & (distance >= 0 if layer.causal else True)
        there = there & (v["allowed"][:, None] > 0.5 if "allowed" in v else True)
        weights = np.exp(score) * there
        weights = weights / _not_zero(jax, weights.sum(-1, keepdims=True))
        heads = np.einsum("bnts,bsnv->btnv", weights, value)
        return np.einsum("btnv,nvo->bto", heads, v["output_kernel"]) + v.get("output_bias", 0)

    return mixed


def _steps(jax: ModuleType, v: Arrays, step: Callable, *states):
    """The states after each step that is real, or as they were."""
    there, outputs = real(v), []
    for t in range(v["x"].shape[1]):
        made = step(v["x"][:, t], *states)
        keep = there[:, t, None]
        states = tuple(jax.numpy.where(keep, new, old) for new, old in zip(made, states, strict=True))
        outputs.append(states[0])
    return outputs


def _simple(jax: ModuleType, v: Arrays) -> list:
    kernel, carried = v["kernel"][:, 0], v["recurrent_kernel"][:, 0]
    zero = np.zeros((len(v["x"]), kernel.shape[1]))
    return _steps(jax, v, lambda x, h: (jax.numpy.tanh(x @ kernel + h @ carried + v["bias"][0]),), zero)


def _simple_rnn(_: int) -> Callable:
    return lambda jax, v: _simple(jax, v)[-1]


def _bidirectional(jax: ModuleType, v: Arrays):
    ways = []
    for way, step in (("forward", 1), ("reverse", -1)):
        own = {name.removeprefix(f"{way}_"): value for name, value in v.items() if name.startswith(way)}
        own |= {"x": v["x"][:, ::step], "mask": real(v)[:, ::step].astype(float)}
        ways.append(jax.numpy.stack(_simple(jax, own)[::step], axis=1))
    return jax.numpy.concatenate(ways, axis=-1)


def _backwards(jax: ModuleType, v: Arrays):
    """Each sequence by itself, without what fills it up."""
    rows = []
    for b, length in enumerate(v["mask"]):
        own = {**v, "x": v["x"][b : b + 1, :length][:, ::-1], "mask": np.asarray([length])}
        made = _simple(jax, own)
        made += [jax.numpy.zeros((1, v["kernel"].shape[2]))] * (v["x"].shape[1] - length)
        rows.append(jax.numpy.stack(made, axis=1)[0])
    return jax.numpy.stack(rows)


def _lstm(given: bool) -> Callable:
    def reference(jax: ModuleType, v: Arrays):
        sigmoid, tanh = jax.nn.sigmoid, jax.numpy.tanh
        units = v["kernel"].shape[2]
        carried = v.get("recurrent_kernel", np.zeros((units, 4, units)))

        def step(x, h, c):
            z = jax.numpy.einsum("bi,iku->kbu", x, v["kernel"]) + v["bias"][:, None]
            z = z + jax.numpy.einsum("bv,vku->kbu", h, carried)
            c = sigmoid(z[1]) * c + sigmoid(z[0]) * tanh(z[3])
            return sigmoid(z[2]) * tanh(c), c

        zero = np.zeros((len(v["x"]), units))
        states = (v["initial_h"], v["initial_c"]) if given else (zero, zero)
        return _steps(jax, v, step, *states)[-1]

    return reference


def _gru(jax: ModuleType, v: Arrays):
    sigmoid, tanh = jax.nn.sigmoid, jax.numpy.tanh

    def step(x, h):
        a = jax.numpy.einsum("bi,iku->kbu", x, v["kernel"]) + v["bias"][:, None]
        r = jax.numpy.einsum("bv,vku->kbu", h, v["recurrent_kernel"]) + v["recurrent_bias"][:, None]
        update, reset = sigmoid(a[0] + r[0]), sigmoid(a[1] + r[1])
        return (update * h + (1 - update) * tanh(a[2] + reset * r[2]),)

    return _steps(jax, v, step, v["initial_h"])[-1]
