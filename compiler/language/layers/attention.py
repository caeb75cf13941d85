"""Attention over positions, and what tells positions apart.

Vaswani et al., "Attention is all you need" (NeurIPS 2017), sections 3.2 and 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape

_ATTENTION = """
    query[b, t, n, k] = sum[i](query_kernel[i, n, k] * x[b, t, i]){query_bias}
    key[b, s, n, k] = sum[i](key_kernel[i, n, k] * {memory}[b, s, i]){key_bias}
    value[b, s, n, v] = sum[i](value_kernel[i, n, v] * {memory}[b, s, i]){value_bias}
    score[b, n, t, s] = sum[k](query[b, t, n, k] * key[b, s, n, k] / sqrt(key_size))
    seen[b, n, t, s] = score[b, n, t, s]{masked}
    weight[b, n, t, s] = exp(seen[b, n, t, s]) / sum[r](exp(seen[b, n, t, r]))
    mixed[b, t, n, v] = sum[s](weight[b, n, t, s] * value[b, s, n, v])
    y[b, t, o] = sum[n, v](output_kernel[n, v, o] * mixed[b, t, n, v]){output_bias}
    """
_HIDDEN = -1_000_000_000
"""The score of a position that is not seen: its exponential is 0 in every precision."""


@dataclass(frozen=True)
class MultiHeadAttention(Layer):
    """Each position mixes values of all positions, by weights that are a softmax over them: (t, c) to (t, c).

    Applied to `x` alone it is self-attention; to `x` (t, c) and `memory` (s, d), queries are of x, keys and
    values of memory. Kernels: query (c, heads, key_size), key (d, heads, key_size), value (d, heads,
    value_size), output (heads, value_size, c); value_size is key_size unless given. `causal` lets position t
    see none after t: those weights are exactly 0. As in Keras, scores are divided by sqrt(key_size).
    """

    heads: int
    key_size: int
    value_size: int | None = None
    causal: bool = False
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS

    arity = (1, 2)
    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("heads", self.heads)
        yield from checks.positive_integer("key_size", self.key_size)
        if self.value_size is not None:
            yield from checks.positive_integer("value_size", self.value_size)
        yield from checks.boolean("causal", self.causal)
        yield from checks.boolean("use_bias", self.use_bias)
        yield from checks.initializer("kernel_initializer", self.kernel_initializer)
        yield from checks.initializer("bias_initializer", self.bias_initializer)

    def forward(self, x: Shape, memory: Shape | None = None) -> Forward:
        for shape in (x, memory or x):
            checks.rank(shape, 2, "(positions, channels)")
        if self.causal and memory is not None:
            raise ModelError(
                Problem(
                    "causal attention has one input",
                    expected="MultiHeadAttention(…, causal=True)(x), or causal=False",
                    found="two inputs",
                )
            )
        source = memory or x
        keys, values = (self.heads, self.key_size), (self.heads, self.value_size or self.key_size)
        kernels = {"query": (x[1], *keys), "key": (source[1], *keys), "value": (source[1], *values)}
        kernels["output"] = (*values, x[1])
        parameters = {}
        for name, shape in kernels.items():
            parameters[f"{name}_kernel"] = Parameter(shape, self.kernel_initializer)
            if self.use_bias:
                bias = shape[-1:] if name == "output" else shape[1:]
                parameters[f"{name}_bias"] = Parameter(bias, self.bias_initializer)
        biases = {"query_bias": "n, k", "key_bias": "n, k", "value_bias": "n, v", "output_bias": "o"}
        formula = _ATTENTION.format(
            memory="x" if memory is None else "memory",
            masked=" if s <= t else hidden" if self.causal else "",
            **{name: f" + {name}[{index}]" if self.use_bias else "" for name, index in biases.items()},
        )
        names = ("x",) if memory is None else ("x", "memory")
        constants = {"key_size": self.key_size, "hidden": _HIDDEN}
        return Forward(formula, x, parameters, constants, inputs=names)


@dataclass(frozen=True)
class PositionalEncoding(Layer):
    """(t, c) to the same: adds sines of the position, of wavelengths from 2π to `base` · 2π.

    Channel 2i gains sin(t / base**(2i / channels)), channel 2i + 1 the cosine of the same.
    """

    base: float = 10_000

    def problems(self) -> Iterator[Problem]:
        if not checks.is_number(self.base) or self.base <= 1:
            yield checks.wrong("base", "a number above 1", self.base)

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, "(positions, channels)")
        formula = "y[b, t, c] = x[b, t, c] + sin(t / base**((c - c % 2) / channels) + pi / 2 * (c % 2))"
        return Forward(formula, x, constants={"base": self.base, "channels": x[1]})


@dataclass(frozen=True)
class PositionEmbedding(Layer):
    """(t, c) to the same: adds a vector for each position, learned: table (t, c)."""

    table_initializer: Initializer = DEFAULT_KERNEL

    def problems(self) -> Iterator[Problem]:
        yield from checks.initializer("table_initializer", self.table_initializer)

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, "(positions, channels)")
        formula = "y[b, t, c] = x[b, t, c] + table[t, c]"
        return Forward(formula, x, {"table": Parameter(x, self.table_initializer)})
