"""Where a model begins and ends: its inputs and outputs, each with the name that callers know it by.

Model(x, y, …)                                one of each: arrays at the door
Model([left, right], [digit, same], …)        several: tuples at the door, or dictionaries
Model({"left": left, "right": right}, …)      with names of their own: dictionaries are given back too
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from compiler.errors import Problem
from compiler.language.formula.spelling import normalised
from compiler.language.layers.base import Node, Placeholder
from compiler.language.layers.graph import RESERVED_NAMES, Graph
from compiler.language.layers.shaping import Input


@dataclass(frozen=True)
class Values:
    """Inputs or outputs as they were written: one, a list of them, or a dictionary."""

    given: tuple[object, ...]
    names: tuple[object, ...]
    """Of a dictionary; of others none is given here."""
    several: bool

    @property
    def keyed(self) -> bool:
        """Whether they were given with names of their own."""
        return bool(self.names)


def values_of(written: object) -> Values:
    """What was written for inputs or outputs."""
    if isinstance(written, Mapping):
        found = Values(tuple(written.values()), tuple(written), True)
    elif isinstance(written, list | tuple):
        found = Values(tuple(written), (), True)
    else:
        found = Values((written,), (), False)
    return _with_companions(found)


def _with_companions(values: Values) -> Values:
    """With the lengths or the mask of each input that has such behind it, unless it is there."""
    given: list[object] = []
    names: list[object] = []
    for number, value in enumerate(values.given):
        given.append(value)
        names += values.names[number : number + 1]
        companion = value.companion if isinstance(value, Input) else None
        if companion is None or any(other is companion for other in values.given):
            continue
        given.append(companion)
        if values.keyed and isinstance(value, Input):
            names.append(f"{values.names[number]}_{_suffix(value)}")
    return Values(tuple(given), tuple(names), values.several or len(given) > 1)


def _suffix(value: Input) -> str:
    return "lengths" if value.lengths is not None else "mask"


def input_names(inputs: Values) -> dict[int, str]:
    """The name of each Input by its identity: a dictionary's, its own, or one made of its place.

    Lengths and masks are called after the input that they are of."""
    of = {id(v.companion): v for v in inputs.given if isinstance(v, Input) and v.companion is not None}
    alone = [value for value in inputs.given if id(value) not in of]
    names: dict[int, str] = {}
    for number, value in sorted(enumerate(inputs.given), key=lambda pair: id(pair[1]) in of):
        if isinstance(value, Input):
            owner = of.get(id(value))
            if owner is not None:
                made = f"{names[id(owner)]}_{_suffix(owner)}"
            else:
                made = f"input_{_place(value, alone)}" if len(alone) > 1 else "input"
            name = inputs.names[number] if inputs.keyed else value.name if value.name is not None else made
            names.setdefault(id(value), normalised(name) if isinstance(name, str) else repr(name))
    return names


def _place(value: object, values: list[object]) -> int:
    """The number of a value among others, from 1."""
    return next(number for number, other in enumerate(values, 1) if other is value)


def input_problems(inputs: Values, graph: Graph | None) -> Iterator[Problem]:
    """What is wrong with where a model begins; without its graph where it does not end well."""
    one = not inputs.several
    if not inputs.given:
        yield Problem("the model has no input", expected="an Input(…), or several")
    for value in inputs.given:
        if not isinstance(value, Input | Placeholder):
            what = "the model's input" if one else "one of the model's inputs"
            yield Problem(f"{what} is not an Input", expected="one Input(…)", found=described(value))
    real = [value for value in inputs.given if isinstance(value, Input)]
    yield from _name_problems(inputs, real)
    if graph is None or len(real) < len(inputs.given):
        return
    found = [step.layer for step in graph.steps if isinstance(step.layer, Input)]
    unknown = any(isinstance(step.layer, Placeholder) for step in graph.steps)
    names = input_names(inputs)
    for value in real:
        if not unknown and not any(layer is value for layer in found):
            name = "the model's input" if one else f"the input {names[id(value)]}"
            what = "the output does not depend on" if one else "no output and no loss depends on"
            yield Problem(f"{what} {name}", None if one else value.span)
    for layer in found:
        if not any(layer is value for value in real):
            yield Problem(
                f"the {'output' if one else 'model'} depends on another Input",
                layer.span,
                expected="one that the model is given",
                advice="Model([first, second], …) for a model of several inputs",
            )


def _name_problems(inputs: Values, real: list[Input]) -> Iterator[Problem]:
    names = input_names(inputs)
    if len(names) < len(real):
        yield Problem("an Input is given twice", expected="each input once")
    seen: set[str] = set()
    for value in dict.fromkeys(map(id, real)):
        name, layer = names[value], next(layer for layer in real if id(layer) == value)
        if not name.isidentifier():
            expected = "letters, digits and _, not beginning with a digit"
            yield Problem("wrong name of an input", layer.span, expected=expected, found=name)
        elif name in RESERVED_NAMES and name != "input":
            advice = f"{name}_1, for example"
            yield Problem(f"the name {name} is reserved", layer.span, expected="another name", advice=advice)
        elif name in seen:
            yield Problem(f"two inputs are called {name}", layer.span, expected="a name of its own for each")
        seen.add(name)


def output_problems(outputs: Values) -> Iterator[Problem]:
    """What is wrong with where a model ends."""
    if not outputs.given:
        yield Problem("the model has no output", expected="the result of a layer, or several")
    for value in outputs.given:
        if not isinstance(value, Node | Placeholder):
            message = "one of the model's outputs" if outputs.several else "the model's output"
            yield Problem(
                f"{message} is not a value", expected="the result of a layer", found=described(value)
            )
    if len(set(map(id, outputs.given))) < len(outputs.given):
        yield Problem("a value is an output twice", expected="each output once")
    for name in outputs.names:
        if not isinstance(name, str) or not name.isidentifier():
            expected = "letters, digits and _, not beginning with a digit"
            yield Problem("wrong name of an output", expected=expected, found=repr(name))


def described(value: object) -> str:
    """A value as an error shows it."""
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)
