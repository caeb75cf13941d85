"""What a model makes small: its losses, each of values of the graph, and the weights of their sum.

loss=CrossEntropy()                          one, of the only output
losses={"digit": CrossEntropy(), …}          each of the output of that name
losses={"likeness": BinaryCrossEntropy()(decoded, image), "divergence": FormulaLoss(…)(mean, variance)}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from compiler.errors import ModelError, Problem
from compiler.language.boundary import described
from compiler.language.formula.real_reductions import RealPositions
from compiler.language.formula.scope import Operand
from compiler.language.layers.base import Placeholder
from compiler.language.layers.graph import RESERVED_NAMES, Graph
from compiler.language.layers.step import Step
from compiler.language.losses.base import (
    Loss,
    LossForward,
    Objective,
    loss_formula_problems,
    loss_operands,
)


@dataclass(frozen=True)
class NamedLoss:
    """A loss of the model by its name, "loss" if it is the only one, and its weight in the sum."""

    name: str
    objective: Objective
    weight: float = 1.0

    @property
    def values(self) -> tuple[object, ...]:
        return self.objective.values

    def forward(self, graph: Graph) -> LossForward:
        """The formula on the shapes of the values. Raises ModelError if the loss cannot take them."""
        shapes = [graph.known(value).example for value in self.objective.predictions]
        return self.objective.loss.forward(*shapes)

    def steps(self, graph: Graph) -> list[Step | None]:
        return [graph.step(value) for value in self.values]


@dataclass(frozen=True)
class Losses:
    """All losses of a model, and what is wrong with how they were written."""

    losses: tuple[NamedLoss, ...]
    problems: tuple[Problem, ...]
    named: bool
    """Whether they have names, by which their values are given back beside their sum."""


def losses_of(loss: object, losses: object, weights: object, outputs: Mapping[str, object]) -> Losses:
    """The losses as they were written: `loss` alone, or `losses` by name, and `loss_weights`.

    `outputs` are the values of the outputs, by the names that losses may know them by.
    """
    problems: list[Problem] = []
    values = tuple(outputs.values())
    if losses is None:
        found = _alone(loss, values, problems)
        if weights is not None:
            problems.append(Problem("loss_weights without losses", expected='losses={"name": …}, by name'))
        return Losses(found, tuple(problems), named=False)
    if loss is not None:
        problems.append(Problem("both loss and losses are given", expected="one of the two"))
    if not isinstance(losses, Mapping) or not losses:
        expected = 'losses by name, such as {"digit": CrossEntropy()(digit)}'
        return Losses(
            (), (*problems, Problem("wrong losses", expected=expected, found=described(losses))), True
        )
    factors = _weights(weights, losses, problems)
    made = []
    for name, given in losses.items():
        if not isinstance(name, str) or not name.isidentifier() or name in RESERVED_NAMES:
            expected = f"letters, digits and _, and none of {', '.join(RESERVED_NAMES)}"
            problems.append(Problem("wrong name of a loss", expected=expected, found=repr(name)))
            continue
        objective = _objective(name, given, outputs, problems)
        if objective is not None:
            made.append(NamedLoss(name, objective, factors.get(name, 1.0)))
    return Losses(tuple(made), tuple(problems), named=True)


def _alone(loss: object, outputs: Sequence[object], problems: list[Problem]) -> tuple[NamedLoss, ...]:
    """The loss of a model that has one without a name."""
    if loss is None:
        problems.append(Problem("the model has no loss", expected="loss=CrossEntropy(), for instance"))
    elif isinstance(loss, Objective):
        return (NamedLoss("loss", loss),)
    elif isinstance(loss, Loss):
        if len(outputs) == 1:
            return (NamedLoss("loss", Objective(loss, (outputs[0],))),)
        expected = 'losses={"name": …}, each of an output or another value'
        problems.append(Problem("one loss for several outputs", expected=expected))
    elif not isinstance(loss, Placeholder):
        expected = "a loss, such as CrossEntropy()"
        problems.append(Problem("wrong loss", expected=expected, found=described(loss)))
    return ()


def _objective(
    name: str, given: object, outputs: Mapping[str, object], problems: list[Problem]
) -> Objective | None:
    if isinstance(given, Objective):
        return given
    if isinstance(given, Loss):
        if name in outputs:
            return Objective(given, (outputs[name],))
        problems.append(
            Problem(
                f"the loss {name} is of no value",
                expected=f"the name of an output ({', '.join(outputs)}), or the loss of a value",
                found=repr(name),
                advice=f'"{name}": {type(given).__name__}()(value)',
            )
        )
    elif not isinstance(given, Placeholder):
        expected = "a loss, such as CrossEntropy()(digit)"
        problems.append(Problem(f"wrong loss {name}", expected=expected, found=described(given)))
    return None


def _weights(weights: object, losses: Mapping[object, object], problems: list[Problem]) -> dict[str, float]:
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        expected = 'numbers by the names of losses, such as {"digit": 0.5}'
        problems.append(Problem("wrong loss_weights", expected=expected, found=described(weights)))
        return {}
    factors = {}
    for name, weight in weights.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool) and isfinite(weight)
        if name not in losses:
            expected = f"a name of losses: {', '.join(map(str, losses))}"
            problems.append(Problem("a weight of no loss", expected=expected, found=repr(name)))
        elif not number:
            problems.append(
                Problem(f"wrong weight of {name}", expected="a finite number", found=described(weight))
            )
        else:
            factors[str(name)] = weight
    return factors


def real_positions(
    one: NamedLoss, graph: Graph, tensors: Mapping[str, str] | None = None
) -> RealPositions | None:
    """Which positions of its predictions, and of labels that have as many, a loss counts; None for all.

    `tensors` are what programs call results of steps. Raises ModelError where predictions have two masks.
    """
    loss = one.forward(graph)
    steps = [step for step in one.steps(graph) if step is not None][: len(loss.inputs)]
    masks = {step.mask.source: step.mask for step in steps if step.mask is not None}
    if not masks:
        return None
    if len(masks) > 1:
        advice = "Unmasked() before all but one"
        raise ModelError(
            Problem("a loss of values with different masks", found=", ".join(masks), advice=advice)
        )
    (mask,) = masks.values()
    named = zip(loss.inputs, steps, strict=True)
    operands = {name: step.example for name, step in named if step.mask is not None}
    extent = next(iter(operands.values()))[0]
    if loss.label_shape and loss.label_shape[0] == extent:
        operands["label"] = loss.label_shape
    source = next(step for step in graph.steps if step.name == mask.source)
    operand = operand_of(source, source.name if tensors is None else tensors[source.name])
    return RealPositions(operand, replace(mask, name="mask").real, frozenset(operands), extent)


def objective_problems(one: NamedLoss, graph: Graph) -> Iterator[Problem]:
    """What is wrong with a loss of values of this graph."""
    loss = one.objective.loss
    found = [*loss.problems(), *one.objective.problems()]
    steps = one.steps(graph)
    if None in steps:
        found.append(Problem("a loss of what is no value of the model", expected="the result of a layer"))
    if not found and all(step is not None and step.shape is not None for step in steps):
        found += _shape_problems(one, graph, [step for step in steps if step is not None])
    yield from (replace(problem, layer=problem.layer or one.name) for problem in found)


def _shape_problems(one: NamedLoss, graph: Graph, steps: list[Step]) -> Iterator[Problem]:
    loss, number = one.objective.loss, len(one.objective.predictions)
    try:
        forward = one.forward(graph)
    except ModelError as error:
        yield from error.problems
        return
    if len(steps) > number:
        problem = _target_problem(forward, operand_of(steps[-1]))
        if problem is not None:
            yield problem
            return
    yield from loss_formula_problems(forward, [operand_of(step) for step in steps[:number]])
    for step in steps[:number]:
        if loss.needs_probabilities and step.layer.any_number:
            yield Problem(
                f"{type(loss).__name__} needs probabilities",
                step.span,
                step.name,
                expected="an output between 0 and 1",
                found=f"a {type(step.layer).__name__} at the end, whose output can be any number",
                advice="Softmax() as the last layer",
            )


def _target_problem(forward: LossForward, target: Operand) -> Problem | None:
    """What keeps a value of the model from being the label of a loss."""
    label = loss_operands(forward, [Operand(name, ()) for name in forward.inputs])["label"]
    wanted, found = (_words(operand) for operand in (label, target))
    fits = (target.shape, target.dtype) == (label.shape, label.dtype)
    if fits and (label.limit is None or (target.limit is not None and target.limit <= label.limit)):
        return None
    return Problem("a value that cannot be the label of this loss", expected=wanted, found=found)


def _words(operand: Operand) -> str:
    values = "real numbers" if operand.limit is None else f"integers below {operand.limit}"
    return f"{values} of shape {operand.known_shape[1:]}"


def operand_of(step: Step, name: str | None = None) -> Operand:
    """The result of a step as formulas read it, called `name` in programs."""
    dtype: Literal["real", "index"] = "real" if step.vocabulary is None else "index"
    return Operand(name or step.name, (None, *step.example), dtype, step.vocabulary)
