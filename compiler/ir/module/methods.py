"""What callers of a network can ask for, and what is done and given back: from entry points and a signature.

    Method  predict(x): check x; room for softmax_1; run "predict"; give back softmax_1

A method has one or two ways to answer: with the derivatives by inputs, where these are asked for, or without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compiler.ir.module.signature import Row
from compiler.ir.tensor.program import Shape


@dataclass(frozen=True)
class Number:
    """A value of the whole batch."""

    offset: int
    """Where it stands among the totals."""


@dataclass(frozen=True)
class Numbers:
    """Several values of the whole batch, by name."""

    entries: tuple[tuple[str, Number], ...]


@dataclass(frozen=True)
class Totals:
    """Sums over all examples of a call, or what is made of such: numbers and arrays by name."""

    entries: tuple[tuple[str, int, Shape], ...]
    """The name, where its first value stands among the totals, and its shape."""


@dataclass(frozen=True)
class Array:
    """A result for each example."""

    name: str
    """Of the row, or the tensor, whose value it is."""
    shape: Shape
    offset: int
    """Values of an example in front of it, in the memory that the caller gives for all results."""


@dataclass(frozen=True)
class Arrays:
    """Several results for each example: in order, or by name where there are `names`."""

    entries: tuple[Array, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gradients:
    """By name: of all parameters, or of some, and of inputs where there are such."""

    by_parameters: tuple[str, ...] | None = None
    """None: of all."""
    by_inputs: tuple[Array, ...] = ()


@dataclass(frozen=True)
class ExampleGradients:
    """Of all parameters, for each example; laid out like the arena."""


Result = Number | Numbers | Totals | Array | Arrays | Gradients | ExampleGradients


@dataclass(frozen=True)
class Run:
    """Run a routine, over the batch or over all parameters."""

    routine: str
    parameters: bool = False
    together: bool = False
    """Whether other processes may run it at the same time, each for its share of the batch."""
    counted: bool = False
    """Whether the step was counted since the batch was taken, and it is to know."""
    ranges: tuple[tuple[int, int], ...] = ()
    """Over parts of all parameters, from value to value; none: over all."""


@dataclass(frozen=True)
class CountStep:
    """One more step of training is done."""


@dataclass(frozen=True)
class RenewStates:
    """The new values of states become their values."""

    size: int | None = None
    """Of so many values, behind which states stand that keep theirs; None: of all."""


@dataclass(frozen=True)
class RenewExampleStates:
    """What a batch has made of the states of its examples becomes their value."""


Action = Run | CountStep | RenewStates | RenewExampleStates
When = Literal[
    "always", "no input gradient", "no input tangent", "input gradient", "input tangent", "nothing frozen"
]
"""Which calls a way is for: all that are left, or those that ask for no derivatives by inputs, or do, or
those that may change all parameters."""


@dataclass(frozen=True)
class Way:
    """How a call is answered."""

    when: When
    actions: tuple[Action, ...]
    results: tuple[Result, ...]

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Everything that the routine writes for each example, in order."""
        own = [result for result in self.results if isinstance(result, Array)]
        own += [a for result in self.results if isinstance(result, Arrays) for a in result.entries]
        return (*own, *(a for r in self.results if isinstance(r, Gradients) for a in r.by_inputs))

    @property
    def of_examples(self) -> bool:
        """Whether gradients of each example are among the results."""
        return any(isinstance(result, ExampleGradients) for result in self.results)


@dataclass(frozen=True)
class Refusal:
    """A call that this model has no answer to."""

    when: When
    message: str


@dataclass(frozen=True)
class Method:
    """A method of the network; its ways are tried in order."""

    name: str
    document: tuple[str, ...]
    takes: tuple[Row, ...]
    """Inputs and labels, in the order of the model; those that have a default may be left out."""
    tangents: bool
    """Whether it takes tangents, by the names of parameters and inputs."""
    flag: bool
    """Whether it has the argument `inputs` that asks for derivatives by inputs."""
    rows: bool
    """Whether the batch may be chosen rows of a data set."""
    ways: tuple[Way | Refusal, ...]
    words: tuple[str, str]
    """What the derivatives are called, all of them and the one by an input."""
    mode: str = ""
    """The mode that asks for it; "": every module has it."""
    part: bool = False
    """Whether it has the argument `before`: how many examples of the step's batch come before these."""
    together: bool = False
    """Whether it has the argument `share`: what this process has of a batch that several compute."""
    gradients: bool = False
    """Whether it takes gradients, by the names of all parameters, and no batch."""
    sums: bool = False
    """Whether it takes sums of metrics, by their names, and no batch."""
    cotangents: bool = False
    """Whether it takes cotangents of the outputs, one or several by their names."""
    unlabelled: bool = False
    """Whether it takes a label that must be None, as a model without labels is trained like any other."""

    example_states: bool = False
    """Whether it reads states that the network keeps of the examples of a batch."""

    @property
    def inputs(self) -> tuple[Row, ...]:
        """What is given as x, one or several by name."""
        return tuple(row for row in self.takes if row.use == "input")

    @property
    def labels(self) -> tuple[Row, ...]:
        """What is given as y, one or several by name."""
        return tuple(row for row in self.takes if row.use == "label" and row.default is None)

    @property
    def optional(self) -> tuple[Row, ...]:
        """What may be given by the name of its argument."""
        return tuple(row for row in self.takes if row.default is not None)

    @property
    def first_routine(self) -> str:
        """What it runs first where no derivatives by inputs are asked for."""
        ways = (way for way in self.ways if isinstance(way, Way) and way.when != "input gradient")
        return next(a.routine for way in ways for a in way.actions if isinstance(a, Run))

    @property
    def takes_none(self) -> bool:
        """Whether no example at all has an answer: each result is of an example, none of a sum."""
        ways = [way for way in self.ways if isinstance(way, Way)]
        return (
            bool(self.takes)
            and not self.rows
            and all(isinstance(result, Array | Arrays) for way in ways for result in way.results)
        )


@dataclass(frozen=True)
class Absent:
    """A method of a mode that the module was compiled without."""

    name: str
    mode: str
