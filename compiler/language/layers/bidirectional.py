"""A recurrent layer both ways: through the sequence, and from its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.errors import Problem
from compiler.language.layers import checks
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.masks import Mask, Masks
from compiler.language.layers.recurrent import Recurrent

_MERGED = {
    "sum": "{first} + {second}",
    "mul": "{first} * {second}",
    "ave": "({first} + {second}) / 2",
}
_NAME = re.compile(r"\b(?!sum\b|x\b|mask\b)([a-z_]\w*)\[")


@dataclass(frozen=True)
class Bidirectional(Layer):
    """A recurrent layer and another one of its kind that goes through the sequence from its end.

    Their outputs for the same place are put one behind the other, or merged as `merge_mode` says: "concat",
    "sum", "mul" or "ave". Parameters are those of the layer, called `forward_kernel`, `reverse_kernel` and
    so on, and so are the states of one that is stateful.
    """

    layer: Recurrent
    merge_mode: str = "concat"

    any_number = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stands_for(self.layer)

    def problems(self) -> Iterator[Problem]:
        if not isinstance(self.layer, Recurrent):
            yield checks.wrong("layer", "a recurrent layer, such as LSTM(32)", self.layer)
            return
        if self.merge_mode not in ("concat", *_MERGED):
            yield checks.wrong("merge_mode", f"one of concat, {', '.join(_MERGED)}", self.merge_mode)
        for name in ("go_backwards", "return_state"):
            if getattr(self.layer, name):
                yield checks.wrong(f"{name} of the layer", "False: both ways are gone", True)
        yield from self.layer.problems()

    def forward(self, x: Shape) -> Forward:
        return self._forward(x, None)

    def masked(self, masks: Masks, x: Shape) -> Forward:
        return self._forward(x, masks[0])

    def _forward(self, x: Shape, mask: Mask | None) -> Forward:
        checks.rank(x, 2, "(steps, channels)")
        layers = {"forward": self.layer, "reverse": replace(self.layer, go_backwards=True)}
        texts = [_NAME.sub(rf"{way}_\1[", layer.text(x, mask=mask)) for way, layer in layers.items()]
        parameters = {
            f"{way}_{name}": parameter
            for way, layer in layers.items()
            for name, parameter in layer.parameters_of(x).items()
        }
        units, sequences = self.layer.units, self.layer.return_sequences
        ends = {"forward": x[0] - 1, "reverse": 0}
        kept = {f"{way}_{name}": shape for way in layers for name, shape in self.layer.kept.items()}
        texts += [
            f"new_{way}_initial_{state}[b, u] = {way}_{state}[b, {last}, u]"
            for way, last in ends.items()
            for state in (self.layer.equations().states if kept else ())
        ]
        first, second = (f"{way}_h[b, {'t' if sequences else last}, u]" for way, last in ends.items())
        place = "b, t, u" if sequences else "b, u"
        if self.merge_mode == "concat":
            merged = f"y[{place}] += {first}\ny[{place} + {units}] += {second}"
        else:
            merged = f"y[{place}] = " + _MERGED[self.merge_mode].format(first=first, second=second)
        width = 2 * units if self.merge_mode == "concat" else units
        shape = (x[0], width) if sequences else (width,)
        return Forward(
            "\n".join([*texts, merged]),
            shape,
            parameters,
            inputs=("x", mask.name) if mask is not None else (),
            example_state=kept,
            keeps={"y": 0} if sequences else {},
        )
