"""What is said of the whole model: the chain rule to each parameter, what a step costs, the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from compiler.ir.tensor.program import Definition, Program
from compiler.show.names import Called
from compiler.show.notation import Equals, Product, Slope
from compiler.tools.check.report import COLUMNS, Report
from compiler.tools.explain.blocks import Block, Formulas, Heading, Paragraph, Table
from compiler.tools.explain.material import Material
from compiler.tools.measure.schedule import operations_of_program, pass_reports, workspace
from compiler.tools.words import bytes_text

BATCH = 128


def chain_part(model: Material) -> Iterator[Block]:
    """The product of slopes along a path to each parameter, and what is multiplied, by shapes."""
    yield Heading(2, "The chain rule", "chain-rule")
    yield Paragraph(
        "The derivative of the loss by a parameter is a product of slopes along the path from one to the "
        "other, and a sum over paths where there are several. Each factor is a Jacobian, and none is ever "
        "formed: reverse mode multiplies from the left, one cotangent at a time, and shares what paths have "
        "in common."
    )
    program, names = model.training, model.called
    rows = []
    for parameter in model.source.lowered.parameters:
        path = shortest_path(program, parameter.name, model.source.lowered.total)
        if path:
            yield Formulas((_product(parameter.name, path, names),))
            largest = max(_entries(program, a, b) for a, b in _pairs(parameter.name, path))
            count = paths(program, parameter.name, model.source.lowered.total)
            rows.append((parameter.name, f"{len(path)}", f"{count:,}", f"{largest:,}"))
    head = ("parameter", "factors on the path", "paths", "entries of the largest Jacobian, an example")
    yield Table("What is multiplied, and never formed", head, tuple(rows))


def shortest_path(program: Program, start: str, end: str) -> list[Definition]:
    """Definitions from the first that reads `start` to `end`, as few as there are."""
    previous: dict[str, str] = {start: ""}
    for definition in program.definitions:
        reads = [a.tensor for t in definition.terms for _, a in t.reads if a.tensor in previous]
        if definition.dtype == "real" and reads and definition.name not in previous:
            previous[definition.name] = reads[0]
    path: list[Definition] = []
    name = end if end in previous else ""
    while name and name != start:
        found = program.definition(name)
        if found is None:
            return []
        path.append(found)
        name = previous[name]
    return path[::-1]


def paths(program: Program, start: str, end: str) -> int:
    """Ways from one tensor to another, by reads."""
    ways = {start: 1}
    for definition in program.definitions:
        read = dict.fromkeys(a.tensor for t in definition.terms for _, a in t.reads)
        ways[definition.name] = sum(ways.get(name, 0) for name in read)
    return ways.get(end, 0)


def _pairs(start: str, path: list[Definition]) -> list[tuple[str, str]]:
    names = [start, *(d.name for d in path)]
    return list(pairwise(names))


def _entries(program: Program, one: str, other: str) -> int:
    entries = 1
    for extent in (*program.shape(one), *program.shape(other)):
        entries *= 1 if extent is None else extent
    return entries


def _product(start: str, path: list[Definition], names: Called) -> Equals:
    slopes = [Slope(names[b], names[a]) for a, b in reversed(_pairs(start, path))]
    product = slopes[0] if len(slopes) == 1 else Product(tuple(slopes))
    whole = Slope(names[path[-1].name], names[start])
    return Equals((whole, product)) if len(slopes) > 1 else Equals((whole,))


def cost_part(model: Material) -> Iterator[Block]:
    """What each pass made of the work, what is kept in memory, what one pass a weight would take."""
    yield Heading(2, "What it costs", "cost")
    rows = [
        (row.name, f"{row.example:,}", f"{row.call:,}", f"{row.rewrites:,}")
        for row in pass_reports(model.source)
    ]
    head = ("after", "operations an example", "operations a call", "steps recorded")
    yield Table("Operations of the loss and its gradient, after each pass", head, tuple(rows))
    forward, _ = operations_of_program(model.training)
    last = model.steps[-1].result
    both, _ = operations_of_program(last)
    weights = sum(row.parameters for row in model.source.lowered.layers)
    if forward:
        yield Paragraph(
            f"Forward and backward together take {both / forward:.2f} times the operations of the forward "
            f"formulas. One forward pass for each of the {weights:,} weights, which is what differences "
            f"take, would be {weights * forward / max(both, 1):,.0f} times as much work."
        )
    space = workspace(model.source, BATCH)
    areas = (
        ("a tile of examples, for each thread", space.tile),
        ("sums in lanes", space.lanes),
        ("what has no batch axis", space.shared),
        (f"kept for a whole batch of {BATCH}", space.crossing),
    )
    rows = [(name, bytes_text(count) if count else "nothing") for name, count in areas]
    yield Table("Workspace of a training step", ("for", "bytes"), tuple(rows))


def evidence_part(report: Report | None) -> Iterator[Block]:
    """The check's table."""
    yield Heading(2, "Evidence", "evidence")
    if report is None:
        yield Paragraph("`chainrule explain MODEL --check` compiles the model in float64, and measures it.")
        return
    columns = [c for c in COLUMNS if any(c in row for row in report.errors.values())]
    rows = tuple(
        (name, *(f"{row[c]:.1e}" if c in row else "" for c in columns)) for name, row in report.errors.items()
    )
    head = ("parameter", *(f"{mode}, {rung}" for mode, rung in columns))
    yield Table(f"Errors in float64, {report.batch} random examples", head, rows)
    wholes = [(what, f"{error:.1e}") for what, error in report.wholes.items()]
    wholes += [(f"{what}: slope", f"{slope:.3f}") for what, slope in report.slopes.items()]
    yield Table("Of all parameters together", ("what", "found"), tuple(wholes))
    yield Paragraph("passed" if report.passed else "FAILED")
