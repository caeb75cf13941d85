"""Losses that are written down as a formula, without a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from compiler.errors import Problem
from compiler.language.losses.base import Loss, LossForward


@dataclass(frozen=True)
class FormulaLoss(Loss):
    """A loss that is its formula, which defines the scalar `loss[]` (docs/formulas.md).

    `inputs` are what the formula calls the values that the loss is of, `prediction` if it is of one. Without
    a `label`, the shape of one, it is a penalty, such as the divergence of a variational autoencoder:

        FormulaLoss("loss[] = mean[b](sum[i](exp(v[b, i]) + m[b, i]**2 - 1 - v[b, i]))", inputs=("m", "v"))

    With `label=()` the formula reads `label[b]` too, with `classes` as integers below it.
    """

    formula: str
    inputs: tuple[str, ...] = ("prediction",)
    label: tuple[int, ...] | None = None
    classes: int | None = None
    constants: Mapping[str, int | float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def arity(self) -> int:
        return len(self.inputs)

    @property
    def labelled(self) -> bool:
        return self.label is not None

    def problems(self) -> Iterator[Problem]:
        if not isinstance(self.formula, str):
            yield Problem("wrong formula", expected='text, such as "loss[] = …"', found=repr(self.formula))
        names = self.inputs if isinstance(self.inputs, tuple) else ()
        words = [name for name in names if isinstance(name, str) and name.isidentifier()]
        if not names or len(set(words)) < len(names) or "label" in words:
            expected = 'different names, such as ("mean", "variance"), none of them label'
            yield Problem("wrong inputs", expected=expected, found=repr(self.inputs))
        label = self.label
        sizes = label if isinstance(label, tuple) else () if label is None else (0,)
        if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes):
            yield Problem("wrong label", expected="the shape of one, such as ()", found=repr(label))
        if self.classes is not None and (not isinstance(self.classes, int) or self.classes < 1):
            yield Problem("wrong classes", expected="a positive integer", found=repr(self.classes))

    def forward(self, *values: tuple[int, ...]) -> LossForward:
        return LossForward(self.formula, self.label, self.classes, self.constants, self.sizes, self.inputs)
