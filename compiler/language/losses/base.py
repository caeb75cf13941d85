"""What every loss is: a formula for the scalar `loss[]` from `prediction` and `label`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from compiler.errors import Problem
from compiler.language.formula.check import formula_problems
from compiler.language.formula.scope import Operand


@dataclass(frozen=True)
class LossForward:
    """What a loss computes on predictions of a known shape; shapes leave the batch out.

    `classes` is given when labels are integers in [0, classes). `label_shape` is None for a loss that knows
    no label. `inputs` are what the formula calls the values that it is of. A label that is `ignored` is not
    among the classes: the formula finds the number `classes` in its place. `summed` is the stage of the
    formula that is a sum over examples, whose parts weights of examples multiply.
    """

    formula: str
    label_shape: tuple[int, ...] | None
    classes: int | None = None
    constants: Mapping[str, int | float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("prediction",)
    ignored: int | None = None
    summed: str = "loss"

    @property
    def limit(self) -> int | None:
        """Labels that are integers lie below it in programs."""
        return self.classes if self.classes is None or self.ignored is None else self.classes + 1


@dataclass(frozen=True)
class Loss:
    """The base of all losses."""

    @property
    def needs_probabilities(self) -> bool:
        """Whether predictions must be probabilities, so that a layer of any other range cannot stand last."""
        return False

    @property
    def arity(self) -> int:
        """Of how many values it is, its label left out."""
        return 1

    @property
    def labelled(self) -> bool:
        """Whether it compares with a label."""
        return True

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments, whatever the predictions are."""
        return iter(())

    def forward(self, prediction: tuple[int, ...]) -> LossForward:
        """The formula and the shape of a label. Raises ModelError for predictions it cannot take."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *values: object) -> Objective:
        """The loss of values of the model: `CrossEntropy()(digit)`, for the `losses` of a Model.

        A value more than the loss is of stands in for its label: `MeanSquaredError()(decoded, image)`.
        """
        return Objective(self, values)


@dataclass(frozen=True, eq=False)
class Objective:
    """A loss and the values that it is applied to."""

    loss: Loss
    values: tuple[object, ...]

    @property
    def predictions(self) -> tuple[object, ...]:
        return self.values[: self.loss.arity]

    @property
    def target(self) -> object | None:
        """The value of the model that stands in for a label, None where callers give labels."""
        return self.values[self.loss.arity] if len(self.values) > self.loss.arity else None

    def problems(self) -> Iterator[Problem]:
        """Whether it is applied to as many values as it is of."""
        least, found = self.loss.arity, len(self.values)
        most = least + self.loss.labelled
        if not least <= found <= most:
            expected = str(least) if least == most else f"{least}, or {most} with a value for its label"
            yield Problem("a loss of the wrong number of values", expected=expected, found=str(found))


def loss_operands(
    loss: LossForward,
    values: Sequence[Operand],
    target: Operand | None = None,
    label: str = "label",
) -> dict[str, Operand]:
    """What the formula of a loss reads: the values that it is of, and the label."""
    operands = dict(zip(loss.inputs, values, strict=True))
    if loss.label_shape is not None:
        dtype: Literal["real", "index"] = "real" if loss.classes is None else "index"
        operands["label"] = target or Operand(label, (None, *loss.label_shape), dtype, loss.limit)
    return operands


def loss_formula_problems(loss: LossForward, values: Sequence[Operand]) -> list[Problem]:
    """What is wrong with the formula of a loss of these values."""
    return formula_problems(
        loss.formula,
        operands=loss_operands(loss, values),
        results={"loss": Operand("loss", ())},
        constants=loss.constants,
        sizes=loss.sizes,
    )
