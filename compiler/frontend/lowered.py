"""What a model is once it is lowered: tensor programs, and what is known of parameters and layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.ir.module.entry_point import Role
from compiler.ir.module.signature import Signature
from compiler.ir.tensor.program import Program

Shape = tuple[int, ...]
"""Without the batch."""


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
    "step" (1 in the first update); outputs "new_parameter" and "new_<slot>". Slots start at 0. One that is
    not `flat` has these for each parameter by itself; their roles say which is which.
    """

    kind: str
    slots: tuple[str, ...]
    update: Program
    learning_rate: float
    roles: Mapping[str, Role]
    """Of everything that `update` is given and gives; a new value has the role of what it is written over."""
    flat: bool = True
    """Whether the update is of one array; else it has inputs and outputs of each parameter by itself."""


@dataclass(frozen=True)
class LayerRow:
    """A row of the model's summary; the shape leaves the batch out. Several results have several shapes."""

    name: str
    kind: str
    shape: Shape | tuple[Shape, ...]
    parameters: int
    states: int = 0
    tensors: tuple[str, ...] = ()
    """What programs call its results, which is its own name only where nothing else has that."""


def shape_text(shape: Shape | tuple[Shape, ...], times: str) -> str:
    """`28x28x1` with `times` between, or the shapes of several results."""
    several = [shape_text(one, times) for one in shape if isinstance(one, tuple)]
    return ", ".join(several) if several else times.join(map(str, shape))


@dataclass(frozen=True)
class LoweredModel:
    """A model as tensor programs.

    `training` gives the values of losses, the `total` that is made small first, and the new value of every
    state, called its `new_name`; `inference`, without what acts in training alone, outputs and values;
    `predict` gives the outputs and takes no label. `roles` says what each of these results is. Parameters
    and states are in graph order everywhere.
    """

    name: str
    total: str
    signature: Signature
    roles: Mapping[str, Role]
    training: Program
    inference: Program
    predict: Program
    parameters: tuple[ParameterSpec, ...]
    optimizer: OptimizerSpec
    layers: tuple[LayerRow, ...]
    states: tuple[ParameterSpec, ...] = ()
    metrics: Program | None = None
    """From the sums that `inference` gives beside to the metrics, for a model that has any."""

    @property
    def values(self) -> tuple[str, ...]:
        """What a step gives the value of, as programs call it: the total and every loss that has a name."""
        return tuple(name for name, role in self.roles.items() if role.use == "value")

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Inputs of real numbers: what a loss has a gradient by, besides parameters."""
        return tuple(row.name for row in self.signature.of("input") if row.differentiable)

    @property
    def parameter_count(self) -> int:
        return sum(row.parameters for row in self.layers)

    @property
    def state_count(self) -> int:
        return sum(row.states for row in self.layers)
