"""Per-example gradients against the gradients of batches of one, in the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.per_example import per_example
from compiler.derive.vjp import cotangent_name, vjp
from compiler.errors import ModelError
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.verify import verify
from compiler.language.formula import Operand, compile_formula
from compiler.simplify.simplify import simplify
from tests.derive.cases import Case, sample
from tests.derive.model_cases import model_cases
from tests.derive.rungs import compare

MODELS = [case for case in model_cases() if case.name in ("classifier", "regression", "residual")]
TENSORS = (
    Tensor("x", (None, 3), "input"),
    Tensor("W", (3, 3), "parameter"),
    Tensor("v", (3,), "parameter"),
    Tensor("unused", (2,), "parameter"),
    Tensor("batch_size", (), "batch_size"),
)
PARAMETERS = ("W", "v", "unused")


def formula(text: str) -> Program:
    """A program with a scalar output "loss" of inputs x (batch, 3), W (3, 3) and v (3,)."""
    compiled = compile_formula(
        text,
        operands={t.name: Operand(t.name, t.shape) for t in TENSORS if t.name != "batch_size"},
        results={"loss": Operand("loss", ())},
        prefix="loss",
        origin="loss",
    )
    return Program(TENSORS, tuple(compiled.definitions), ("loss",))


def assert_equals_batches_of_one(program: Program, parameters: tuple[str, ...], inputs: dict) -> None:
    apart, rewrites = per_example(program, "loss", parameters)
    verify(apart)
    assert rewrites
    single, _ = vjp(program, "loss", parameters)
    batched = {t.name for t in program.inputs if None in t.shape}
    for derived in (apart, simplify(apart, strict=True)[0]):
        copies = [e.name for e in (*derived.inputs, *derived.definitions) if e.role == "each"]
        assert not any(derived.find("each", parameter) in copies for parameter in parameters)
        losses, *gradients = derived.outputs
        values = run(derived, inputs)
        for k in range(values[losses].shape[0]):
            alone = {n: v[k : k + 1] if n in batched else v for n, v in inputs.items() if n != "batch_size"}
            expected = run(single, alone, batch=1)
            assert values[losses][k] == pytest.approx(float(expected["loss"]), rel=1e-12)
            for name, gradient in zip(parameters, gradients, strict=True):
                found = values[gradient][k]
                worst = compare(found, expected[cotangent_name(name)], f"{name} of example {k}")
                assert worst.error < 1e-11, worst


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_models(case: Case) -> None:
    program = case.build()
    parameters = tuple(t.name for t in program.inputs if t.kind == "parameter")
    assert_equals_batches_of_one(program, parameters, sample(case, program))


FORMULAS = {
    "mean": "h[b, o] = tanh(sum[i](W[i, o] * x[b, i])); loss[] = mean[b](sum[o](v[o] * h[b, o]))",
    "sum": "loss[] = sum[b, o](v[o] * exp(x[b, o]))",
    "a sum over the batch as a stage": "s[] = sum[b, o](v[o]**2 * x[b, o]); loss[] = 3 * s[] / batch_size[]",
    "a penalty": "loss[] = mean[b](sum[o](v[o] * x[b, o])) + sum[i, o](W[i, o]**4)",
    "normalised weights": """
        n[o] = sum[i](W[i, o]**2)
        loss[] = mean[b](sum[i, o](x[b, i] * W[i, o] / sqrt(n[o])))
    """,
    "a maximum of weights": "m[o] = max[i](W[i, o]**2); loss[] = mean[b](sum[o](x[b, o] * m[o]))",
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    rng = np.random.default_rng(3)
    inputs = {"x": rng.normal(size=(4, 3)), "W": rng.normal(size=(3, 3)), "v": rng.normal(size=3)}
    inputs["unused"] = rng.normal(size=2)
    assert_equals_batches_of_one(formula(FORMULAS[name]), PARAMETERS, inputs)


INTERACTING = {
    "batch statistics": "m[c] = mean[b](x[b, c]); loss[] = mean[b](sum[c](v[c] * (x[b, c] - m[c])**2))",
    "a root of the mean": "s[] = mean[b](sum[c](v[c] * x[b, c])); loss[] = sqrt(s[]**2 + 1)",
    "a square of the mean": "s[] = mean[b](sum[c](v[c] * x[b, c])); loss[] = s[]**2",
    "the size of the batch": "h[b, c] = v[c] * x[b, c] / batch_size[]; loss[] = sum[b, c](h[b, c])",
}


@pytest.mark.parametrize("name", INTERACTING)
def test_examples_that_interact(name: str) -> None:
    with pytest.raises(ModelError, match="examples of a batch interact"):
        per_example(formula(INTERACTING[name]), "loss", PARAMETERS)
