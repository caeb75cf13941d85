"""What a module can be asked to compute: a tensor program, and what each of its tensors is to the caller.

    EntryPoint  "predict": the program, {"input": input, "dense_1.kernel": parameter, …, "softmax_1": output}

A tensor that is given has the role of its kind. What a result is, says who made the program: a layer may have
any name, and a program any outputs. Everything about a call follows from roles: where tensors lie, what
the door checks, what is given back. A name says nothing, and is compared with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from compiler.errors import CompilerBug
from compiler.ir.tensor.kinds import Kind
from compiler.ir.tensor.program import Program, Tensor

Use = Literal[
    Kind,
    "slot",
    "parameters",
    "gradients",
    "value",
    "measure",
    "slope",
    "output",
    "gradient",
    "new_state",
    "new_example_state",
    "example_value",
    "example_gradient",
    "sum",
    "metric",
]
"""What a tensor is to the caller: the kind of what is given, and besides

    value             a number for the whole batch, such as the loss
    measure           a number for the whole batch that says something of a layer or a parameter
    slope             the derivative of a value along the tangents that were given
    output            a result for each example
    gradient          of a parameter, an input: the loss's cotangent, or a product with the Hessian
    new_state         what a step makes of a state
    new_example_state  what a batch makes of a state of each example
    example_value     a number for each example
    example_gradient  a gradient for each example
    sum               of which metrics are made: added up over all examples there are
    metric            what is made of sums
    parameters, gradients, slot   all parameters, their gradients and a slot of the optimizer, as flat arrays

A result that has the role of something given is written over it.
"""
Duty = Literal["training", "update", "step", "initial_values", "forward", "evaluation", "prediction"]
"""What a module itself needs an entry point for."""


@dataclass(frozen=True)
class Role:
    """`of` is the parameter, state, input, slot or value whose role it is, as the model calls it."""

    use: Use
    of: str = ""
    part: str = ""
    """Of a slot: the parameter whose part it is; "" for all of it."""


@dataclass(frozen=True)
class Offer:
    """The method by which callers ask for entry points, in words; all else follows from roles."""

    method: str
    document: str
    """`{output}` in it are the shapes of outputs, in words."""
    gives: tuple[Use, ...]
    """What is given back, in order."""
    rows: bool = False
    """Whether the batch may be chosen rows of a data set."""
    words: tuple[str, str] = ("gradients", "cotangent")
    """What the derivatives are called, all of them and the one by an input."""
    part: bool = False
    """Whether the batch may be a part of a step's: random numbers go on behind the examples before it."""
    together: bool = False
    """Whether several processes may compute a batch, each its share."""
    renews: bool = False
    """Whether the states of the examples of a batch become what it makes of them."""


@dataclass(frozen=True)
class EntryPoint:
    """A program and the roles of its inputs and outputs. What kernels fill (random, iota) has none."""

    name: str
    """Of the driver function, of the record of passes, of what is measured: for readers alone."""
    program: Program
    roles: Mapping[str, Role]
    duty: Duty | None = None
    """None: nothing in the house needs it, callers do."""
    batch: Literal["examples", "parameters"] = "examples"
    """What the batch of the program is: examples, or the values of all parameters as one flat array."""
    offer: Offer | None = None
    """The method that answers by it; None where no method does alone."""

    def __post_init__(self) -> None:
        given = [t.name for t in self.program.inputs if t.kind not in FILLED]
        without = [name for name in (*given, *self.program.outputs) if name not in self.roles]
        if without:
            raise CompilerBug(f"{self.name}: {', '.join(without)} has no role")

    def results(self, use: Use) -> dict[str, str]:
        """Outputs that have this role, in order, each with what it is of."""
        roles = ((name, self.roles[name]) for name in self.program.outputs)
        return {name: role.of for name, role in roles if role.use == use}

    def given(self, use: Use) -> dict[str, str]:
        """Inputs that have this role, in order, each with what it is of."""
        roles = ((t.name, self.roles[t.name]) for t in self.program.inputs if t.name in self.roles)
        return {name: role.of for name, role in roles if role.use == use}

    def with_program(self, program: Program) -> EntryPoint:
        """The same entry point of another program with the same outputs, whose inputs may be fewer."""
        return replace(self, program=program)


FILLED = ("random", "iota")
"""Kinds of tensors that a kernel of their own fills: no caller knows of them."""


def given_role(tensor: Tensor) -> Role:
    """The role of a tensor that a program is given: its kind, and itself or what it is a tangent of."""
    return Role(tensor.kind, tensor.of or tensor.name)


def given_roles(program: Program) -> dict[str, Role]:
    """The roles of all inputs of a program that a caller knows of."""
    return {t.name: given_role(t) for t in program.inputs if t.kind not in FILLED}


def with_duty(entries: Iterable[EntryPoint], duty: Duty) -> EntryPoint:
    """The entry point that has this duty in the module."""
    return next(entry for entry in entries if entry.duty == duty)
