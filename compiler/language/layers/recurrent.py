"""Layers that go through a sequence step by step: each is the equations of one step.

Elman, "Finding structure in time" (Cognitive Science, 1990); Hochreiter and Schmidhuber, "Long short-term
memory" (Neural Computation, 1997), with the forget gate of Gers et al. (2000); Cho et al., "Learning phrase
representations using RNN encoder-decoder" (EMNLP 2014).

    input[b, t, …]      the products of all inputs, which wait for nothing
    carried[b, t, …]    the products with the output of the step before, 0 at the first
    y[b, t, u]          the output of the step
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from compiler.errors import ModelError, Problem
from compiler.language.initializers import DEFAULT_BIAS, DEFAULT_KERNEL, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Shape
from compiler.language.layers.masks import Mask, Masks


@dataclass(frozen=True)
class Equations:
    """What a step computes, of `input` and `carried`, and what it needs for that."""

    text: str
    """`{before}` and `{first}` are the step before and whether there is one: `t - 1`, `t >= 1`."""
    gates: int
    states: tuple[str, ...]
    """The output first."""
    parameters: dict[str, Parameter]
    apart: str = ""
    """The carried products where they are not one of all gates."""


_BEFORE = re.compile(r"(\w+)\[b, \{before\}, (\w)\](\)?) if \{first\} else 0")
"""A state of the step before, 0 at the first."""
_CARRIED = "carried[b, t, k, u] = sum[v](recurrent_kernel[v, k, u] * h[b, {before}, v]) if {first} else 0"
_SIMPLE = "h[b, t, u] = tanh(input[b, t, 0, u] + carried[b, t, 0, u])"
_LSTM = """
    z[b, t, k, u] = input[b, t, k, u] + carried[b, t, k, u]
    gate[b, t, k:3, u] = 1 / (1 + exp(-z[b, t, k, u]))
    new[b, t, u] = tanh(z[b, t, 3, u])
    c[b, t, u] += gate[b, t, 0, u] * new[b, t, u]
    c[b, t, u] += gate[b, t, 1, u] * c[b, {before}, u] if {first} else 0
    bounded[b, t, u] = tanh(c[b, t, u])
    h[b, t, u] = gate[b, t, 2, u] * bounded[b, t, u]
    """
_GRU_AFTER = """
    z[b, t, k, u] = carried[b, t, k, u] + recurrent_bias[k, u]
    gate[b, t, k:2, u] = 1 / (1 + exp(-input[b, t, k, u] - z[b, t, k, u]))
    new[b, t, u] = tanh(input[b, t, 2, u] + gate[b, t, 1, u] * z[b, t, 2, u])
    """
_GRU_BEFORE = """
    gate[b, t, k:2, u] = 1 / (1 + exp(-input[b, t, k, u] - carried[b, t, k, u]))
    new[b, t, u] = tanh(input[b, t, 2, u] + chosen[b, t, u])
    """
_CARRIED_BEFORE = """
    carried[b, t, k:2, u] = sum[v](recurrent_kernel[v, k, u] * h[b, {before}, v]) if {first} else 0
    kept[b, t, u] = gate[b, t, 1, u] * h[b, {before}, u] if {first} else 0
    chosen[b, t, u] = sum[v](recurrent_kernel[v, 2, u] * kept[b, t, v])
    """
_GRU_OUTPUT = """
    h[b, t, u] += (1 - gate[b, t, 0, u]) * new[b, t, u]
    h[b, t, u] += gate[b, t, 0, u] * h[b, {before}, u] if {first} else 0
    """


@dataclass(frozen=True)
class Recurrent(Layer):
    """What recurrent layers share: their arguments, and how the equations of a step become a formula.

    Applied to `x` and a value (units,) for each state, they begin with these, not with 0: `LSTM(8)(x, h, c)`.
    Steps that the mask of x says are not real are passed over: states stay, so that the last output is that
    of the last real step, and one that goes backwards begins there; of no real step it is the initial state.
    With `stateful` the last states of a batch are the first of the next, example by example, in training,
    evaluation and prediction; they start at 0, and nothing is differentiated by what is kept.
    Backwards over a sequence with lengths, outputs come from the last real step on, and 0 behind them.
    """

    units: int
    return_sequences: bool = False
    kernel_initializer: Initializer = DEFAULT_KERNEL
    recurrent_initializer: Initializer = DEFAULT_KERNEL
    bias_initializer: Initializer = DEFAULT_BIAS
    go_backwards: bool = False
    return_state: bool = False
    stateful: bool = False

    any_number = True

    def problems(self) -> Iterator[Problem]:
        yield from checks.positive_integer("units", self.units)
        for name in ("return_sequences", "go_backwards", "return_state", "stateful"):
            yield from checks.boolean(name, getattr(self, name))
        for name in ("kernel_initializer", "recurrent_initializer", "bias_initializer"):
            yield from checks.initializer(name, getattr(self, name))

    def equations(self) -> Equations:
        """What a step computes."""
        raise NotImplementedError

    @property
    def outputs(self) -> int:
        return 1 + len(self.equations().states) if self.return_state else 1

    @property
    def arity(self) -> tuple[int, int | None]:
        return 1, 1 + len(self.equations().states)

    def forward(self, *shapes: Shape) -> Forward:
        return self._forward(shapes, None)

    def masked(self, masks: Masks, *shapes: Shape) -> Forward:
        return self._forward(shapes, masks[0])

    def _forward(self, shapes: tuple[Shape, ...], mask: Mask | None) -> Forward:
        x, *initial = shapes
        checks.rank(x, 2, "(steps, channels)")
        states = self.equations().states
        if initial and [*initial] != [(self.units,)] * len(states):
            expected = f"{len(states)} of shape ({self.units},)"
            raise ModelError(Problem("wrong initial states", expected=expected, found=repr(tuple(initial))))
        names = [f"y{k + 1}" for k in range(self.outputs)] if self.return_state else ["y"]
        if initial and self.stateful:
            advice = "stateful=False, or no initial states"
            raise ModelError(Problem("initial states are given to a layer that keeps its own", advice=advice))
        last = 0 if self.go_backwards else x[0] - 1
        text = self.text(x, bool(initial), mask)
        lines = [
            f"{name}[b, u] = {state}[b, {last}, u]" for name, state in zip(names[1:], states, strict=False)
        ]
        lines += [f"new_initial_{state}[b, u] = {state}[b, {last}, u]" for state in states if self.stateful]
        if not self.return_sequences:
            lines.append(f"{names[0]}[b, u] = h[b, {last}, u]")
        elif self.go_backwards and mask is not None and mask.prefix:
            # As they are computed: from the last real step on.
            place = f"{mask.name}[b] - 1 - t"
            lines.append(f"{names[0]}[b, t, u] = h[b, {place}, u] if {mask.real('t')} else 0")
        elif self.go_backwards:
            lines.append(f"{names[0]}[b, t, u] = h[b, {x[0] - 1} - t, u]")
        else:
            # The output is the result itself, and not copied.
            text, *lines = (re.sub(r"\bh\[b", f"{names[0]}[b", line) for line in (text, *lines))
        shape = (x[0], self.units) if self.return_sequences else (self.units,)
        results = (shape, *((self.units,) for _ in names[1:])) if self.return_state else shape
        inputs = ["x", *(f"initial_{state}" for state in states[: len(initial)])]
        inputs += [mask.name] if mask is not None else []
        told = self.return_sequences and (not self.go_backwards or (mask is not None and mask.prefix))
        return Forward(
            "\n".join([text, *lines]),
            results,
            self.parameters_of(x, bool(initial)),
            inputs=tuple(inputs) if len(inputs) > 1 else (),
            example_state=self.kept,
            keeps={names[0]: 0} if told else {},
        )

    @property
    def kept(self) -> dict[str, Shape]:
        """What it keeps of each example from one batch to the next."""
        states = self.equations().states if self.stateful else ()
        return {f"initial_{state}": (self.units,) for state in states}

    def parameters_of(self, x: Shape, initial: bool = False) -> dict[str, Parameter]:
        """All parameters for inputs of a shape; of one step, and no state before it, nothing is carried."""
        equations, initial = self.equations(), initial or self.stateful
        parameters = {"kernel": Parameter((x[1], equations.gates, self.units), self.kernel_initializer)}
        if x[0] > 1 or initial:
            recurrent = (self.units, equations.gates, self.units)
            parameters["recurrent_kernel"] = Parameter(recurrent, self.recurrent_initializer)
        return parameters | equations.parameters

    def text(self, x: Shape, initial: bool = False, mask: Mask | None = None) -> str:
        """The equations of all steps, for inputs of a shape; `initial` where states are given."""
        equations, initial = self.equations(), initial or self.stateful
        before, first = ("t + 1", f"t < {x[0] - 1}") if self.go_backwards else ("t - 1", "t >= 1")
        carried = equations.apart or _CARRIED
        if x[0] == 1 and not initial:
            carried = "carried[b, t, k, u] = 0 * input[b, t, k, u]"
            carried += "\nchosen[b, t, u] = 0 * input[b, t, 2, u]" if equations.apart else ""
        lines = [
            "input[b, t, k, u] = sum[i](kernel[i, k, u] * x[b, t, i]) + bias[k, u]",
            dedent(carried).strip(),
            dedent(equations.text).strip(),
        ]
        if initial:
            lines = [_BEFORE.sub(r"before_\1[b, t, \2]\3", line) for line in lines]
            lines += [
                f"before_{state}[b, t, u] = {state}[b, {{before}}, u] if {{first}} else initial_{state}[b, u]"
                for state in equations.states
            ]
        if mask is not None:
            lines = [_over_real(line, equations.states) for line in lines]
            lines += [_passed_over(state, mask, initial) for state in equations.states]
        return "\n".join(lines).replace("{before}", before).replace("{first}", first)


def _over_real(text: str, states: tuple[str, ...]) -> str:
    """The equations of what a step would make of the states, were it real."""
    for state in states:
        text = re.sub(rf"\b{state}\[b, t,", f"next_{state}[b, t,", text)
    return text


def _passed_over(state: str, mask: Mask, initial: bool) -> str:
    """The state after a step: what the step makes of it, or where it is not real what was there."""
    real = mask.real("t")
    made = f"{state}[b, t, u] += next_{state}[b, t, u] if {real} else 0"
    if initial:
        return f"{made}\n{state}[b, t, u] += 0 if {real} else before_{state}[b, t, u]"
    return f"{made}\n{state}[b, t, u] += (0 if {real} else {state}[b, {{before}}, u]) if {{first}} else 0"


@dataclass(frozen=True)
class ForgetBias(Initializer):
    """(4, units): 1 for the forget gate, which is the second, else 0 (Jozefowicz et al., ICML 2015)."""

    formula = "value[k, u] = 1 if k == 1 else 0"


@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """(t, c) to (units,), the output of the last step, or with `return_sequences` to (t, units), of all.

    The output of a step is tanh of the input's and the last output's products and a bias; it starts at 0.
    Kernel (c, 1, units), recurrent kernel (units, 1, units), bias (1, units). With `go_backwards` the
    sequence is gone through from its end, and outputs come in this order. With `return_state` there are two
    results: the second is the output of the step that is computed last.
    """

    def equations(self) -> Equations:
        bias = Parameter((1, self.units), self.bias_initializer)
        return Equations(_SIMPLE, 1, ("h",), {"bias": bias})


@dataclass(frozen=True)
class LSTM(Recurrent):
    """(t, c) to (units,), the output of the last step, or with `return_sequences` to (t, units), of all.

    Kernel (c, 4, units), recurrent kernel (units, 4, units), bias (4, units), for the gates input, forget and
    output and the new cell, in this order (Keras has the output gate last). Cell and output start at 0. With
    `go_backwards` the sequence is gone through from its end, and outputs come in this order. With
    `return_state` there are three results: output and cell of the step that is computed last are the others.
    """

    bias_initializer: Initializer = ForgetBias()

    def equations(self) -> Equations:
        bias = Parameter((4, self.units), self.bias_initializer)
        return Equations(_LSTM, 4, ("h", "c"), {"bias": bias})


@dataclass(frozen=True)
class GRU(Recurrent):
    """(t, c) to (units,), the output of the last step, or with `return_sequences` to (t, units), of all.

    Gates are in the order of Keras: update, reset, new. Kernel (c, 3, units), recurrent kernel (units, 3,
    units), bias (3, units). With `reset_after` the reset gate acts after the product with the recurrent
    kernel, which has a bias of its own (3, units), as in Keras, cuDNN and PyTorch; without, before it, as in
    the paper. The output starts at 0. `go_backwards` and `return_state` are as for SimpleRNN.
    """

    reset_after: bool = True

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from checks.boolean("reset_after", self.reset_after)

    def equations(self) -> Equations:
        bias = {"bias": Parameter((3, self.units), self.bias_initializer)}
        if not self.reset_after:
            return Equations(_GRU_BEFORE + _GRU_OUTPUT, 3, ("h",), bias, _CARRIED_BEFORE)
        return Equations(_GRU_AFTER + _GRU_OUTPUT, 3, ("h",), bias | {"recurrent_bias": bias["bias"]})
