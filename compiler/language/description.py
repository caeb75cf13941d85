"""How a model is written down: a sequence of layers, or a graph of layers applied to values.

    layers = [Input(784), Dense(128), ReLU(), Dense(10), Softmax()]
    model = Sequential(layers, loss=CrossEntropy(), optimizer=Adam(1e-3))

    x = Input(28, 28, 1)
    h = Conv2D(32, 3, padding="same")(x)
    y = Softmax()(Dense(10)(Flatten()(h + ReLU()(h))))
    model = Model(x, y, loss=CrossEntropy(), optimizer=Adam(1e-3))

    losses = {"digit": CrossEntropy()(digit), "same": BinaryCrossEntropy()(same)}
    model = Model([left, right], [digit, same], losses=losses, loss_weights={"same": 0.5}, optimizer=Adam())

Writing a model down raises nothing. What is wrong with it is in `model.problems`, all of it, and whoever
goes on with the model raises it.
"""

from __future__ import annotations

import keyword
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from compiler.errors import CompilerBug, ModelError, Problem, Span
from compiler.language.boundary import (
    Values,
    described,
    input_names,
    input_problems,
    output_problems,
    values_of,
)
from compiler.language.fingerprint import Written, loss_lines, metric_lines, optimizer_lines, step_lines
from compiler.language.layers.base import Layer, Node, Placeholder
from compiler.language.layers.caller import caller
from compiler.language.layers.graph import Graph, analyse
from compiler.language.layers.shaping import Input
from compiler.language.layers.step import Step
from compiler.language.losses.base import Loss, Objective
from compiler.language.measures import NamedMetric, metric_problems, metrics_of
from compiler.language.memory import memory_problems
from compiler.language.metrics.base import Metric
from compiler.language.objectives import Losses, NamedLoss, losses_of, objective_problems
from compiler.language.optimizers.base import Optimizer, optimizer_formula_problems

TAKEN = frozenset((*sys.stdlib_module_names, "numpy"))
"""What a generated module may not be called: Python or NumPy would take it for theirs."""


@dataclass(frozen=True, eq=False)
class Model(Written):
    """A network with its losses and its optimizer: everything that a training step needs.

    `inputs` is an Input and `outputs` the value computed from it; or both are lists of several, or
    dictionaries by name. `loss` is that of the only output. `losses` are losses by name: each of the output
    of that name, or applied to values, as `CrossEntropy()(digit)` is. What is made small is their sum, each
    times its number in `loss_weights`, 1 if it has none. With `sample_weight` the module takes a number for
    each example, by which its part of every loss is multiplied. `metrics` are what is measured of the only
    loss's predictions, or lists of such by the names of losses. The name, by default that of the model's
    file, becomes the name of the generated module.
    """

    inputs: object
    outputs: object
    _: KW_ONLY
    loss: Loss | Objective | None = None
    losses: Mapping[str, Loss | Objective] | None = None
    loss_weights: Mapping[str, float] | None = None
    optimizer: Optimizer | None = None
    sample_weight: bool = False
    metrics: Sequence[Metric] | Mapping[str, Sequence[Metric]] = ()
    name: str | None = None
    span: Span | None = field(default=None, repr=False)
    written_wrong: tuple[Problem, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.span is None:
            object.__setattr__(self, "span", caller())
        if isinstance(self.name, str):
            # As Python writes names that it imports.
            object.__setattr__(self, "name", unicodedata.normalize("NFKC", self.name))

    def named(self, name: str) -> Model:
        """The same model under another name."""
        return replace(self, name=name)

    @cached_property
    def ends(self) -> tuple[Values, Values]:
        """The inputs and the outputs."""
        return values_of(self.inputs), values_of(self.outputs)

    @cached_property
    def _losses(self) -> Losses:
        return losses_of(self.loss, self.losses, self.loss_weights, self._outputs_by_name())

    def _outputs_by_name(self) -> dict[str, object]:
        """The outputs by the names that losses may know them by: a dictionary's, or those of their layers."""
        outputs = self.ends[1]
        if outputs.keyed:
            return dict(zip(map(str, outputs.names), outputs.given, strict=True))
        own = (v.layer.name if isinstance(v, Node) else None for v in outputs.given)
        return {
            name or f"output_{k}": v for k, (name, v) in enumerate(zip(own, outputs.given, strict=True), 1)
        }

    @property
    def objectives(self) -> tuple[NamedLoss, ...]:
        """The losses, each of values of the graph."""
        return self._losses.losses

    @cached_property
    def measures(self) -> list[NamedMetric]:
        """The metrics, each of the predictions of a loss. Raises ModelError for those that are none."""
        return metrics_of(self.metrics, self.objectives, named=self.named_losses)

    @property
    def named_losses(self) -> bool:
        """Whether losses have names, by which their values are given back beside their sum."""
        return self._losses.named

    @cached_property
    def graph(self) -> Graph:
        """Every layer with its name, its shape and its formula."""
        inputs, outputs = self.ends
        losses = [value for one in self.objectives for value in one.values]
        wanted = [v for v in (*outputs.given, *losses) if isinstance(v, Node | Input | Placeholder)]
        return analyse(wanted, input_names(inputs))

    @cached_property
    def input_steps(self) -> tuple[Step, ...]:
        """The inputs, in the order in which callers give them."""
        return tuple(self.graph.known(value) for value in self.ends[0].given)

    @cached_property
    def output_steps(self) -> tuple[Step, ...]:
        """What computes the outputs."""
        return tuple(self.graph.known(value) for value in self.ends[1].given)

    @property
    def update(self) -> Optimizer:
        """The optimizer. Raises CompilerBug for a model without one, which `problems` says."""
        if self.optimizer is None:
            raise CompilerBug(f"the model {self.name} has no optimizer")
        return self.optimizer

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the description; empty for a model that can be compiled."""
        found = [*self.written_wrong, *self._name_problems()]
        if any(isinstance(value, Node) for value in self.ends[1].given):
            found += self.graph.problems
        found += [*self._boundary_problems(), *self._loss_problems(), *self._optimizer_problems()]
        # Of the predictions and labels of losses: what is wrong with those is wrong with these.
        found += [] if found else self._metric_problems()
        return tuple(replace(problem, span=problem.span or self.span) for problem in found)

    def check(self) -> None:
        """Raises ModelError with all problems if there are any."""
        if self.problems:
            raise ModelError(*self.problems)

    def network(self) -> str:
        """The part of the fingerprint that the layers make, whatever the loss and the optimizer."""
        self.check()
        lines = [f"model {self.name}"]
        for step in self.graph.steps:
            lines += step_lines(step)
        return "\n".join(lines)

    def memory_problems(self, value_bytes: int, available: int) -> tuple[Problem, ...]:
        """Whether training needs more than `available` bytes, in values of `value_bytes`.

        Counted is what it cannot do without: every parameter, its gradient and what the optimizer keeps of
        it, and for one example the result of each layer.
        """
        return memory_problems(self.graph.steps, len(self.update.slots), value_bytes, available)

    def fingerprint(self) -> str:
        """Everything that the generated code depends on, as text that is the same in every process.

        Raises ModelError for a model with problems.
        """
        lines = [self.network()]
        inputs, outputs = self.ends
        for one in self.objectives:
            alone = not self.named_losses and one.values == outputs.given
            lines += loss_lines(one, self.graph, alone=alone)
        if inputs.several or outputs.several or self.input_steps[0].name != "input":
            lines.append(f"inputs {' '.join(step.name for step in self.input_steps)}")
            lines.append(f"outputs {' '.join(step.name for step in self.output_steps)} {outputs.names}")
        lines += ["sample_weight"] if self.sample_weight else []
        for measure in self.measures:
            lines += metric_lines(measure, self.graph)
        lines += optimizer_lines(self.update)
        return "\n".join(lines) + "\n"

    def _name_problems(self) -> Iterable[Problem]:
        if self.name is not None and (not str(self.name).isidentifier() or keyword.iskeyword(str(self.name))):
            expected = "letters, digits and _, not beginning with a digit: it names a Python module"
            yield Problem("wrong model name", expected=expected, found=repr(self.name))
        elif str(self.name) in TAKEN or str(self.name).startswith("__"):
            yield Problem(
                "wrong model name",
                expected="a name that is not that of a module of Python's, nor numpy",
                found=repr(self.name),
                advice=repr(f"model_{str(self.name).strip('_')}"),
            )

    def _boundary_problems(self) -> Iterable[Problem]:
        """What is wrong with where the model begins and ends."""
        if self.written_wrong:
            return
        inputs, outputs = self.ends
        ends = list(output_problems(outputs))
        known = not ends and all(isinstance(value, Node) for value in outputs.given)
        yield from input_problems(inputs, self.graph if known else None)
        yield from ends

    def _loss_problems(self) -> Iterable[Problem]:
        if not isinstance(self.sample_weight, bool):
            found = described(self.sample_weight)
            yield Problem("wrong sample_weight", expected="True or False", found=found)
        elif self.sample_weight and any(step.name == "sample_weight" for step in self.graph.steps):
            expected = "another name for it: the weights of examples are called so"
            yield Problem("a layer or an input is called sample_weight", expected=expected)
        yield from self._losses.problems
        if all(isinstance(value, Node) for value in self.ends[1].given):
            for one in self.objectives:
                yield from objective_problems(one, self.graph)

    def _metric_problems(self) -> Iterable[Problem]:
        try:
            measures = self.measures
        except ModelError as error:
            yield from error.problems
            return
        for one in measures:
            yield from metric_problems(one, self.graph)

    def _optimizer_problems(self) -> Iterable[Problem]:
        if self.optimizer is None:
            yield Problem("the model has no optimizer", expected="optimizer=Adam(1e-3), for instance")
        elif isinstance(self.optimizer, Placeholder):
            return
        elif not isinstance(self.optimizer, Optimizer):
            expected, found = "an optimizer, such as Adam(1e-3)", described(self.optimizer)
            yield Problem("wrong optimizer", expected=expected, found=found)
        else:
            found = list(self.optimizer.problems()) or optimizer_formula_problems(self.optimizer)
            yield from (replace(problem, layer="optimizer") for problem in found)


def module_name(path: Path) -> str:
    """What the module of a nameless model in this file is called: its stem, made the name of a module.

    `__init__.py` is called like its folder.
    """
    path = path.resolve() if path.stem in ("__init__", "__main__") else path
    stem = path.parent.name if path.stem in ("__init__", "__main__") else path.stem
    stem = unicodedata.normalize("NFKC", stem)
    name = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in stem)
    usable = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")
    return name if usable and name not in TAKEN else f"model_{name.strip('_')}"


def Sequential(
    layers: Iterable[Layer],
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    sample_weight: bool = False,
    metrics: Sequence[Metric] = (),
    name: str | None = None,
) -> Model:
    """The model that applies layers one after the other; the first is its Input."""
    problems: list[Problem] = []
    written: list[object] = list(layers) if isinstance(layers, list | tuple) else [layers]
    first: object = None
    value: object = None
    for position, layer in enumerate(written, 1):
        if not isinstance(layer, Layer):
            problems.append(_not_a_layer(position, layer))
        elif value is None:
            first = value = layer
            if not isinstance(layer, Input | Placeholder):
                expected = "Input(…) with the shape of one example, such as Input(28, 28, 1)"
                found = type(layer).__name__
                problems.append(
                    Problem("the first layer is not an Input", layer.span, expected=expected, found=found)
                )
                value = Node(layer, (Placeholder(),), layer.span)
        elif isinstance(layer, Input):
            problems.append(Problem("an Input can only be the first layer", layer.span))
        else:
            if layer.outputs != 1:
                problems.append(
                    Problem(
                        "a layer of several results cannot stand in a Sequential",
                        layer.span,
                        expected="a layer of one result",
                        found=f"a {type(layer).__name__} of {layer.outputs}",
                        advice="the functional form: h, c = …(x)",
                    )
                )
                layer = Placeholder()
            value = Node(layer, (value,), layer.span)
    if not written:
        problems.append(Problem("the model has no layers", expected="Input(…) and at least one layer"))
    elif not isinstance(value, Node) and not problems:
        problems.append(Problem("the model has no layer after its Input"))
    return Model(
        *(first, value),
        loss=loss,
        optimizer=optimizer,
        sample_weight=sample_weight,
        metrics=metrics,
        name=name,
        span=caller(),
        written_wrong=tuple(problems),
    )


def _not_a_layer(position: int, item: object) -> Problem:
    advice = f"{item.__name__}(…)" if isinstance(item, type) else None
    return Problem(
        f"item {position} is not a layer", expected="a layer", found=described(item), advice=advice
    )
