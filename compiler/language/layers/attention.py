"""Attention over positions, and what tells positions apart.

Vaswani et al., "Attention is all you need" (NeurIPS 2017), sections 3.2 and 3.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import ModelError, Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.masks import Mask, Masks

_ATTENTION = """
    query[b, t, {n}, k] = sum[i](query_kernel[i, {of_n}, k] * x[b, t, i]){query_bias}
    key[b, s, {m}, k] = sum[i](key_kernel[i, {m}, k] * {memory}[b, s, i]){key_bias}
    value[b, s, {m}, v] = sum[i](value_kernel[i, {m}, v] * {memory}[b, s, i]){value_bias}
    {turned}score[b, {n}, t, s] = sum[k]({query}[b, t, {n}, k] * {key}[b, s, {m}, k] / sqrt(key_size)){nearer}
    seen[b, {n}, t, s] = score[b, {n}, t, s]{hidden}
    {weights}
    mixed[b, t, {n}, v] = sum[s](weight[b, {n}, t, s] * value[b, s, {m}, v])
    y[b, t, o] = sum[{n}, v](output_kernel[{of_n}, v, o] * mixed[b, t, {n}, v]){output_bias}
    """
_WEIGHTS = "weight[b, {n}, t, s] = exp(seen[b, {n}, t, s]) / sum[r](exp(seen[b, {n}, t, r]))"
_WEIGHTS_OF_SOME = """total[b, {n}, t] = sum[r](exp(seen[b, {n}, t, r]){there})
    weight[b, {n}, t, s] = {shown}"""
"""No position that may be seen is a total of 0, by which nothing is divided then."""
_TURNED = """turn_{of}[{t}:{extent}, k:key_size] = ({place}) / base**((k % half) / half)
    turned_{of}[b, {t}, {heads}, k] += {of}[b, {t}, {heads}, k] * cos(turn_{of}[{t}, k])
    turned_{of}[b, {t}, {heads}, k] += (
        {of}[b, {t}, {heads}, k - half] * sin(turn_{of}[{t}, k]) if k >= half
        else -{of}[b, {t}, {heads}, k + half] * sin(turn_{of}[{t}, k])
    )
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

    `causal` with a memory of as many positions or more: those of x are its last ones, as with kept keys.
    `key_heads`, a divisor of heads: so many heads of keys and values, each for as many of queries one after
    the other (Ainslie et al., "GQA", EMNLP 2023). `rotary`, a base such as 10_000: queries and keys are
    turned by their positions, channel k with k + key_size / 2 (Su et al., "RoFormer", 2021). `alibi`: head n
    of N subtracts 2**(-8 (n + 1) / N) times the distance from its scores (Press et al., ICLR 2022). With
    `attention_mask` the last input says what may be seen, (t, s), 1 or 0, such as Input(t, s, dtype="bool").

    Of x or a memory with a mask, only what is real is seen. Where nothing may be seen all weights are 0: the
    result is the output's bias.
    """

    heads: int
    key_size: int
    value_size: int | None = None
    causal: bool = False
    use_bias: bool = True
    kernel_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS
    key_heads: int | None = None
    rotary: float | None = None
    alibi: bool = False
    attention_mask: bool = False

    any_number = True

    @property
    def arity(self) -> tuple[int, int | None]:
        return (2, 3) if self.attention_mask is True else (1, 2)

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("heads", self.heads)
        yield from checks.positive_integer("key_size", self.key_size)
        if self.value_size is not None:
            yield from checks.positive_integer("value_size", self.value_size)
        for name in ("causal", "use_bias", "alibi", "attention_mask"):
            yield from checks.boolean(name, getattr(self, name))
        yield from checks.initializer("kernel_initializer", self.kernel_initializer)
        yield from checks.initializer("bias_initializer", self.bias_initializer)
        if self.key_heads is not None:
            wrong = list(checks.positive_integer("key_heads", self.key_heads))
            yield from wrong
            if not wrong and checks.is_integer(self.heads) and self.heads % self.key_heads:
                yield checks.wrong("key_heads", f"a divisor of the {self.heads} heads", self.key_heads)
        if self.rotary is not None:
            if not checks.is_number(self.rotary) or self.rotary <= 1:
                yield checks.wrong("rotary", "a number above 1, such as 10_000", self.rotary)
            elif checks.is_integer(self.key_size) and self.key_size % 2:
                yield checks.wrong("key_size", "an even number, with rotary positions", self.key_size)

    def forward(self, *shapes: Shape) -> Forward:
        return self._forward(shapes, None)

    def masked(self, masks: Masks, *shapes: Shape) -> Forward:
        alone = len(shapes) == self.arity[0]
        return self._forward(shapes, masks[0 if alone else 1])

    def _forward(self, shapes: tuple[Shape, ...], mask: Mask | None) -> Forward:
        """With the mask of what is seen."""
        x, *others = shapes
        memory = others[0] if len(shapes) == self.arity[1] else None
        source = x if memory is None else memory
        for shape in (x, source):
            checks.rank(shape, 2, "(positions, channels)")
        if self.causal and source[0] < x[0]:
            expected = f"a memory of at least {x[0]} positions, of which x are the last"
            message = "causal attention to a memory that is shorter"
            raise ModelError(Problem(message, expected=expected, found=str(source[0])))
        allowed = others[-1] if self.attention_mask else None
        if allowed is not None and allowed != (x[0], source[0]):
            expected = f"({x[0]}, {source[0]}), by positions of queries and of keys"
            raise ModelError(
                Problem("wrong shape of the attention mask", expected=expected, found=str(allowed))
            )
        names = [name for name, there in (("x", x), ("memory", memory), ("allowed", allowed)) if there]
        names += [mask.name] if mask is not None else []
        constants: dict[str, int | float] = {"key_size": self.key_size, "hidden": _HIDDEN}
        if self.rotary is not None:
            constants |= {"base": self.rotary, "half": self.key_size // 2}
        sizes = {}
        if self.key_heads is not None:
            sizes = {"m": self.key_heads, "g": self.heads // self.key_heads}
        text = self._text(x, source, memory is None, mask)
        parameters = self._parameters(x, source)
        return Forward(text, x, parameters, constants, sizes=sizes, inputs=tuple(names), keeps={"y": 0})

    def _parameters(self, x: Shape, source: Shape) -> dict[str, Parameter]:
        value_size = self.value_size or self.key_size
        key_heads = self.heads if self.key_heads is None else self.key_heads
        # What is summed over, and what a bias has an element for.
        shapes = {
            "query": (x[1:2], (self.heads, self.key_size)),
            "key": (source[1:2], (key_heads, self.key_size)),
            "value": (source[1:2], (key_heads, value_size)),
            "output": ((self.heads, value_size), x[1:2]),
        }
        parameters = {}
        for name, (summed, bias) in shapes.items():
            parameters[f"{name}_kernel"] = Parameter((*summed, *bias), self.kernel_initializer)
            if self.use_bias:
                parameters[f"{name}_bias"] = Parameter(bias, self.bias_initializer)
        return parameters

    def _text(self, x: Shape, source: Shape, alone: bool, mask: Mask | None) -> str:
        """The formula; the place of a query among the keys is that of the last ones, as far as it matters."""
        grouped = self.key_heads is not None
        heads = (
            {"n": "m, g", "of_n": "ravel(m, g)", "m": "m"}
            if grouped
            else dict.fromkeys(("n", "of_n", "m"), "n")
        )
        biases = {
            "query_bias": f"{heads['of_n']}, k",
            "key_bias": f"{heads['m']}, k",
            "value_bias": f"{heads['m']}, v",
            "output_bias": "o",
        }
        later = source[0] - x[0]
        before = f"t + {later}" if later else "t"
        nearer = ""
        if self.alibi:
            number = "n" if self.key_heads is None else f"m * {self.heads // self.key_heads} + g"
            nearer = f" - abs({before} - s) / 2**(8 * ({number} + 1) / {self.heads})"
        turned = ""
        if self.rotary is not None:
            turned = _TURNED.format(of="query", t="t", extent=x[0], place=before, heads=heads["n"])
            turned += _TURNED.format(of="key", t="s", extent=source[0], place="s", heads=heads["m"])
        hidden, weights = self._seen(before, mask)
        return _ATTENTION.format(
            **heads,
            **{name: f" + {name}[{index}]" if self.use_bias else "" for name, index in biases.items()},
            memory="x" if alone else "memory",
            query="turned_query" if turned else "query",
            key="turned_key" if turned else "key",
            turned=turned,
            nearer=nearer,
            hidden=hidden,
            weights=weights.replace("{n}", heads["n"]),
        )

    def _seen(self, before: str, mask: Mask | None) -> tuple[str, str]:
        """What stands behind a score that may be hidden, and the lines of the weights."""
        causal = f"s <= {before}" if self.causal else ""
        if mask is None and not self.attention_mask:
            return (f" if {causal} else hidden" if causal else ""), _WEIGHTS
        # What lengths say is said by bounds of loops, what truth values say point by point.
        counted = [causal] if causal else []
        told = ["allowed[b, t, s] > 0.5"] if self.attention_mask else []
        if mask is not None:
            (counted if mask.prefix else told).append(mask.real("s"))
        shown = "exp(seen[b, {n}, t, s]) / total[b, {n}, t]"
        there = f" if {' and '.join(counted)} else 0" if counted else ""
        shown += f" if {' and '.join(told)} else 0" if told else ""
        shown = f"({shown}){there}" if told else f"{shown}{there}"
        weights = _WEIGHTS_OF_SOME.replace("{shown}", shown).replace("{there}", _of(there, "r"))
        return (f" if {' and '.join(told)} else hidden" if told else ""), weights


def _of(condition: str, position: str) -> str:
    """A condition on position s as one on another."""
    return re.sub(r"\bs\b", position, condition)


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
