"""Whether the numbers that a model is written with can be held in its dtype.

    y[b, i] = 1e39*x[b, i]        infinite in float32
    y[b, i] = log(x[b, i] + 1e-60)        0 in float32

Such a number would become another one without a word. Numbers that arise in derivatives are not looked at:
there the simplifier chooses among forms by what they lose.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping

import sympy

from compiler.errors import Problem, Span
from compiler.frontend.lowered import LoweredModel
from compiler.ir.tensor.program import Program, Term

RANGES = {
    "float32": (1.401298464324817e-45, 3.4028234663852886e38),
    "float64": (math.ulp(0.0), sys.float_info.max),
}
"""The smallest and the largest positive number of each dtype."""


def number_problems(model: LoweredModel, dtype: str, spans: Mapping[str, Span | None]) -> tuple[Problem, ...]:
    """A problem for each number of a layer, the loss or the optimizer that the dtype cannot hold.

    `spans` says where layers stand.
    """
    programs = (model.training, model.inference, model.optimizer.update)
    starts = ((spec.name, spec.initializer) for spec in (*model.parameters, *model.states))
    found: dict[tuple[str, sympy.Expr], Problem] = {}
    for owner, program in (*(("", program) for program in programs), *starts):
        for origin, number in _numbers(program):
            problem = _problem(number, dtype, origin or owner, spans.get(origin))
            if problem is not None:
                found.setdefault((origin or owner, number), problem)
    return tuple(found.values())


def _problem(number: sympy.Expr, dtype: str, layer: str, span: Span | None) -> Problem | None:
    smallest, largest = RANGES[dtype]
    size = abs(sympy.Float(number, 30)) if number.is_Number else abs(number.evalf(30))
    if not size.is_Float or size == 0 or smallest / 2 < size <= largest:
        return None
    becomes, bound = (
        ("infinite", f"at most {largest:.8g}, the largest number")
        if size > largest
        else ("0", f"at least {smallest:.2g}, the smallest positive number")
    )
    return Problem(
        f"a number of the formula is {becomes} in {dtype}",
        span,
        layer=layer,
        expected=f"{bound} that {dtype} holds",
        found=str(sympy.Float(number.evalf(20), 6)),
        advice="another number" if dtype == "float64" else "--dtype float64, or another number",
    )


def _numbers(program: Program) -> Iterator[tuple[str, sympy.Expr]]:
    """The numbers in the bodies of a program, the largest constant parts of them, with the layer."""
    for definition in program.definitions:
        for term in definition.terms:
            for number in _of_term(term):
                yield definition.origin, number


def _of_term(term: Term) -> Iterator[sympy.Expr]:
    for _, access in term.reads:
        if access.outside is not None:
            yield sympy.Float(access.outside)
    # A chain of thousands of terms is as deep as it is long: no recursion.
    waiting: list[sympy.Basic] = [term.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, sympy.Expr) and node.is_number:
            yield node
        else:
            waiting += node.args
