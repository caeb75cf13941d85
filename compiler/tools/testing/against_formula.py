"""A derivative that somebody wrote, against the formula that it is of: right, or which index is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.prune import needed_for
from compiler.show.definitions import statements
from compiler.show.names import Called, called
from compiler.show.text import text
from compiler.tools.derive.problem import Question, given_cotangent
from compiler.tools.testing.mistakes import mistake, same

EXAMPLES = 2


def findings(
    function: Callable[..., Any], asked: Question, seed: int
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(tensor, what is wrong with its cotangent or "", formulas of the right one), for each. Raises
    ValueError where the function does not return one array for each."""
    rng = np.random.default_rng(seed)
    program = asked.program
    pulled, _ = vjp(program, asked.output, asked.wrt, seed="input")
    given = [t for t in program.inputs if t.kind not in ("batch_size", "iota", "random")]
    values = {t.name: _drawn(rng, t) for t in given}
    name = given_cotangent(pulled, asked.output)
    cotangent = rng.standard_normal(concrete_shape(program.shape(asked.output), EXAMPLES))
    arguments = [values[t.name] for t in given]
    if len(inspect.signature(function).parameters) > len(arguments):
        arguments.append(cotangent)
    else:
        # Without a cotangent it is a gradient, of a formula whose result is one number.
        cotangent = np.ones_like(cotangent)
    right = run(pulled, {**values, name: cotangent}, batch=EXAMPLES)
    found = _by_name(function(*arguments), asked)
    names = called([pulled])
    results = dict(zip(asked.wrt, pulled.outputs[-len(asked.wrt) :], strict=True))
    for tensor, result in results.items():
        array = np.asarray(found[tensor], np.float64)
        wrong = "" if same(array, right[result]) else mistake(array, right[result], _axes(program, tensor))
        yield tensor, wrong, tuple(_formulas(pulled, result, asked.output, names))


def _formulas(pulled: Program, result: str, output: str, names: Called) -> Iterator[str]:
    """The formula of a derivative, and of what it reads that the formula in question does not name."""
    definition = pulled.definition(result)
    if definition is None:
        return
    yield from (f"right is  {text(s)}" for s in statements(definition, names))
    for inner in needed_for(pulled, result).definitions:
        if inner.name not in (result, output):
            yield from (f"where     {text(s)}" for s in statements(inner, names))


def _drawn(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    shape = concrete_shape(tensor.shape, EXAMPLES)
    if tensor.dtype == "index":
        return rng.integers(0, tensor.limit or 1, shape)
    return rng.uniform(0.2, 1.5, shape)


def _by_name(found: Any, asked: Question) -> Mapping[str, Any]:
    """What was returned, by tensor."""
    if isinstance(found, Mapping):
        missing = [name for name in asked.wrt if name not in found]
        if missing:
            raise ValueError(f"the derivative by {', '.join(missing)} is missing")
        return found
    parts = tuple(found) if isinstance(found, tuple | list) else (found,)
    if len(parts) != len(asked.wrt):
        wanted = ", ".join(asked.wrt)
        raise ValueError(f"expected {len(asked.wrt)} derivatives, by {wanted}; found {len(parts)}")
    return dict(zip(asked.wrt, parts, strict=True))


def _axes(program: Program, tensor: str) -> list[str]:
    """What the formula calls the axes of a tensor: as its first read does, else by their numbers."""
    for definition in program.definitions:
        for term in definition.terms:
            for _, access in term.reads:
                if access.tensor == tensor:
                    return [i.single_axis or f"axis {k}" for k, i in enumerate(access.indices)]
    return [f"axis {k}" for k, _ in enumerate(program.shape(tensor))]
