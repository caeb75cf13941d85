"""Layers at a point, what they and their cotangents are there, and written code held against it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from compiler.derive.vjp import vjp
from compiler.ir.tensor.counter_random import uniform
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.program import Tensor
from compiler.tools.derive.code import jax_code, numpy_text, torch_code
from compiler.tools.derive.derivation import derive_modes
from compiler.tools.derive.problem import Question, asked, given_cotangent
from tests.derive.cases import Case, sample
from tests.derive.layer_cases import (
    convolution_cases,
    other_layer_cases,
    pooling_cases,
    rectangular_cases,
)
from tests.derive.sequence_cases import sequence_cases

TOLERANCE = 1e-12
LOUD = {"divide": "raise", "over": "raise", "invalid": "raise"}
"""What NumPy would warn of raises FloatingPointError."""
ZOO = [*other_layer_cases(), *sequence_cases()]
GRIDS = [*convolution_cases(), *pooling_cases(), *rectangular_cases()]


@dataclass(frozen=True)
class Example:
    """A layer at a point, with a cotangent of its output; the values that are right there."""

    case: Case
    question: Question
    tensors: tuple[Tensor, ...]
    inputs: tuple[np.ndarray, ...]
    seed: np.ndarray
    cotangents: dict[str, np.ndarray]
    value: np.ndarray


@lru_cache(maxsize=8)
def example(case: Case) -> Example:
    """The layer at its point, by the interpreter."""
    program = case.build()
    plain, _ = vjp(program, case.output, case.wrt, seed="input")
    values = dict(sample(case, program))
    rng = np.random.default_rng(3)
    seed = rng.standard_normal(concrete_shape(program.shape(case.output), case.batch))
    found = run(plain, {**values, given_cotangent(plain, case.output): seed}, batch=case.batch)
    cotangents = {by: found[n] for by, n in zip(case.wrt, plain.outputs[-len(case.wrt) :], strict=True)}
    tensors = tuple(t for t in program.inputs if t.kind not in ("batch_size", "iota"))
    inputs = tuple(_given(t, case, values) for t in tensors)
    question = asked(case.name, program, case.output, case.wrt)
    return Example(case, question, tensors, inputs, np.asarray(seed), cotangents, found[case.output])


def _given(tensor: Tensor, case: Case, values: dict[str, np.ndarray]) -> np.ndarray:
    """What a function is called with for a tensor."""
    shape = concrete_shape(tensor.shape, case.batch)
    if tensor.kind == "random":
        return uniform(0, 0, tensor.stream, np.arange(int(np.prod(shape)))).reshape(shape)
    return np.asarray(values[tensor.name])


def compiled(text: str) -> dict[str, Any]:
    """The names of a text of Python that was run."""
    names: dict[str, Any] = {}
    exec(compile(text, "derived", "exec"), names)
    return names


def assert_close(found: Any, expected: np.ndarray, what: object) -> None:
    """Raise AssertionError where values are off, relative to the largest."""
    found = np.asarray(found, np.float64)
    assert found.shape == expected.shape, what
    size = max(1.0, float(np.abs(expected).max(initial=0.0)))
    assert np.abs(found - expected).max(initial=0.0) <= TOLERANCE * size, what


@np.errstate(**LOUD)
def examine_numpy(at: Example) -> None:
    """Written NumPy gives what is right, and warns of nothing."""
    (derived,) = derive_modes(at.question, ["vjp"])
    text = numpy_text(at.question, [derived])
    functions = compiled(text)
    assert_close(functions["forward"](*at.inputs), at.value, text)
    if derived.seeded is None:
        found, factor = functions["gradient"](*at.inputs), float(at.seed)
    else:
        read = [a for t, a in zip(at.tensors, at.inputs, strict=True) if t.kind != "random"]
        # Noise that is added is not read by the way back, and no argument of it.
        every = len(inspect.signature(functions["vjp"]).parameters) == len(at.inputs) + 1
        found, factor = functions["vjp"](*(at.inputs if every else read), at.seed), 1.0
    found = found if isinstance(found, tuple) else (found,)
    for name, result in zip(at.case.wrt, found, strict=True):
        assert_close(factor * np.asarray(result), at.cotangents[name], f"{name}\n{text}")


def examine_jax(at: Example, jax: ModuleType) -> None:
    """Written JAX gives what is right, by JAX's own `vjp`."""
    text = jax_code(at.question)
    function = compiled(text)["formula"]
    found, pull = jax.vjp(function, *map(jax.numpy.asarray, at.inputs))
    assert_close(found, at.value, text)
    for tensor, result in zip(at.tensors, pull(jax.numpy.asarray(at.seed)), strict=True):
        if tensor.name in at.cotangents:
            assert_close(result, at.cotangents[tensor.name], f"{tensor.name}\n{text}")


def examine_torch(at: Example, torch: ModuleType) -> None:
    """Written PyTorch gives what is right, by its own `backward`."""
    text = torch_code(at.question)
    arrays = [
        torch.tensor(np.asarray(a), requires_grad=t.name in at.cotangents)
        for t, a in zip(at.tensors, at.inputs, strict=True)
    ]
    found = compiled(text)["formula"](*arrays)
    assert_close(found.detach().numpy(), at.value, text)
    assert found.dtype == torch.float64
    found.backward(torch.tensor(np.asarray(at.seed)))
    for tensor, array in zip(at.tensors, arrays, strict=True):
        if tensor.name in at.cotangents:
            assert_close(array.grad.numpy(), at.cotangents[tensor.name], f"{tensor.name}\n{text}")
