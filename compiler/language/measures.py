"""The metrics of a model, each of the predictions and labels of one of its losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.errors import ModelError, Problem
from compiler.language.boundary import described
from compiler.language.formula.check import formula_problems
from compiler.language.formula.scope import Operand
from compiler.language.layers.graph import Graph
from compiler.language.losses.base import LossForward, loss_operands
from compiler.language.metrics.base import Metric, MetricForward
from compiler.language.objectives import NamedLoss, operand_of


@dataclass(frozen=True)
class NamedMetric:
    """A metric by the name that callers know it by, and the loss whose predictions it is of."""

    name: str
    metric: Metric
    of: NamedLoss

    def forward(self, graph: Graph) -> MetricForward:
        """The formulas on the shapes of the values. Raises ModelError if the metric cannot take them."""
        prediction = graph.known(self.of.objective.predictions[0])
        return self.metric.forward(prediction.example, self.of.forward(graph))


def metrics_of(written: object, losses: Sequence[NamedLoss], *, named: bool) -> list[NamedMetric]:
    """The metrics as they were written: a list for the only loss, or lists by the names of losses.

    Raises ModelError with all mistakes.
    """
    problems: list[Problem] = []
    found: list[NamedMetric] = []
    by_loss: Mapping[object, object]
    if isinstance(written, Mapping):
        by_loss = written
    elif len(losses) == 1 or not written:
        by_loss = {losses[0].name: written} if losses and written else {}
    else:
        expected = "lists by the names of losses, for a model of several"
        raise ModelError(Problem("wrong metrics", expected=expected, found=described(written)))
    known = {one.name: one for one in losses}
    for name, given in by_loss.items():
        if name not in known:
            expected = f"a name of losses: {', '.join(known)}"
            problems.append(Problem("metrics of no loss", expected=expected, found=repr(name)))
            continue
        for metric in given if isinstance(given, list | tuple) else [given]:
            if isinstance(metric, Metric):
                words = str(metric.known_as)
                found.append(NamedMetric(f"{name}_{words}" if named else words, metric, known[name]))
            else:
                expected = "a metric, such as Accuracy()"
                problems.append(Problem("wrong metric", expected=expected, found=described(metric)))
    names = [one.name for one in found]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        problems.append(Problem(f"two metrics are called {name}", expected="a name= of its own for each"))
    if problems:
        raise ModelError(*problems)
    return found


def metric_problems(one: NamedMetric, graph: Graph) -> Iterator[Problem]:
    """What is wrong with a metric of values of this graph."""
    found = list(one.metric.problems())
    if not found:
        try:
            found = _formula_problems(one, graph)
        except ModelError as error:
            found = list(error.problems)
    yield from (replace(problem, layer=problem.layer or one.name) for problem in found)


def _formula_problems(one: NamedMetric, graph: Graph) -> list[Problem]:
    metric, operands = one.forward(graph), metric_operands(one, graph)
    sums = {name: Operand(name, shape) for name, shape in metric.shapes.items()}
    numbers = metric.constants
    problems = formula_problems(metric.sums, operands=operands, results=sums, constants=numbers, sizes={})
    value = {"value": Operand("value", metric.shape)}
    return problems or formula_problems(
        metric.value, operands=sums, results=value, constants=numbers, sizes={}
    )


def metric_operands(
    one: NamedMetric, graph: Graph, tensors: Mapping[str, str] | None = None, label: str = "label"
) -> dict[str, Operand]:
    """What the formula of a metric's sums reads. `tensors` are what programs call results of steps."""
    loss: LossForward = one.of.forward(graph)
    steps = [step for step in one.of.steps(graph) if step is not None]
    names = [step.name if tensors is None else tensors[step.name] for step in steps]
    values = [operand_of(step, name) for step, name in zip(steps, names, strict=True)]
    number = len(loss.inputs)
    target = values[number] if len(values) > number else None
    found = loss_operands(loss, values[:number], target, label)
    return {"prediction": values[0]} | {name: found[name] for name in ("label",) if name in found}
