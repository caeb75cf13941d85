"""What a model is once it is lowered: tensor programs, and what is known of parameters and layers."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.ir.tensor.program import Program


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter or a state, and the program of its first value: output "value", random inputs.

    `new_name` is what programs call the value of a state after the step."""

    name: str
    shape: tuple[int, ...]
    initializer: Program
    new_name: str


@dataclass(frozen=True)
class OptimizerSpec:
    """The update of all parameters as one flat array of P values.

    `update` has inputs "parameter", "gradient", a state for each slot, all (P,), and the scalars "rate" and
    "step" (1 in the first update); outputs "new_parameter" and "new_<slot>". Slots start at 0.
    """

    kind: str
    slots: tuple[str, ...]
    update: Program
    learning_rate: float

    @property
    def renewed(self) -> dict[str, str]:
        """The old tensor of each output of the update."""
        return dict(zip(self.update.outputs, ("parameter", *self.slots), strict=True))


@dataclass(frozen=True)
class LayerRow:
    """A row of the model's summary; the shape leaves the batch out. Several results have several shapes."""

    name: str
    kind: str
    shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
    parameters: int
    states: int = 0


@dataclass(frozen=True)
class LoweredModel:
    """A model as tensor programs.

    `training` gives ("loss",) and the new value of every state, called its `new_name`; `inference`,
    without what acts in training alone, (output, "loss"); `predict` gives (output,) and takes no label.
    Parameters and states are in graph order everywhere.
    """

    name: str
    output: str
    training: Program
    inference: Program
    predict: Program
    parameters: tuple[ParameterSpec, ...]
    optimizer: OptimizerSpec
    layers: tuple[LayerRow, ...]
    states: tuple[ParameterSpec, ...] = ()

    @property
    def parameter_count(self) -> int:
        return sum(row.parameters for row in self.layers)

    @property
    def state_count(self) -> int:
        return sum(row.states for row in self.layers)
