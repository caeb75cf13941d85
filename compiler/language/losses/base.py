"""What every loss is: a formula for the scalar `loss[]` from `prediction` and `label`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compiler.errors import Problem
from compiler.language.formula.check import formula_problems
from compiler.language.formula.scope import Operand


@dataclass(frozen=True)
class LossForward:
    """What a loss computes on predictions of a known shape; shapes leave the batch out.

    `classes` is given when labels are integers in [0, classes).
    """

    formula: str
    label_shape: tuple[int, ...]
    classes: int | None = None
    constants: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """The base of all losses."""

    needs_probabilities = False
    """Whether predictions must be probabilities, so that a layer of any other range cannot stand last."""

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        """The formula and the shape of a label. Raises ModelError for predictions it cannot take."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")


def loss_formula_problems(loss: LossForward, prediction: tuple[int, ...]) -> list[Problem]:
    """What is wrong with the formula of a loss on predictions of this shape."""
    dtype = "real" if loss.classes is None else "index"
    return formula_problems(
        loss.formula,
        operands={
            "prediction": Operand("prediction", (None, *prediction)),
            "label": Operand("label", (None, *loss.label_shape), dtype, loss.classes),
        },
        results={"loss": Operand("loss", ())},
        constants=loss.constants,
        sizes={},
    )
