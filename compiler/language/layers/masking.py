"""Layers that say which positions are real, or that it does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.masks import Masks, first


@dataclass(frozen=True)
class RealSteps(Layer):
    """(t, c) to (t,): 1 for a step with any value other than `mask_value`, else 0."""

    mask_value: float

    @property
    def kind(self) -> str:
        return "real"

    def forward(self, x: Shape) -> Forward:
        return self._of(x, "1", ("x",))

    def masked(self, masks: Masks, x: Shape) -> Forward:
        return self._of(x, f"1 if {first(masks).real('t')} else 0", ("x", "mask"))

    def _of(self, x: Shape, counted: str, inputs: tuple[str, ...]) -> Forward:
        checks.rank(x, 2, "(steps, channels)")
        formula = f"""
            other[b, t] = sum[c](1 if x[b, t, c] != mask_value else 0)
            y[b, t] = ({counted}) if other[b, t] > 0.5 else 0
            """
        constants = {"mask_value": self.mask_value}
        return Forward(formula, (x[0],), constants=constants, inputs=inputs, keeps={})


@dataclass(frozen=True)
class RealTokens(Layer):
    """Integers (t,) to (t,): 1 for each that is not 0."""

    @property
    def kind(self) -> str:
        return "real"

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 1, "(positions,)")
        return Forward("y[b, t] = 1 if x[b, t] >= 1 else 0", x, keeps={})

    def masked(self, masks: Masks, x: Shape) -> Forward:
        checks.rank(x, 1, "(positions,)")
        formula = f"y[b, t] = (1 if {first(masks).real('t')} else 0) if x[b, t] >= 1 else 0"
        return Forward(formula, x, inputs=("x", "mask"), keeps={})


@dataclass(frozen=True)
class RealValues(Layer):
    """(t, …) to the same, with 0 in the place of what only fills up: how an input with a mask enters a model.

    Nothing behind it can be touched by what stands there, NaN and infinity neither, which times 0 are NaN.
    """

    reads_filling = True

    @property
    def kind(self) -> str:
        return "real"

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = x[...]", x)

    def masked(self, masks: Masks, x: Shape) -> Forward:
        formula = f"y[b, t, ...] = x[b, t, ...] if {first(masks).real('t')} else 0"
        return Forward(formula, x, inputs=("x", "mask"), keeps={"y": 0})


@dataclass(frozen=True)
class Masking(Layer):
    """(t, c) to the same, where steps whose values are all `mask_value` are not real, as in Keras.

    Layers behind it leave them out: recurrences pass over them, poolings, attention, losses and metrics count
    the others alone.
    """

    mask_value: float = 0.0

    def problems(self) -> Iterator[Problem]:
        yield from checks.number("mask_value", self.mask_value)

    @property
    def marking(self) -> Layer:
        return RealSteps(self.mask_value)

    def forward(self, x: Shape) -> Forward:
        checks.rank(x, 2, "(steps, channels)")
        return Forward("y[...] = x[...]", x)


@dataclass(frozen=True)
class Unmasked(Layer):
    """Any shape to the same: from here on all positions count, those too that fill up a sequence.

    Of an input they have the values that were given, behind other layers what these make of 0.
    """

    reads_filling = True

    def forward(self, x: Shape) -> Forward:
        return Forward("y[...] = x[...]", x)

    def masked(self, masks: Masks, x: Shape) -> Forward:
        return Forward("y[...] = x[...]", x, inputs=("x",), keeps={})
