"""Whatever the rules do, the numbers stay: against the unsimplified program, twice, under any hash seed."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.derive.vjp import vjp
from compiler.errors import CompilerBug
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.printer import describe_term
from compiler.ir.tensor.program import Definition, Program
from compiler.ir.tensor.record import rewritten
from compiler.simplify.self_check import differences
from compiler.simplify.simplify import RULES, simplify, stabilise
from compiler.simplify.terms import replace_body
from tests.simplify import programs
from tests.simplify.programs import BATCH_SIZE, LABEL, LABELS, sum_of, term

PROGRAMS = {
    "classifier": programs.classifier,
    "softmax": programs.softmax,
    "sigmoid": lambda: programs.activation(programs.sigmoid),
    "elu": lambda: programs.activation(programs.elu),
    "silu": lambda: programs.activation(lambda x: x * programs.sigmoid(x)),
    "mean_squared_error": programs.mean_squared_error,
    "log_sum_exp": programs.log_sum_exp,
    "batch_normalisation": lambda: programs.normalisation("bhwc", "c"),
    "layer_normalisation": lambda: programs.normalisation("bc", "b"),
    "convolution": programs.convolution,
    "second_order": programs.hessian_vector_product,
}
every_program = pytest.mark.parametrize("name", PROGRAMS)

POINTWISE = {
    "tanh": sympy.tanh,
    "exp": sympy.exp,
    "square": lambda x: x**2,
    "half": lambda x: x / 2,
    "relu": programs.relu,
    "leaky_relu": programs.leaky_relu,
    "elu": programs.elu,
    "sigmoid": programs.sigmoid,
    "silu": lambda x: x * programs.sigmoid(x),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "root": lambda x: sympy.sqrt(x**2 + sympy.Rational(1, 10)),
    "reciprocal": lambda x: 1 / (1 + x**2),
}
PAIRWISE = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "gate": lambda x, y: x * programs.sigmoid(y),
}
REDUCED = {
    "sum": lambda x: x,
    "sum of exponentials": sympy.exp,
    "sum of squares": lambda x: x**2,
    "mean": lambda x: x / 10,
}
BROADCAST = {
    "divide": lambda x, s: x / (1 + s**2),
    "centre": lambda x, s: x - s,
    "scale": lambda x, s: x * s,
    "normalise": lambda x, s: sympy.exp(x) / (1 + s**2),
}


def random_inputs(program: Program, batch: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    values = {}
    for tensor in program.inputs:
        shape = concrete_shape(tensor.shape, batch)
        if tensor.dtype == "index":
            values[tensor.name] = generator.integers(0, tensor.limit, shape)
        elif tensor.name != "batch_size":
            values[tensor.name] = generator.standard_normal(shape)
    return values


def assert_same_outputs(before: Program, after: Program) -> None:
    assert before.outputs == after.outputs
    inputs = random_inputs(before)
    expected, found = run(before, inputs, batch=3), run(after, inputs, batch=3)
    for name in before.outputs:
        scale = 1.0 + np.abs(expected[name]).max(initial=0.0)
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-11 * scale, err_msg=name)


@every_program
def test_outputs_are_the_same(name):
    program = PROGRAMS[name]()
    assert_same_outputs(program, simplify(program, strict=True)[0])


@every_program
def test_simplifying_twice_changes_nothing(name):
    once, _ = simplify(PROGRAMS[name](), strict=True)
    twice, rewrites = simplify(once, strict=True)
    assert twice == once, rewrites


def test_stabilising_twice_changes_nothing():
    once, _ = stabilise(programs.classifier(with_gradients=False), strict=True)
    assert stabilise(once, strict=True) == (once, ())


@st.composite
def random_programs(draw) -> Program:
    """A chain of pointwise steps, sums and broadcasts over x[b,k], then a label's loss or a plain sum."""
    everywhere = ("b", "k")
    definitions: list[Definition] = []
    matrices, vectors = ["x"], []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["pointwise", "pairwise", "reduce", "broadcast"]))
        name = f"t{number}"
        x = {"x": (draw(st.sampled_from(matrices)), everywhere)}
        if kind == "reduce":
            body = REDUCED[draw(st.sampled_from(sorted(REDUCED)))]
            definitions.append(sum_of(name, (None,), term("bk", ("b",), body, x)))
            vectors.append(name)
            continue
        if kind == "broadcast" and vectors:
            body = BROADCAST[draw(st.sampled_from(sorted(BROADCAST)))]
            x["s"] = (draw(st.sampled_from(vectors)), ("b",))
        elif kind == "pairwise":
            body = PAIRWISE[draw(st.sampled_from(sorted(PAIRWISE)))]
            x["y"] = (draw(st.sampled_from(matrices)), everywhere)
        else:
            body = POINTWISE[draw(st.sampled_from(sorted(POINTWISE)))]
        definitions.append(sum_of(name, (None, 10), term("bk", everywhere, body, x)))
        matrices.append(name)
    size = {"n": ("batch_size", ())}
    if draw(st.booleans()):
        last = {"x": (matrices[-1], ("b", LABEL))} | size
        loss = term("b", (), lambda x, n: sympy.log(1 + x**2) / n, last)
    else:
        loss = term("bk", (), lambda x, n: x / n, {"x": (matrices[-1], everywhere)} | size)
    more = [term("b", (), lambda v: v, {"v": (name, ("b",))}) for name in vectors]
    definitions.append(sum_of("loss", (), loss, *more))
    inputs = (programs.given("x", None, 10), LABELS, BATCH_SIZE)
    return vjp(Program(inputs, tuple(definitions), ("loss",)), "loss", ("x",))[0]


def is_finite(program: Program) -> bool:
    values = run(program, random_inputs(program), batch=3)
    return all(np.abs(values[name]).max(initial=0.0) < 1e8 for name in program.outputs)


# Drawing a program differentiates it, which is slow on a busy machine.
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(random_programs())
def test_random_programs_keep_their_values(program):
    simplified, _ = simplify(program, strict=True)
    if is_finite(program):
        assert_same_outputs(program, simplified)


def halve_something(program, memo):
    """A wrong rule: the first cotangent that is not a constant loses half of its value, once."""
    for definition in program.definitions:
        body = definition.terms[0].body
        if definition.name == "z.cotangent" and not body.has(sympy.Rational(1, 2)):
            halved = replace(
                definition, terms=(replace_body(definition.terms[0], body / 2), *definition.terms[1:])
            )
            return replaced(program, definition.name, halved), []
    return program, []


def test_a_wrong_rule_is_caught():
    program = programs.classifier()
    with pytest.raises(CompilerBug, match=r"z\.cotangent"):
        simplify(program, strict=True, rules=(*RULES, halve_something))
    fallen_back, (finding,) = simplify(program, rules=(*RULES, halve_something))
    assert fallen_back == program
    assert finding.rule == "self-check" and "z.cotangent" in finding.why


def test_the_check_shrinks_loops_and_still_sees_a_wrong_extent():
    """Σ_k p = 1 holds at any extent; a literal 1/30 is only right at the real one, and is looked at there."""
    before = programs.normalisation("bhwc", "c")
    after, _ = simplify(before, strict=True)
    wrong = [
        replace(
            d,
            terms=tuple(
                replace_body(t, t.body.subs(sympy.Rational(1, 30), sympy.Rational(1, 31))) for t in d.terms
            ),
        )
        if d.name == "x.cotangent"
        else d
        for d in after.definitions
    ]
    assert differences(before, after) == ()
    assert differences(before, after.with_definitions(wrong)) == ("x.cotangent",)


def describe_all(definition):
    """One line for a definition, as the rewrite records show it."""
    return "; ".join(describe_term(definition.name, term, definition.operation) for term in definition.terms)


@every_program
def test_every_rewrite_is_explained(name):
    program, rewrites = simplify(PROGRAMS[name](), strict=True)
    assert all(r.rule and r.why and r.before != r.after for r in rewrites)
    final = {rewritten("", d, d, "").after for d in program.definitions}
    unchanged = {rewritten("", d, d, "").after for d in PROGRAMS[name]().definitions}
    told = {part for r in rewrites for part in (r.after, *r.after.split("; "))}
    assert all(text in told or set(text.split("; ")) <= told for text in final - unchanged)


def texts() -> str:
    names = ("classifier", "elu", "layer_normalisation")
    return "\n".join(str(part) for name in names for part in simplify(PROGRAMS[name](), strict=True))


def test_the_hash_seed_does_not_matter():
    """This process has drawn its own."""
    script = "from tests.simplify.test_agreement import texts; print(texts(), end='')"
    environment, command = {**os.environ, "PYTHONHASHSEED": "1"}, [sys.executable, "-c", script]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert found == texts()
