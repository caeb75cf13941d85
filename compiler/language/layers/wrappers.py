"""Layers made of another one by its formula: over every step of a sequence, or with another kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from compiler.errors import ModelError, Problem
from compiler.language.initializers import DEFAULT_SCALE, Initializer
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Parameter, Placeholder, Shape, is_several

_OF_EXAMPLES = re.compile(r"\[\s*b\s*(?=[,\]])")
_WORDS = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class _Wrapper(Layer):
    """What wraps another layer: an activation of that one is applied to the result."""

    layer: Layer

    any_number = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stands_for(self.layer)

    @property
    def activation(self) -> object:
        return getattr(self.layer, "activation", None)

    def problems(self) -> Iterator[Problem]:
        if not isinstance(self.layer, Layer):
            yield checks.wrong("layer", "a layer, such as Dense(10)", self.layer)
        elif not isinstance(self.layer, Placeholder):
            yield from self.layer.problems()


@dataclass(frozen=True)
class TimeDistributed(_Wrapper):
    """A layer for every step of a sequence by itself, with one set of parameters: (t, …) to (t, …).

    Its formula gains an axis behind the batch's, wherever an example is read or written.
    """

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if isinstance(self.layer, Layer) and self.layer.arity[0] != 1:
            yield checks.wrong("layer", "a layer of one input", self.layer.kind)

    def forward(self, x: Shape) -> Forward:
        if not x:
            raise ModelError(Problem("there are no steps", expected="(steps, …)", found=str(x)))
        inner = self.layer.forward(x[1:])
        shapes = tuple((x[0], *one) for one in inner.results.values())
        shape = shapes if is_several(inner.shape) else shapes[0]
        texts = [text for text in (inner.formula, inner.inference) if text is not None]
        step = _free("step", texts)
        timed = [_OF_EXAMPLES.sub(f"[b, {step}", text) for text in texts]
        inference = timed[1] if len(timed) > 1 else None
        sizes = {**inner.sizes, step: x[0]}
        states = {name: (x[0], *one) for name, one in inner.example_state.items()}
        return replace(
            inner, formula=timed[0], shape=shape, inference=inference, sizes=sizes, example_state=states
        )


@dataclass(frozen=True)
class WeightNormalization(_Wrapper):
    """A layer whose kernel is `length[o] · direction[…, o] / ‖direction[…, o]‖` for each of its outputs o.

    Parameters direction, of the kernel's shape and initializer, and length (outputs,) in place of the kernel.
    Salimans and Kingma, "Weight normalization" (NeurIPS 2016), without their initialisation by data.
    """

    length_initializer: Initializer = DEFAULT_SCALE

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from checks.initializer("length_initializer", self.length_initializer)

    def forward(self, x: Shape) -> Forward:
        inner = self.layer.forward(x)
        kernel = inner.parameters.get("kernel")
        if kernel is None:
            raise ModelError(
                Problem(
                    "the layer has no kernel",
                    expected="a layer with a parameter called kernel, such as Dense or Conv2D",
                    found=f"{self.layer.kind}, with {', '.join(inner.parameters) or 'no parameter'}",
                )
            )
        shape = kernel.known_shape
        *places, last = (_free(f"n{k}", [inner.formula]) for k in range(len(shape)))
        at, over = ", ".join((*places, last)), ", ".join(places)
        extents = zip((*places, last), shape, strict=True)
        bound = ", ".join(f"{name}:{extent}" for name, extent in extents)
        before = f"""
            norm_of_direction[{last}] = sqrt(sum[{over}](direction[{at}]**2))
            kernel[{bound}] = length[{last}] * direction[{at}] / norm_of_direction[{last}]
            """
        lines = [line.strip() for line in before.strip().splitlines()]
        others = {name: p for name, p in inner.parameters.items() if name != "kernel"}
        length = Parameter((shape[-1],), self.length_initializer)
        parameters: Mapping[str, Parameter] = {"direction": kernel, "length": length, **others}
        texts = [_behind(lines, text) for text in (inner.formula, inner.inference) if text is not None]
        return replace(
            inner, formula=texts[0], inference=texts[1] if len(texts) > 1 else None, parameters=parameters
        )


def _behind(lines: list[str], text: str) -> str:
    return "\n".join([*lines, *(line.strip() for line in text.strip().splitlines())])


def _free(name: str, texts: list[str]) -> str:
    """The name, or one like it that no text has."""
    taken = {word for text in texts for word in _WORDS.findall(text)}
    while name in taken:
        name += "_"
    return name
