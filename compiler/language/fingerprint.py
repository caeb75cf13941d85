"""Everything that generated code depends on, as lines of text that are the same in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from compiler.language.layers.base import Forward
from compiler.language.layers.graph import Graph
from compiler.language.layers.shaping import Input
from compiler.language.layers.step import Step
from compiler.language.measures import NamedMetric
from compiler.language.objectives import NamedLoss
from compiler.language.optimizers.base import Optimizer


class Written:
    """A dataclass of which copies and pickles hold what was written, and nothing that was found out since.

    What a model has found out knows its values by where they are in memory.
    """

    def __getstate__(self) -> dict[str, object]:
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]  # a base


def optimizer_lines(optimizer: Optimizer) -> Iterable[str]:
    schedule = optimizer.schedule
    rate = optimizer.learning_rate if schedule is None else schedule.learning_rate
    yield f"optimizer {optimizer.slots} rate={rate!r} {_sorted(optimizer.constants)}"
    if schedule is not None:
        yield f"{schedule.formula} {_sorted(schedule.constants)}"
    if optimizer.clipping is not None:
        yield f"{optimizer.clipping} {_sorted(optimizer.clipping_constants)}"
    yield optimizer.formula


def metric_lines(one: NamedMetric, graph: Graph) -> Iterable[str]:
    metric = one.forward(graph)
    yield f"metric {one.name} of {one.of.name} {metric.sums}"
    yield f"    {dict(metric.shapes)} {metric.shape} {_sorted(metric.constants)} {metric.value}"


def loss_lines(one: NamedLoss, graph: Graph, *, alone: bool) -> Iterable[str]:
    """Of a loss; `alone` is one without a name, of the only output."""
    loss = one.forward(graph)
    yield f"loss {loss.formula} label={loss.label_shape} classes={loss.classes} {_sorted(loss.constants)}"
    if loss.ignored is not None:
        yield f"    ignored {loss.ignored}"
    for name in dict.fromkeys(step.mask.source for step in one.steps(graph) if step and step.mask):
        yield f"    where {name} says"
    if not alone:
        of = ", ".join(graph.known(value).name for value in one.values)
        yield f"    {one.name} of {of} {one.weight!r} {_sorted(loss.sizes)} {loss.inputs}"


def _sorted(constants: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value!r}" for name, value in sorted(constants.items()))


def step_lines(step: Step) -> Iterable[str]:
    yield f"{step.name} {step.layer.kind}({', '.join(step.inputs)}) {step.shape} parameters of {step.owner}"
    if isinstance(step.layer, Input) and step.layer.vocabulary is not None:
        yield f"    integers below {step.layer.vocabulary}"
    if isinstance(step.layer, Input) and step.layer.boolean:
        yield "    truth values"
    if step.frozen:
        yield "    is not trained"
    for key, name in step.shared.items():
        yield f"    {key} is {name}"
    if step.forward is not None:
        yield from _forward_lines(step.forward)


def _forward_lines(forward: Forward) -> Iterable[str]:
    yield f"    {forward.formula}"
    yield f"    inference {forward.inference}"
    yield f"    {_sorted(forward.constants)} {_sorted(forward.sizes)} {forward.inputs}"
    yield f"    states {' '.join(forward.state)}"
    if forward.example_state:
        yield f"    states of examples {_sorted(forward.example_state)}"
    for name, parameter in [*forward.parameters.items(), *forward.state.items()]:
        if not parameter.trainable:
            yield f"    {name} is not trained"
        if parameter.initializer is None:
            continue  # another layer's, which says how it starts
        constants = _sorted(parameter.initializer.constants(parameter.known_shape))
        yield f"    {name} {parameter.shape} {parameter.initializer.formula} {constants}"
        if parameter.regularizer is not None:
            yield f"    {parameter.regularizer.formula} {_sorted(parameter.regularizer.constants)}"
        if parameter.constraint is not None:
            axes = tuple(f"i{k}" for k in range(len(parameter.known_shape)))
            yield f"    {parameter.constraint.formula(axes)} {_sorted(parameter.constraint.constants)}"
