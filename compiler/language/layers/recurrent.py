"""Layers that go through a sequence step by step, unrolled in time.

Hochreiter and Schmidhuber, "Long short-term memory" (Neural Computation, 1997), with the forget gate of
Gers et al. (2000); Cho et al., "Learning phrase representations using RNN encoder-decoder" (EMNLP 2014). A
step is a few stages of the formula; what does not wait for the step before, the products of all inputs, is
one stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from compiler.errors import Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape

_INPUTS = "input[b, t, k, u] = sum[i](kernel[i, k, u] * x[b, t, i]) + bias[k, u]"

_LSTM_FIRST = """
    z0[b, k, u] = input[b, 0, k, u]
    """
_LSTM_NEXT = """
    carried{t}[b, k, u] = sum[v](recurrent_kernel[v, k, u] * h{p}[b, v])
    z{t}[b, k, u] = input[b, {t}, k, u] + carried{t}[b, k, u]
    """
_LSTM_STEP = """
    gate{t}[b, k:3, u] = 1 / (1 + exp(-z{t}[b, k, u]))
    new{t}[b, u] = tanh(z{t}[b, 3, u])
    c{t}[b, u] = gate{t}[b, 0, u] * new{t}[b, u]{kept}
    bounded{t}[b, u] = tanh(c{t}[b, u])
    h{t}[b, u] = gate{t}[b, 2, u] * bounded{t}[b, u]
    """
_GRU_FIRST = """
    gate0[b, k:2, u] = 1 / (1 + exp(-input[b, 0, k, u] - recurrent_bias[k, u]))
    new0[b, u] = tanh(input[b, 0, 2, u] + gate0[b, 1, u] * recurrent_bias[2, u])
    h0[b, u] = (1 - gate0[b, 0, u]) * new0[b, u]
    """
_GRU_NEXT = """
    z{t}[b, k, u] = sum[v](recurrent_kernel[v, k, u] * h{p}[b, v]) + recurrent_bias[k, u]
    gate{t}[b, k:2, u] = 1 / (1 + exp(-input[b, {t}, k, u] - z{t}[b, k, u]))
    new{t}[b, u] = tanh(input[b, {t}, 2, u] + gate{t}[b, 1, u] * z{t}[b, 2, u])
    h{t}[b, u] = gate{t}[b, 0, u] * h{p}[b, u] + (1 - gate{t}[b, 0, u]) * new{t}[b, u]
    """


@dataclass(frozen=True)
class _Recurrent(Layer):
    """What LSTM and GRU share: their arguments, and one text for each step."""

    units: int
    return_sequences: bool = False
    kernel_initializer: Initializer = DEFAULT_KERNEL
    recurrent_initializer: Initializer = DEFAULT_KERNEL

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("units", self.units)
        yield from checks.boolean("return_sequences", self.return_sequences)
        yield from checks.initializer("kernel_initializer", self.kernel_initializer)
        yield from checks.initializer("recurrent_initializer", self.recurrent_initializer)

    def unrolled(self, x: Shape, gates: int, step: str, first: str, biases: dict[str, Parameter]) -> Forward:
        """The formula of all steps: `first`, then `step` with {t} for its number, {p} for the one before."""
        steps = [_INPUTS, *((step if t else first).format(t=t, p=t - 1) for t in range(x[0]))]
        if self.return_sequences:
            steps += [f"y[b, {t}, u] += h{t}[b, u]" for t in range(x[0])]
        else:
            steps.append(f"y[b, u] = h{x[0] - 1}[b, u]")
        parameters = {"kernel": Parameter((x[1], gates, self.units), self.kernel_initializer)}
        if x[0] > 1:
            recurrent = (self.units, gates, self.units)
            parameters["recurrent_kernel"] = Parameter(recurrent, self.recurrent_initializer)
        shape = (x[0], self.units) if self.return_sequences else (self.units,)
        return Forward("\n".join(map(dedent, steps)), shape, parameters | biases)


@dataclass(frozen=True)
class ForgetBias(Initializer):
    """(4, units): 1 for the forget gate, which is the second, else 0 (Jozefowicz et al., ICML 2015)."""

    formula = "value[k, u] = 1 if k == 1 else 0"


@dataclass(frozen=True)
class LSTM(_Recurrent):
    """(t, c) to (units,), the output of the last step, or with `return_sequences` to (t, units), of all.

    Kernel (c, 4, units), recurrent kernel (units, 4, units), bias (4, units), for the gates input, forget and
    output and the new cell, in this order (Keras has the output gate last). Cell and output start at 0. Every
    step becomes stages of its own, so compiling takes time in proportion to t.
    """

    bias_initializer: Initializer = ForgetBias()

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from checks.initializer("bias_initializer", self.bias_initializer)

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, "(steps, channels)")
        first, step = _LSTM_FIRST + _LSTM_STEP, _LSTM_NEXT + _LSTM_STEP
        kept = " + gate{t}[b, 1, u] * c{p}[b, u]"
        first, step = first.replace("{kept}", ""), step.replace("{kept}", kept)
        return self.unrolled(x, 4, step, first, {"bias": Parameter((4, self.units), self.bias_initializer)})


@dataclass(frozen=True)
class GRU(_Recurrent):
    """(t, c) to (units,), the output of the last step, or with `return_sequences` to (t, units), of all.

    Gates are in the order of Keras: update, reset, new; the reset gate acts after the product with the
    recurrent kernel (`reset_after=True` of Keras, and what cuDNN and PyTorch compute). Kernel (c, 3, units),
    recurrent kernel (units, 3, units), bias and recurrent bias (3, units). The output starts at 0. Every
    step becomes stages of its own, so compiling takes time in proportion to t.
    """

    bias_initializer: Initializer = DEFAULT_BIAS

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from checks.initializer("bias_initializer", self.bias_initializer)

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, "(steps, channels)")
        bias = Parameter((3, self.units), self.bias_initializer)
        return self.unrolled(x, 3, _GRU_NEXT, _GRU_FIRST, {"bias": bias, "recurrent_bias": bias})
