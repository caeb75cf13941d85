"""What every layer is: a description that turns input shapes into one formula and one output shape.

A new layer is a frozen dataclass with a `forward` method, for example

    @dataclass(frozen=True)
    class Swish(Layer):
        beta: float = 1.0

        def forward(self, x):
            return Forward("y[...] = x[...] / (1 + exp(-beta * x[...]))", x, constants={"beta": self.beta})

and everything else, its gradients above all, is derived from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeGuard

from compiler.errors import CompilerBug, ModelError, Problem, Span
from compiler.language.constraints.base import Constraint
from compiler.language.formula.spelling import normalised, with_normalised_keys
from compiler.language.initializers.base import Initializer
from compiler.language.layers.caller import caller
from compiler.language.layers.masks import Masks
from compiler.language.layers.operators import Operators
from compiler.language.regularizers.base import Regularizer

Shape = tuple[int, ...]
"""The shape of one example: the batch dimension is left out."""
Shapes = Shape | tuple[Shape, ...]
"""The shape of the only result of a layer, or those of several."""


def is_several(shape: Shapes) -> TypeGuard[tuple[Shape, ...]]:
    """Whether these are the shapes of several results."""
    return bool(shape) and isinstance(shape[0], tuple)


def is_one(shape: Shapes) -> TypeGuard[Shape]:
    """Whether this is the shape of one result."""
    return not is_several(shape)


@dataclass(frozen=True)
class Parameter:
    """A tensor that a layer keeps from step to step: trainable, or a state that its formula updates.

    Where a layer infers shapes, as Formula does, a size may be -1, and the shape None. The penalty of a
    regularizer is added to the loss; a state has none. One that is not `trainable` keeps its value: its
    gradient is not computed. A `constraint` is what every update ends with. Parameters with one `name` are
    one parameter, whichever layers have them; so is what `layer.parameter(key)` gives, which is `shared` with
    that layer.
    """

    shape: Shape | None
    initializer: Initializer | None
    regularizer: Regularizer | None = None
    trainable: bool = True
    name: str | None = None
    shared: tuple[Layer, str] | None = field(default=None, repr=False)
    constraint: Constraint | None = None

    @property
    def known_shape(self) -> Shape:
        """Its shape, once that is inferred. Raises CompilerBug before."""
        if self.shape is None:
            raise CompilerBug("the shape of a parameter is asked for before it is inferred")
        return self.shape

    @property
    def start(self) -> Initializer:
        """What says how it starts. Raises CompilerBug for a parameter that is another layer's."""
        if self.initializer is None:
            raise CompilerBug("a parameter that is shared starts as its own layer says")
        return self.initializer


@dataclass(frozen=True)
class Forward:
    """What a layer computes on inputs of known shapes.

    The formula calls its input `x` (several inputs: `x1`, `x2`, …), its result `y` (several: `y1`, `y2`, …),
    its parameters and constants by their keys here. `shape` is the result's, without the batch; a layer of
    several results has a tuple of shapes. `inference` is the formula outside training, where it differs.
    `sizes` are extents of axes by name, for those that no tensor says. `inputs` are other names for the
    inputs.

    `state` are tensors that no gradient changes. Both formulas may read them; for each, `formula` defines
    `new_` and its name, the value after a step of training, as a running average does:
    `new_mean[c] = 0.9 * mean[c] + 0.1 * mean_of_batch[c]`.

    `example_state` are the shapes of states with a value for each example, such as what a recurrence begins
    with. They start at 0; both formulas define `new_` and the name for each, `new_h[b, u] = y[b, 27, u]`, and
    training, evaluation and prediction put that in its place. Nothing is differentiated by them.

    `keeps` says of results whose positions are those of an input which one, from 0: they have its mask. Where
    it is not given, the formula says so.
    """

    formula: str
    shape: Shapes
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    constants: Mapping[str, int | float] = field(default_factory=dict)
    inference: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    state: Mapping[str, Parameter] = field(default_factory=dict)
    example_state: Mapping[str, Shape] = field(default_factory=dict)
    keeps: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        # The formula's own names are normalised by Python's parser: what is given by name must be found.
        for key in ("parameters", "constants", "sizes", "state", "example_state"):
            object.__setattr__(self, key, with_normalised_keys(getattr(self, key)))
        object.__setattr__(self, "inputs", tuple(map(normalised, self.inputs)))

    @property
    def results(self) -> dict[str, Shape]:
        """The results by the names that the formula has for them, with their shapes."""
        shape = self.shape
        if is_several(shape):
            return {f"y{number}": one for number, one in enumerate(shape, 1)}
        assert is_one(shape)
        return {"y": shape}

    def input_names(self, number: int) -> tuple[str, ...]:
        """What the formula calls its inputs, when there are `number` of them."""
        return self.inputs or (("x",) if number == 1 else tuple(f"x{k + 1}" for k in range(number)))


@dataclass(frozen=True)
class Layer(Operators):
    """The base of all layers. Two layer objects are the same layer only if they are the same object."""

    _: KW_ONLY
    name: str | None = None
    trainable: bool = True
    """Whether training changes its parameters. As in Keras, a layer with a state that is not trained runs as
    it does outside training."""
    span: Span | None = field(default=None, init=False, repr=False, compare=False)

    _is_placeholder = False
    """Whether it stands for something that is already reported."""

    any_number = False
    """Whether the result is known to range over all numbers, so that it cannot be a probability."""

    reads_filling = False
    """Whether it is given an input with a mask as it is: others find 0 where it only fills up."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "span", caller())

    def stands_for(self, inner: object) -> None:
        """What a layer inside of this one is called is what this one is called, unless it has a name of its
        own; and where that one is not trained, neither is this one."""
        if isinstance(inner, Layer):
            object.__setattr__(self, "name", inner.name if self.name is None else self.name)
            object.__setattr__(
                self, "trainable", self.trainable if inner.trainable is True else inner.trainable
            )

    @property
    def arity(self) -> tuple[int, int | None]:
        """Smallest and largest number of inputs; None for "any number". A class says it by an attribute."""
        return (1, 1)

    @property
    def outputs(self) -> int:
        """Number of results. A layer of several is applied as `h, c = Cell()(x, state)`."""
        return 1

    @property
    def kind(self) -> str:
        """The word that automatic names begin with: conv2d for Conv2D."""
        return type(self).__name__.lower()

    def parameter(self, key: str) -> Parameter:
        """This layer's parameter, for another's: `parameters={"table": embedding.parameter("table")}`."""
        return Parameter(None, None, shared=(self, key))

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments, whatever the inputs are."""
        return iter(())

    # A layer takes the shapes of as many inputs as it has: how many these are is checked when it is applied,
    # and cannot be said of all layers. So what they are is said by each of them.
    def forward(self, *shapes: Any, **named: Any) -> Forward:
        """The formula and the shape rule. Raises ModelError for inputs that the layer cannot take."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def masked(self, masks: Masks, *shapes: Any, **named: Any) -> Forward | None:
        """What it computes where not all positions of its inputs are real, None where it makes no difference.

        `masks` are those of its inputs; the names of those that its formula reads stand in `inputs`, behind
        the names of all inputs."""
        return None

    @property
    def marking(self) -> Layer | None:
        """The layer that computes from its input which positions of its result are real: (t,), 1 and 0."""
        return None

    # Whether there are several results to be taken apart, `outputs` says, of a layer and not of its class.
    def __call__(self, *inputs: object) -> Any:
        """Applies the layer in the functional form, `h = Conv2D(32, 3)(x)`: a Node, or Results of several."""
        most = self.arity[1]
        several = most is None or most > 1
        if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
            # The results of a layer are no list of inputs for one that takes a single input.
            inputs = tuple(inputs[0]) if several or not isinstance(inputs[0], Results) else inputs
        node = Node(self, inputs, caller())
        if self.outputs == 1:
            return node
        return Results(Part(self, (node,), node.span, number) for number in range(1, self.outputs + 1))


@dataclass(frozen=True, eq=False)
class Node(Operators):
    """One use of a layer in a graph: the layer, what it is applied to, and where that is written."""

    layer: Layer
    inputs: tuple[object, ...]
    span: Span | None = None

    def __add__(self, other: object) -> Node:
        return add(self, other)

    __radd__ = __add__


@dataclass(frozen=True, eq=False)
class Part(Node):
    """One result of a layer that has several: number `number`, from 1, of its only input."""

    number: int = 1


class Results(tuple[Part, ...]):
    """The results of a layer that has several, to be taken apart: `h, c = Cell()(x, state)`."""


class Placeholder(Layer):
    """Stands for whatever a mistake that is already reported kept from being made: a layer, a loss, a value.

    Its shape is unknown, and it may stand anywhere, so that the rest of a description can be checked.
    """

    arity = (0, None)

    _is_placeholder = True
    _kind: str

    def __init__(self, kind: str = "unknown"):
        super().__init__()
        object.__setattr__(self, "_kind", kind)

    @property
    def kind(self) -> str:
        return self._kind

    def __call__(self, *arguments: object, **named: object) -> Node | Placeholder:
        flat = [x for given in arguments for x in (given if isinstance(given, list | tuple) else (given,))]
        values = tuple(value for value in flat if isinstance(value, Node | Layer))
        return Node(self, values, caller()) if values else self

    def __add__(self, other: object) -> Node:
        return add(self, other)

    __radd__ = __add__


@dataclass(frozen=True)
class Add(Layer):
    """The sum of two or more inputs of one shape. `a + b` is `Add()(a, b)`."""

    arity = (2, None)

    def forward(self, *inputs: Shape) -> Forward:
        for number, shape in enumerate(inputs[1:], 2):
            if shape != inputs[0]:
                raise ModelError(
                    Problem(
                        "the inputs have different shapes",
                        expected=f"{inputs[0]}, the shape of input 1",
                        found=f"{shape}, the shape of input {number}",
                    )
                )
        total = " + ".join(f"x{k + 1}[...]" for k in range(len(inputs)))
        return Forward(f"y[...] = {total}", inputs[0])


def add(left: object, right: object) -> Node:
    """What `left + right` means in the functional form."""
    return Node(Add(), (left, right), caller())
