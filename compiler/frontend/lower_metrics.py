"""The metrics of a model as tensor programs: their sums over examples, and the program of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count

from compiler.frontend.joining import program_of
from compiler.ir.module.entry_point import Role
from compiler.ir.module.signature import Row
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.description import Model
from compiler.language.formula import CompiledFormula, Operand, compile_formula
from compiler.language.measures import NamedMetric, metric_operands
from compiler.language.objectives import real_positions

PREFIX = "label"
"""No layer is called so: nothing of one has a name that begins with it."""


@dataclass(frozen=True)
class LoweredMetrics:
    """The formulas of all sums, the rows of sums and values, and the program from these to those."""

    formulas: tuple[CompiledFormula, ...]
    sums: tuple[Row, ...]
    values: tuple[Row, ...]
    program: Program | None
    roles: Mapping[str, Role]


def lower_metrics(model: Model, tensors: Mapping[str, str], labels: Mapping[str, str]) -> LoweredMetrics:
    """`tensors` are what programs call the results of steps, `labels` the labels of losses by their names."""
    formulas: list[CompiledFormula] = []
    values: list[CompiledFormula] = []
    sums: list[Row] = []
    results: list[Row] = []
    for one in model.measures:
        formula, own = _sums(one, model, tensors, labels.get(one.of.name, "label"))
        formulas.append(formula)
        sums += own
        value, row = _value(one, model, own)
        values.append(value)
        results.append(row)
    roles = {row.name: Role("sum", row.name) for row in sums}
    roles |= {row.name: Role("metric", row.name) for row in results}
    program = None
    if results:
        given = [Tensor(row.name, row.shape, "state") for row in sums]
        program = program_of(given, values, tuple(row.name for row in results), count())
    return LoweredMetrics(tuple(formulas), tuple(sums), tuple(results), program, roles)


def _sums(
    one: NamedMetric, model: Model, tensors: Mapping[str, str], label: str
) -> tuple[CompiledFormula, list[Row]]:
    metric, prefix = one.forward(model.graph), f"{PREFIX}.{one.name}"
    real = real_positions(one.of, model.graph, tensors)
    results = {key: Operand(f"{prefix}.{key}", shape) for key, shape in metric.shapes.items()}
    formula = compile_formula(
        metric.sums,
        operands=metric_operands(one, model.graph, tensors, label),
        results=results,
        constants=metric.constants,
        prefix=prefix,
        origin=prefix,
        real=None if real is None else replace(real, examples=True),
    )
    return formula, [
        Row(operand.name, "sum", operand.known_shape, key=f"{one.name}.{key}")
        for key, operand in results.items()
    ]


def _value(one: NamedMetric, model: Model, sums: list[Row]) -> tuple[CompiledFormula, Row]:
    metric, prefix = one.forward(model.graph), f"{PREFIX}.{one.name}"
    row = Row(f"{prefix}.value", "metric", metric.shape, key=one.name)
    formula = compile_formula(
        metric.value,
        operands={key: Operand(r.name, r.shape) for key, r in zip(metric.shapes, sums, strict=True)},
        results={"value": Operand(row.name, metric.shape)},
        constants=metric.constants,
        prefix=f"{prefix}.value",
        origin=prefix,
    )
    return formula, row
