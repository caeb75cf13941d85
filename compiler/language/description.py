"""How a model is written down: a sequence of layers, or a graph of layers applied to values.

    layers = [Input(784), Dense(128), ReLU(), Dense(10), Softmax()]
    model = Sequential(layers, loss=CrossEntropy(), optimizer=Adam(1e-3))

    x = Input(28, 28, 1)
    h = Conv2D(32, 3, padding="same")(x)
    y = Softmax()(Dense(10)(Flatten()(h + ReLU()(h))))
    model = Model(x, y, loss=CrossEntropy(), optimizer=Adam(1e-3))

Writing a model down raises nothing. What is wrong with it is in `model.problems`, all of it, and whoever
goes on with the model raises it.
"""

from __future__ import annotations

import keyword
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path

from compiler.errors import ModelError, Problem, Span
from compiler.language.layers.base import Forward, Layer, Node, Placeholder
from compiler.language.layers.caller import caller
from compiler.language.layers.graph import Graph, Step, analyse
from compiler.language.layers.shaping import Input
from compiler.language.losses.base import Loss, LossForward, loss_formula_problems
from compiler.language.optimizers.base import Optimizer, optimizer_formula_problems

TAKEN = frozenset((*sys.stdlib_module_names, "numpy"))
"""What a generated module may not be called: Python or NumPy would take it for theirs."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its loss and its optimizer: everything that a training step needs.

    `input` is an Input, `output` the value computed from it. The name, by default that of the model's file,
    becomes the name of the generated module.
    """

    input: object
    output: object
    _: KW_ONLY
    loss: Loss | None = None
    optimizer: Optimizer | None = None
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
    def graph(self) -> Graph:
        """Every layer with its name, its shape and its formula."""
        return analyse(self.output)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the description; empty for a model that can be compiled."""
        found = [*self.written_wrong, *self._name_problems()]
        if isinstance(self.output, Node):
            found += self.graph.problems
        found += [*self._boundary_problems(), *self._loss_problems(), *self._optimizer_problems()]
        return tuple(replace(problem, span=problem.span or self.span) for problem in found)

    def check(self) -> None:
        """Raises ModelError with all problems if there are any."""
        if self.problems:
            raise ModelError(*self.problems)

    @cached_property
    def loss_forward(self) -> LossForward:
        """The loss's formula on this model's predictions. Raises ModelError if it cannot take them."""
        return self.loss.forward(self.graph.output.shape)

    def network(self) -> str:
        """The part of the fingerprint that the layers make, whatever the loss and the optimizer."""
        self.check()
        lines = [f"model {self.name}"]
        for step in self.graph.steps:
            lines += _step_lines(step)
        return "\n".join(lines)

    def memory_problems(self, value_bytes: int, available: int) -> tuple[Problem, ...]:
        """Whether training needs more than `available` bytes, in values of `value_bytes`.

        Counted is what it cannot do without: every parameter, its gradient and what the optimizer keeps of
        it, and for one example the result of each layer.
        """
        copies = 2 + len(self.optimizer.slots)
        steps = [step for step in self.graph.steps if step.forward is not None]
        needed = [value_bytes * _values(step, copies) for step in steps]
        if sum(needed) <= available:
            return ()
        most, largest = max(zip(needed, steps, strict=True), key=lambda pair: pair[0])
        total, there = _gibibytes(sum(needed)), _gibibytes(available)
        return (
            Problem(
                f"training needs at least {total} of memory, and there are {there}",
                largest.span,
                layer=largest.name,
                expected=f"parameters, {copies} values for each, and one example's results that fit",
                found=f"{_gibibytes(most)} for this layer",
                advice="a smaller layer, or a machine with more memory",
            ),
        )

    def fingerprint(self) -> str:
        """Everything that the generated code depends on, as text that is the same in every process.

        Raises ModelError for a model with problems.
        """
        lines = [self.network()]
        loss, optimizer = self.loss_forward, self.optimizer
        lines.append(
            f"loss {loss.formula} label={loss.label_shape} classes={loss.classes} {_sorted(loss.constants)}"
        )
        lines.append(
            f"optimizer {optimizer.slots} rate={optimizer.learning_rate!r} {_sorted(optimizer.constants)}"
        )
        if optimizer.clipping is not None:
            lines.append(f"{optimizer.clipping} {_sorted(optimizer.clipping_constants)}")
        lines.append(optimizer.formula)
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
        if not isinstance(self.input, Input | Placeholder):
            found = _described(self.input)
            yield Problem("the model's input is not an Input", expected="one Input(…)", found=found)
        if not isinstance(self.output, Node | Placeholder):
            found = _described(self.output)
            yield Problem("the model's output is not a value", expected="the result of a layer", found=found)
        elif isinstance(self.output, Node) and isinstance(self.input, Input):
            inputs = [step.layer for step in self.graph.steps if isinstance(step.layer, Input)]
            unknown = any(isinstance(step.layer, Placeholder) for step in self.graph.steps)
            if not unknown and not any(layer is self.input for layer in inputs):
                yield Problem("the output does not depend on the model's input")
            for layer in inputs:
                if layer is not self.input:
                    expected = "one input; a model of several is not supported"
                    yield Problem("the output depends on another Input", layer.span, expected=expected)

    def _loss_problems(self) -> Iterable[Problem]:
        if self.loss is None:
            yield Problem("the model has no loss", expected="loss=CrossEntropy(), for instance")
        elif isinstance(self.loss, Placeholder):
            return
        elif not isinstance(self.loss, Loss):
            yield Problem(
                "wrong loss", expected="a loss, such as CrossEntropy()", found=_described(self.loss)
            )
        elif isinstance(self.output, Node) and self.graph.output.shape is not None:
            last = self.graph.output
            try:
                self.loss_forward  # noqa: B018
            except ModelError as error:
                yield from (replace(problem, layer=problem.layer or "loss") for problem in error.problems)
                return
            found = loss_formula_problems(self.loss_forward, last.shape)
            yield from (replace(problem, layer="loss") for problem in found)
            if self.loss.needs_probabilities and last.layer.any_number:
                yield Problem(
                    f"{type(self.loss).__name__} needs probabilities",
                    last.span,
                    last.name,
                    expected="an output between 0 and 1",
                    found=f"a {type(last.layer).__name__} at the end, whose output can be any number",
                    advice="Softmax() as the last layer",
                )

    def _optimizer_problems(self) -> Iterable[Problem]:
        if self.optimizer is None:
            yield Problem("the model has no optimizer", expected="optimizer=Adam(1e-3), for instance")
        elif isinstance(self.optimizer, Placeholder):
            return
        elif not isinstance(self.optimizer, Optimizer):
            expected, found = "an optimizer, such as Adam(1e-3)", _described(self.optimizer)
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
    name: str | None = None,
) -> Model:
    """The model that applies layers one after the other; the first is its Input."""
    problems: list[Problem] = []
    layers = list(layers) if isinstance(layers, list | tuple) else [layers]
    first: object = None
    value: object = None
    for position, layer in enumerate(layers, 1):
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
    if not layers:
        problems.append(Problem("the model has no layers", expected="Input(…) and at least one layer"))
    elif not isinstance(value, Node) and not problems:
        problems.append(Problem("the model has no layer after its Input"))
    return Model(
        first, value, loss=loss, optimizer=optimizer, name=name, span=caller(), written_wrong=tuple(problems)
    )


def _not_a_layer(position: int, item: object) -> Problem:
    advice = f"{item.__name__}(…)" if isinstance(item, type) else None
    return Problem(
        f"item {position} is not a layer", expected="a layer", found=_described(item), advice=advice
    )


def _described(value: object) -> str:
    """A value as an error shows it."""
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)


def _values(step: Step, copies: int) -> int:
    """Values that a step needs: of each parameter these copies, and one example's results."""
    own = step.forward.parameters.values() if step.owner == step.name else ()
    return copies * sum(prod(p.shape) for p in own) + sum(map(prod, step.forward.results.values()))


def _gibibytes(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB"


def _sorted(constants) -> str:
    return " ".join(f"{name}={value!r}" for name, value in sorted(constants.items()))


def _step_lines(step: Step) -> Iterable[str]:
    yield f"{step.name} {step.layer.kind}({', '.join(step.inputs)}) {step.shape} parameters of {step.owner}"
    if isinstance(step.layer, Input) and step.layer.vocabulary is not None:
        yield f"    integers below {step.layer.vocabulary}"
    if step.forward is not None:
        yield from _forward_lines(step.forward)


def _forward_lines(forward: Forward) -> Iterable[str]:
    yield f"    {forward.formula}"
    yield f"    inference {forward.inference}"
    yield f"    {_sorted(forward.constants)} {_sorted(forward.sizes)} {forward.inputs}"
    yield f"    states {' '.join(forward.state)}"
    for name, parameter in [*forward.parameters.items(), *forward.state.items()]:
        constants = _sorted(parameter.initializer.constants(parameter.shape))
        yield f"    {name} {parameter.shape} {parameter.initializer.formula} {constants}"
        if parameter.regularizer is not None:
            yield f"    {parameter.regularizer.formula} {_sorted(parameter.regularizer.constants)}"
