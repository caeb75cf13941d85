"""One layer of a graph: its name, what it is applied to, what it computes, whose parameters it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compiler.errors import CompilerBug, Span
from compiler.language.layers.base import Forward, Layer, Parameter, Shape, Shapes, is_one
from compiler.language.layers.masks import Mask
from compiler.language.layers.shaping import Input


@dataclass(frozen=True)
class Step:
    """One layer of a graph, in the order of computation.

    `shape` and `forward` are None where a problem keeps them from being known; the input has no `forward`,
    and neither has one of several results of a layer, a step behind that of the layer.
    `owner` is the step whose parameters it uses: itself, unless its layer was used before.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    span: Span | None
    shape: Shapes | None
    forward: Forward | None
    owner: str

    @property
    def computed(self) -> Forward:
        """What it computes. Raises CompilerBug for a step without a formula."""
        if self.forward is None:
            raise CompilerBug(f"{self.name} computes nothing that would be known")
        return self.forward

    @property
    def example(self) -> Shape:
        """The shape of its only result. Raises CompilerBug where there are several, or none is known."""
        if self.shape is None or not is_one(self.shape):
            raise CompilerBug(f"the result of {self.name} has no shape that would be known")
        return self.shape

    @property
    def vocabulary(self) -> int | None:
        """For an input of integers: how many there are."""
        return self.layer.vocabulary if isinstance(self.layer, Input) else None

    @property
    def boolean(self) -> bool:
        """Whether it is an input of truth values."""
        return isinstance(self.layer, Input) and self.layer.boolean

    masks: Mapping[str, Mask] = field(default_factory=dict)
    """Of its results those that have one, by their keys: "y", or "y1", "y2", …"""
    is_part: bool = False
    shared: Mapping[str, str] = field(default_factory=dict)
    """Of parameters that are another layer's: what they are called, by the key here."""

    @property
    def mask(self) -> Mask | None:
        """Which positions of its result are real; None where all are."""
        return self.masks.get("y")

    @property
    def frozen(self) -> bool:
        """Whether training leaves all its parameters as they are."""
        return not self.layer.trainable

    @property
    def formula(self) -> str:
        """The formula of training: of a state that is not trained, there is none in training either."""
        forward = self.computed
        if self.frozen and forward.state and forward.inference is not None:
            return forward.inference
        return forward.formula

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Its own trainable parameters."""
        own = {} if self.frozen else self._own
        return {key: parameter for key, parameter in own.items() if parameter.trainable}

    @property
    def fixed(self) -> dict[str, Parameter]:
        """Its own parameters that training leaves as they are."""
        return {key: p for key, p in self._own.items() if self.frozen or not p.trainable}

    @property
    def _own(self) -> dict[str, Parameter]:
        if self.forward is None or self.owner != self.name:
            return {}
        return {key: p for key, p in self.forward.parameters.items() if key not in self.shared}
