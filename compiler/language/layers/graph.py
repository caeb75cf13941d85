"""From the values that a model computes back to its inputs: every layer's name, shape and formula.

A layer with a problem has an unknown shape, and nothing is said about the layers that depend on it except
what is wrong with their own arguments; so one mistake is one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from compiler.errors import CompilerBug, ModelError, Problem, Span
from compiler.language.formula.spelling import normalised
from compiler.language.layers.activations import activation_layer
from compiler.language.layers.base import Forward, Layer, Node, Part, Placeholder, Shape, Shapes, is_one
from compiler.language.layers.checks import boolean
from compiler.language.layers.forward_checks import (
    forward_problems,
    layer_formula_problems,
    layer_operands,
    not_a_value,
    sharing_problems,
)
from compiler.language.layers.mask_flow import forward_of, masks_asked, masks_of_results, named_masks
from compiler.language.layers.masking import RealValues
from compiler.language.layers.masks import Mask
from compiler.language.layers.order import in_order
from compiler.language.layers.shaping import Input
from compiler.language.layers.step import Step

NOTHING: Mapping[str, Mask] = MappingProxyType({})
"""The masks of a step none of whose results has one."""
RESERVED_NAMES = ("input", "label", "loss")
"""What the generated module calls what it is given and what it gives."""


@dataclass(frozen=True)
class Graph:
    """The steps that lead to some values, each after its inputs, and what is wrong with them."""

    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]
    results: Mapping[int, Step | None]
    """The step that computes a value, by the value's identity; None where it is no part of a model."""

    def step(self, value: object) -> Step | None:
        """The step that computes a value, None where none does."""
        return self.results.get(id(value))

    def known(self, value: object) -> Step:
        """The step that computes a value of the model. Raises CompilerBug where none does."""
        return _known(self.results, value)


def _known(results: Mapping[int, Step | None], value: object) -> Step:
    step = results.get(id(value))
    if step is None:
        raise CompilerBug(f"no step of the graph computes {value!r}")
    return step


def analyse(values: Iterable[object], inputs: Mapping[int, str] | None = None) -> Graph:
    """The graph that computes these values, each a Node. Raises nothing: problems are part of the result.

    `inputs` are the names of the model's inputs, by their identity.
    """
    ordered = list(in_order(values))
    layers = (value.layer for value in ordered if isinstance(value, Node))
    builder = _Builder((layer.name for layer in layers), inputs or {})
    for value in ordered:
        builder.add(value)
    return Graph(tuple(builder.steps), tuple(builder.problems), builder.results)


class _Builder:
    """Steps and problems so far; `results` maps the identity of a value to the step that computes it."""

    def __init__(self, given: Iterable[object], inputs: Mapping[int, str]) -> None:
        self.inputs = inputs
        self.steps: list[Step] = []
        self.problems: list[Problem] = []
        self.results: dict[int, Step | None] = {}
        # A name that is given to any layer is no automatic one.
        named = {normalised(name) for name in given if isinstance(name, str)}
        self.names = {*RESERVED_NAMES, *inputs.values(), *named}
        self.numbers: dict[str, int] = {}
        self.given: set[str] = set(inputs.values())
        self.owners: dict[str, Step] = {}
        self.first_use: dict[int, str] = {}
        self.named: dict[str, tuple[str, Shape | None]] = {}
        self.filled: dict[str, Step] = {}
        """Of inputs with a mask the steps with 0 in what fills up, by the input's name."""

    def add(self, value: object) -> None:
        if isinstance(value, Input):
            problems = list(value.problems())
            name = self.inputs.get(id(value), "input")
            self.report(problems, name, value.span)
            self.results[id(value)] = self.append(
                name, value, (), value.span, None if problems else value.shape, masks=self.mask_of(value)
            )
        elif isinstance(value, Placeholder):
            self.results[id(value)] = self.append(value.kind, value, (), value.span, None)
        elif isinstance(value, Part):
            self.results[id(value)] = self.part(value)
        elif isinstance(value, Node):
            self.results[id(value)] = self.node(value, self.marks(value))
            activation = activation_layer(value.layer)
            if activation is not None:
                self.results[id(value)] = self.node(Node(activation, (value,), value.span))
        else:
            self.results[id(value)] = None

    def mask_of(self, value: Input) -> dict[str, Mask]:
        """Which positions of an input are real."""
        companion = value.companion
        step = None if companion is None else self.results[id(companion)]
        return {} if step is None else {"y": Mask("lengths" if step.vocabulary else "truths", step.name)}

    def marks(self, node: Node) -> dict[str, Mask]:
        """Which positions of a result are real, as its layer says, by a step of its own."""
        known = len(node.inputs) == 1 and self.results[id(node.inputs[0])] is not None
        if not known or node.layer.marking is None:
            return {}
        return {"y": Mask("truths", self.node(Node(node.layer.marking, node.inputs, node.span)).name)}

    def node(self, node: Node, marked: Mapping[str, Mask] = NOTHING) -> Step:
        layer, span = node.layer, node.span
        owner = self.first_use.get(id(layer))
        name = self.name_of(layer, span, owner)
        self.first_use.setdefault(id(layer), name)
        problems = [*layer.problems(), *boolean("trainable", layer.trainable)] if owner is None else []
        self.report(problems, name, layer.span)
        inputs = self.inputs_of(node, name)
        forward: Forward | None = None
        masks: Mapping[str, Mask] = NOTHING
        if not problems and inputs is not None:
            forward, inputs, masks = self.forward(layer, name, span, inputs)
            first = None if owner is None else self.owners[owner].forward
            self.report(sharing_problems(forward, first, owner), name, span)
        names = tuple(step.name for step in inputs or ())
        shared = self.shared(forward, name, span, owner)
        shape = forward.shape if forward else None
        return self.append(name, layer, names, span, shape, forward, owner, shared, marked or masks)

    def part(self, part: Part) -> Step:
        """One result of a layer that has several, as a step without a formula of its own."""
        whole = _known(self.results, part.inputs[0])
        key = f"y{part.number}"
        shape = None if whole.forward is None else whole.forward.results.get(key)
        masks = {"y": whole.masks[key]} if key in whole.masks else {}
        step = Step(
            *(f"{whole.name}.{key}", part.layer, (whole.name,), part.span, shape, None, whole.owner),
            masks=masks,
            is_part=True,
        )
        self.steps.append(step)
        return step

    def append(
        self,
        name: str,
        layer: Layer,
        inputs: tuple[str, ...],
        span: Span | None,
        shape: Shapes | None,
        forward: Forward | None = None,
        owner: str | None = None,
        shared: Mapping[str, str] | None = None,
        masks: Mapping[str, Mask] = NOTHING,
    ) -> Step:
        step = Step(name, layer, inputs, span, shape, forward, owner or name, masks, shared=shared or {})
        self.steps.append(step)
        self.owners.setdefault(name, step)
        return step

    def report(self, problems: list[Problem], name: str, span: Span | None) -> None:
        self.problems += [replace(p, layer=p.layer or name, span=p.span or span) for p in problems]

    def inputs_of(self, node: Node, name: str) -> tuple[Step, ...] | None:
        """The steps that a node is applied to; None after reporting that one of them is no such thing."""
        steps = [self.results[id(value)] for value in node.inputs]
        for value, step in zip(node.inputs, steps, strict=True):
            if step is None:
                self.report([not_a_value(value)], name, node.span)
        least, most = node.layer.arity
        if len(steps) < least or (most is not None and len(steps) > most):
            expected = f"{least} or more" if most is None else str(least)
            problem = Problem("the wrong number of inputs", expected=expected, found=str(len(steps)))
            self.report([problem], name, node.span)
            return None
        known = tuple(step for step in steps if step is not None)
        if len(known) < len(steps):
            return None
        if node.layer.reads_filling:
            return known
        return tuple(self.real_values(*one) for one in zip(node.inputs, known, strict=True))

    def real_values(self, value: object, step: Step) -> Step:
        """What layers read of a value: of an input with a mask, 0 where it only fills up."""
        if not isinstance(value, Input) or step.mask is None or step.vocabulary is not None:
            return step
        if step.name not in self.filled:
            self.filled[step.name] = self.node(Node(RealValues(), (value,), step.span))
        return self.filled[step.name]

    def forward(
        self, layer: Layer, name: str, span: Span | None, inputs: tuple[Step, ...]
    ) -> tuple[Forward | None, tuple[Step, ...], Mapping[str, Mask]]:
        """What a layer computes, all that its formula reads of the graph, and the masks of its results."""
        unknown = None, inputs, NOTHING
        shapes = [step.shape for step in inputs if step.shape is not None and is_one(step.shape)]
        if len(shapes) < len(inputs) or isinstance(layer, Placeholder):
            return unknown
        masks = named_masks([step.mask for step in inputs])
        try:
            forward = forward_of(layer, masks, shapes)
        except ModelError as error:
            self.report(list(error.problems), name, span)
            return unknown
        problems = list(forward_problems(forward, layer))
        self.report(problems, name, span)
        if problems:
            return unknown
        given = [step.name for step in inputs]
        inputs = (*inputs, *(self.owners[mask.source] for mask in masks_asked(forward, masks)))
        # A formula may be wrong, but its shapes are known: what comes after it can be checked.
        operands = layer_operands(
            forward, [step.example for step in inputs], [step.vocabulary for step in inputs]
        )
        problems = layer_formula_problems(forward, operands)
        self.report(problems, name, span)
        found, problems = ({}, []) if problems else masks_of_results(forward, layer, masks, operands, given)
        self.report(problems, name, span)
        return forward, inputs, found

    def shared(
        self, forward: Forward | None, name: str, span: Span | None, owner: str | None
    ) -> dict[str, str]:
        """The parameters that are another layer's, each with what it is called there."""
        if forward is None or owner is not None:
            return {} if owner is None else dict(self.owners[owner].shared)
        found: dict[str, str] = {}
        for key, parameter in forward.parameters.items():
            known: tuple[str, Shape | None] | None = None
            if parameter.shared is not None:
                known = self.parameter_of(*parameter.shared)
                if known is None:
                    expected = "a parameter of a layer that the model applies before"
                    self.report(
                        [Problem(f"the parameter {key} is shared with none", expected=expected)], name, span
                    )
                    continue
            elif parameter.name is not None:
                known = self.named.setdefault(parameter.name, (f"{name}.{key}", parameter.shape))
                if known[0] == f"{name}.{key}":
                    continue
            if known is not None:
                found[key] = known[0]
                if known[1] != parameter.shape:
                    message = f"the parameter {key} has another shape than {known[0]}, which it is"
                    other, own = str(known[1]), str(parameter.shape)
                    self.report([Problem(message, expected=other, found=own)], name, span)
        return found

    def parameter_of(self, layer: Layer, key: str) -> tuple[str, Shape | None] | None:
        """What a parameter of a layer is called, and its shape; None where there is none so far."""
        step = self.owners.get(self.first_use.get(id(layer), ""))
        if step is None or step.forward is None or key not in step.forward.parameters:
            return None
        return step.shared.get(key, f"{step.name}.{key}"), step.forward.parameters[key].shape

    def name_of(self, layer: Layer, span: Span | None, owner: str | None) -> str:
        """The name of a step: given, or its kind and the first free number; a second use says so."""
        if owner is None and layer.name is not None:
            return self.given_name(layer, span)
        first, base = (2, f"{owner}_use") if owner else (1, f"{layer.kind}_")
        number = self.numbers.get(base, first)
        while f"{base}{number}" in self.names:
            number += 1
        self.names.add(f"{base}{number}")
        self.numbers[base] = number + 1
        return f"{base}{number}"

    def given_name(self, layer: Layer, span: Span | None) -> str:
        name = normalised(layer.name) if isinstance(layer.name, str) else layer.name
        problem = None
        if not isinstance(name, str) or not name.isidentifier():
            problem = Problem(
                "wrong name", expected="letters, digits and _, not beginning with a digit", found=repr(name)
            )
        elif name in RESERVED_NAMES:
            problem = Problem(
                f"the name {name} is reserved",
                expected=f"another name; the module calls its own tensors {', '.join(RESERVED_NAMES)}",
                found=repr(name),
                advice=f"{name}_1, for example",
            )
        elif name in self.given:
            kind = "an input and a layer" if name in self.inputs.values() else "two layers"
            problem = Problem(f"{kind} are called {name}", expected="a name of its own for each layer")
        if problem is not None:
            self.report([problem], str(name), span)
        self.given.add(str(name))
        return str(name)
