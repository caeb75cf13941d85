"""Formulas as rows of a table: the text, the shapes of what it reads, and the same in JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from compiler.ir.tensor.program import Program, Tensor
from tests.derive.cases import Case, formula_program


@dataclass(frozen=True)
class Row:
    """`shapes` holds the batch as None; `reference(np, v)` computes y from arrays by name with jax.numpy."""

    formula: str
    shapes: dict[str, tuple[int | None, ...]]
    y: tuple[int | None, ...]
    reference: Callable
    constants: dict[str, float] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    """Of integer tensors: the values lie below."""
    draw: Callable | None = None
    """Fills one input, see tests/derive/cases.py."""


def case_of(name: str, row: Row) -> Case:
    """The row as a case of the gradient tests, differentiated with respect to everything real."""

    def program() -> Program:
        inputs = [
            Tensor(key, shape, "input", "index" if key in row.limits else "real", row.limits.get(key))
            for key, shape in row.shapes.items()
        ]
        return formula_program(row.formula, inputs, {"y": row.y}, row.constants)

    wrt = tuple(key for key in row.shapes if key not in row.limits)
    return Case(name, program, "y", wrt, lambda jax, v: row.reference(jax.numpy, v), row.draw)
