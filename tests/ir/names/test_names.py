"""A name means nothing: programs whose names are the compiler's own give what those with plain names give.

Every stage, axis, parameter, constant and layer is called at random by what the compiler, Python, C, Cython,
NumPy or the templates call something of their own. Values, VJP, JVP and Hessian products agree with the same
program under plain names, through every pass, in the interpreter; some are compiled.
"""

from __future__ import annotations

import random
from contextlib import suppress
from functools import lru_cache
from typing import get_args

import numpy as np
import pytest

from compiler import ModelError
from compiler.derive.jvp import jvp
from compiler.derive.per_example import per_example
from compiler.derive.vjp import vjp
from compiler.driver import Driver
from compiler.ir.tensor.axes import has_batch, runs_over_batch
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.kinds import Role
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.verify import verify
from compiler.language.formula import Operand, compile_formula
from compiler.language.formula.spelling import normalised
from compiler.plan.stages import split
from compiler.plan.whole import kept_for
from compiler.simplify.simplify import simplify
from tests.ir.names.hostile import in_formulas
from tests.many import NAMES, PARTS

BATCH = 3
TEMPLATES = {
    "max": (
        "{s}[b, {i}] = x[b, {i}]*{p}[{i}] + {c}; {t}[b, {i}] = tanh({s}[b, {i}]);"
        "y[b, {i}] = max[{j}:2]({t}[b, {i} + {j}])",
        {"p": (6,)},
        (5,),
    ),
    "convolution": (
        "{s}[b, {i}] = x[b, {i}]*x[b, {i}];"
        "y[b, {i}] = sum[{j}:3](pad({s}, 0)[b, {i} + {j} - 1]*{p}[{j}]) + {c}",
        {"p": (3,)},
        (6,),
    ),
    "softmax": (
        "{s}[b, {i}] = exp({p}[{i}]*x[b, {i}]); {t}[b] = sum[{i}]({s}[b, {i}]);"
        "y[b, {i}] = {s}[b, {i}]/{t}[b] + {c}*mean[{j}:6](x[b, {j}])",
        {"p": (6,)},
        (6,),
    ),
    "product": (
        "{s}[b, {k}] = sum[{i}]({p}[{i}, {k}]*x[b, {i}]);"
        "y[b, {j}] = sum[{k}]({p}[{j}, {k}]*{s}[b, {k}]) + {q}[{j}]*{j} + uniform[b, {j}] + uniform[b, {j}]",
        {"p": (6, 4), "q": (6,)},
        (6,),
    ),
    "statistics": (
        "{s}[{i}] = mean[b]({q}[{i}]*x[b, {i}]);"
        "{t}[{i}] = sum[b]((x[b, {i}] - {s}[{i}])**2)/batch_size[] + {c};"
        "y[b, {i}] = (x[b, {i}] - {s}[{i}])*{t}[{i}] + size(b)",
        {"q": (6,)},
        (6,),
    ),
    "recurrence": (
        "{s}[b, {i}] = {p}[{i}]*x[b, {i}] + {c};"
        "{t}[b, {i}] = tanh({s}[b, {i}] + {q}[{i}]*{t}[b, {i} - 1]) if {i} >= 1 else {s}[b, {i}];"
        "y[b, {i}] = {t}[b, {i}]*{s}[b, {i}]",
        {"p": (6,), "q": (6,)},
        (6,),
    ),
    "mask": (
        "{s}[b, {i}] = {p}[{i}]*x[b, {i}] if {i} >= 2 else {c};"
        "{t}[b] = log(sum[{j}:6](exp({s}[b, {j}])));"
        "y[b, {i}] = {s}[b, {i}] - {t}[b]",
        {"p": (6,)},
        (6,),
    ),
}
"""A formula, the shapes of its parameters, and the shape of `y` without the batch; x has six values."""
PLAIN = dict(
    zip(
        "stijkpqc",
        ["stage_one", "stage_two", "e", "f", "g", "first_one", "second_one", "constant_one"],
        strict=True,
    )
)


def cheap_when_changed(definition, program: Program) -> float:
    """A price that every pass finds worth a change: what was made costs nothing."""
    return 0.0 if definition.role in ("selected", "transformed", "packed") else float(len(definition.tensors))


def built(template: str, names: dict[str, str], prefix: str) -> Program:
    prefix = normalised(prefix)
    formula, parameters, shape = TEMPLATES[template]
    text = "\n".join(map(str.strip, formula.format(**names).split(";")))
    operands = {"x": Operand("given", (None, 6))}
    for key, size in parameters.items():
        operands[names[key]] = Operand(f"{prefix}.{normalised(names[key])}", size)
    compiled = compile_formula(
        text,
        operands=operands,
        results={"y": Operand(prefix, (None, *shape))},
        constants={names["c"]: 0.75},
        prefix=prefix,
        origin=prefix,
    )
    loss = compile_formula(
        "loss[] = mean[b, i](prediction[b, i]**2)",
        operands={"prediction": Operand(prefix, (None, *shape))},
        results={"loss": Operand("loss", ())},
        prefix="loss",
        origin="loss",
    )
    given = [Tensor("given", (None, 6), "input")]
    given += [Tensor(operands[names[key]].name, size, "parameter") for key, size in parameters.items()]
    given += [Tensor(r.name, r.shape, "random", stream=k) for k, r in enumerate(compiled.random)]
    given += [Tensor("iota", (compiled.iota,), "iota")] if compiled.iota else []
    given += [Tensor("batch_size", (), "batch_size")]
    return Program(tuple(given), (*compiled.definitions, *loss.definitions), ("loss",))


def derived(program: Program, order: int = 2) -> list[Program]:
    """Forward and gradient; to the second order pushforward, Hessian product and, where it is one, gradients
    of each example too."""
    program = Driver(cheap_when_changed).through(("forward",), "", program)
    wrt = tuple(tensor.name for tensor in program.inputs if tensor.kind in ("parameter", "input"))
    gradient, _ = vjp(program, "loss", wrt)
    if order == 1:
        return [program, simplify(gradient, strict=True)[0]]
    pushed, _ = jvp(program, wrt, ("loss",))
    hessian, _ = jvp(gradient, wrt, gradient.outputs[1:])
    again, _ = vjp(pushed, pushed.outputs[-1], wrt)
    result = [simplify(gradient, strict=True)[0], pushed, hessian, again]
    with suppress(ModelError):
        result.append(per_example(program, "loss", wrt[1:])[0])
    return [program, *result]


def lowered(program: Program) -> Program:
    program = Driver(cheap_when_changed).through(("lowering",), "", program)
    program, _ = split(program)
    sums = (d for d in program.definitions if d.operation == "sum" and not has_batch(d.shape))
    whole = frozenset(d.name for d in sums if runs_over_batch(*d.terms))
    program = kept_for(program, whole, frozenset(["given"]))
    verify(program)
    return program


def results(program: Program) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    inputs = {
        t.name: rng.uniform(0.3, 1.3, concrete_shape(t.shape, BATCH))
        for t in program.inputs
        if t.kind not in ("random", "iota", "batch_size")
    }
    values = run(program, inputs, batch=BATCH, seed=5)
    return [np.asarray(values[name]) for name in program.outputs]


@lru_cache
def expected(template: str, order: int) -> list[list[np.ndarray]]:
    return [results(program) for program in derived(built(template, PLAIN, "layer_one"), order)]


def check(template: str, names: dict[str, str], prefix: str, order: int = 2) -> None:
    programs = derived(built(template, names, prefix), order)
    for program, wanted in zip(programs, expected(template, order), strict=True):
        assert parse_program(print_program(program)) == program
        # What goes through every pass has been through the calculus: it is computed once, at the end.
        for found, right in zip(results(lowered(program)), wanted, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-10)


def drawn(rng: random.Random, template: str) -> dict[str, str]:
    """Different names, for Python too: two that it takes for one may not both be drawn."""
    while True:
        names = rng.sample(in_formulas(["b"]), len(PLAIN))
        if len(set(map(normalised, names))) == len(names):
            return dict(zip(PLAIN, names, strict=True))


def prefix_of(rng: random.Random) -> str:
    """A layer is called anything but what programs call their own tensors; `lower` sees to that."""
    return rng.choice([name for name in in_formulas() if name not in ("given", "loss", "iota", "batch_size")])


def check_drawn(number: int) -> None:
    """Each template in turn."""
    template = tuple(TEMPLATES)[number % len(TEMPLATES)]
    rng = random.Random(f"{template} {number // len(TEMPLATES)}")
    check(template, drawn(rng, template), prefix_of(rng))


@pytest.mark.parametrize("number", NAMES.few)
def test_names_mean_nothing(number: int) -> None:
    check_drawn(number)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10 * PARTS))
def test_many_names_mean_nothing(part: int) -> None:
    for number in NAMES.part(part, 10 * PARTS):
        check_drawn(number)


def like(role: str) -> dict[str, str]:
    return PLAIN | {"s": role, "t": f"{role}_2", "p": role + "s", "j": "winner"}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("role", get_args(Role))
def test_stages_called_like_roles(template: str, role: str) -> None:
    """Each role as a stage of a layer that is called like it too, and so are others of its tensors."""
    number = get_args(Role).index(role) + list(TEMPLATES).index(template)
    # One template in seven of each role to the second order, all of them in `make long`.
    check(template, like(role), role, 1 if number % len(TEMPLATES) else 2)


@pytest.mark.long
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("role", get_args(Role))
def test_stages_called_like_roles_to_the_second_order(template: str, role: str) -> None:
    check(template, like(role), role)
