"""What is wrong with a layer's `Forward`: its shapes, and its formulas on inputs of known shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from compiler.errors import Problem
from compiler.language.formula.check import formula_problems
from compiler.language.formula.scope import Operand
from compiler.language.layers.base import Forward, Layer, Parameter, Results, Shape
from compiler.language.layers.checks import is_integer
from compiler.language.regularizers.base import Regularizer


def forward_problems(forward: object, layer: Layer) -> Iterator[Problem]:
    """What is wrong with the result of a layer's `forward`, which may be the user's own."""
    if not isinstance(forward, Forward):
        yield Problem(
            "forward must return a Forward", expected="Forward(formula, shape)", found=repr(forward)
        )
        return
    kept = [*forward.parameters.items(), *forward.state.items()]
    for key, state in forward.state.items():
        if state.shared is not None or state.name is not None:
            yield Problem(f"the state {key} is shared", expected="sharing of trainable parameters alone")
        if state.regularizer is not None:
            yield Problem(f"the state {key} has a regularizer", expected="one for trainable parameters alone")
    groups = (forward.parameters.keys(), forward.state.keys(), forward.example_state.keys())
    for first, second in combinations(groups, 2):
        for key in first & second:
            yield Problem(f"{key} is both a parameter and a state in Forward", expected="two names")
    results = forward.results if isinstance(forward.shape, tuple) else {"y": forward.shape}
    if len(results) != layer.outputs:
        expected = f"{layer.outputs}, as {type(layer).__name__}.outputs says"
        yield Problem("wrong number of shapes in Forward", expected=expected, found=str(len(results)))
    shapes: dict[str, Shape | None] = {
        "shape" if key == "y" else f"shape of {key}": shape for key, shape in results.items()
    }
    shapes |= {key: p.shape for key, p in kept}
    shapes |= forward.example_state
    for key, shape in shapes.items():
        if not isinstance(shape, tuple) or not all(is_integer(size) and size > 0 for size in shape):
            yield Problem(
                f"wrong {key} in Forward", expected="a tuple of positive integers", found=repr(shape)
            )


def layer_operands(
    forward: Forward, shapes: Sequence[Shape], limits: Sequence[int | None]
) -> dict[str, Operand]:
    """What the formulas of a layer read, inputs first. `limits` are given for inputs of integers: those lie
    below."""
    names = forward.input_names(len(shapes))
    kept = {**forward.parameters, **forward.state}
    operands = {
        name: Operand(name, (None, *shape), "real" if limit is None else "index", limit)
        for name, shape, limit in zip(names, shapes, limits, strict=True)
    }
    operands |= {name: Operand(name, parameter.shape) for name, parameter in kept.items()}
    return operands | {name: Operand(name, (None, *shape)) for name, shape in forward.example_state.items()}


def new_states(forward: Forward) -> dict[str, Operand]:
    """What the formula of training defines besides results: the next value of every state."""
    states = {f"new_{name}": Operand(f"new_{name}", state.shape) for name, state in forward.state.items()}
    return states | new_example_states(forward)


def new_example_states(forward: Forward) -> dict[str, Operand]:
    """The next value of the states that each example has, which are renewed outside training too."""
    shapes = forward.example_state.items()
    return {f"new_{name}": Operand(f"new_{name}", (None, *shape)) for name, shape in shapes}


def layer_formula_problems(forward: Forward, operands: Mapping[str, Operand]) -> list[Problem]:
    """What is wrong with the formulas of a layer, and with those that its parameters start by."""
    kept = {**forward.parameters, **forward.state}
    results = {name: Operand(name, (None, *shape)) for name, shape in forward.results.items()}
    texts = [(forward.formula, results | new_states(forward))]
    if forward.inference is not None:
        texts.append((forward.inference, results | new_example_states(forward)))
    problems = [
        problem
        for text, wanted in texts
        for problem in formula_problems(
            text, operands=operands, results=wanted, constants=forward.constants, sizes=forward.sizes
        )
    ]
    for name, parameter in kept.items():
        if parameter.shared is not None:
            continue
        problems += _initializer_problems(parameter)
        if parameter.regularizer is not None:
            problems += _regularizer_problems(name, parameter.known_shape, parameter.regularizer)
        if parameter.constraint is not None and not parameter.shape:
            problems.append(
                Problem(f"{name} is one number, and has a constraint", expected="an axis or more")
            )
    return problems


def _regularizer_problems(name: str, shape: Shape, regularizer: Regularizer) -> list[Problem]:
    return formula_problems(
        regularizer.formula,
        operands={"parameter": Operand(name, shape)},
        results={"penalty": Operand("penalty", ())},
        constants=regularizer.constants,
        sizes={},
    )


def _initializer_problems(parameter: Parameter) -> list[Problem]:
    start, shape = parameter.start, parameter.known_shape
    return list(start.shape_problems(shape)) or formula_problems(
        start.formula,
        operands={},
        results={"value": Operand("value", shape)},
        constants=start.constants(shape),
        sizes={},
    )


def not_a_value(value: object) -> Problem:
    """That a layer is applied to what is no value of a model."""
    if isinstance(value, type) and issubclass(value, Layer):
        found, advice = f"the class {value.__name__}", f"{value.__name__}(…) applied to a value"
    elif isinstance(value, Results):
        found, advice = f"all {len(value)} results of a layer", "one of them: h, c = …, and then h"
    elif isinstance(value, Layer):
        name = type(value).__name__
        found, advice = f"a layer, {name}, that is applied to nothing", f"{name}(…)(x)"
    else:
        found, advice = repr(value), None
    return Problem(
        "a layer is applied to what is no part of the model",
        expected="an Input, or the result of another layer",
        found=found,
        advice=advice,
    )


def sharing_problems(forward: Forward | None, first: Forward | None, owner: str | None) -> list[Problem]:
    """What keeps a layer that is used again from using the parameters of its `first` use, that of `owner`."""
    if forward is None or first is None:
        return []
    if first.state or first.example_state:
        advice = "a layer of its own for each use"
        return [Problem("a layer with a state of its own is used twice", found=owner, advice=advice)]
    here, there = ({name: p.shape for name, p in f.parameters.items()} for f in (forward, first))
    if here == there:
        return []
    message = "the parameters that it shares have other shapes here"
    return [Problem(message, expected=f"{there}, as in {owner}", found=str(here))]
