"""What is said of the whole model: the chain rule to each parameter, what is kept, the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Definition, Program
from compiler.machine.elements import element_bytes
from compiler.schedule.layout import row_size
from compiler.show.names import Called
from compiler.show.notation import Equals, Product, Slope
from compiler.tools.check.report import COLUMNS, Report
from compiler.tools.explain.blocks import Block, Formulas, Heading, Paragraph, Table
from compiler.tools.explain.material import Material
from compiler.tools.words import bytes_text


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
    yield from _kept(model)


def _kept(model: Material) -> Iterator[Block]:
    """What the compiled step keeps on the way forward, because the way back reads it; what it does not."""
    program, dtype = model.steps[-1].result, model.source.settings.dtype
    back = backward(program)
    kept: dict[str, list[str]] = {}
    for definition in program.definitions:
        if definition.name in back:
            for name in definition.tensors:
                if name not in back and has_batch(program.shape(name)):
                    kept.setdefault(name, []).append(definition.name)
    elements = model.source.plan("training").elements
    rows = tuple(
        (
            name,
            " × ".join(str(e) for e in program.shape(name) if e is not None) or "one number",
            bytes_text(row_size(program.shape(name)) * element_bytes(elements[name], dtype)),
            ", ".join(readers[:3]) + (f" and {len(readers) - 3} more" if len(readers) > 3 else ""),
        )
        for name, readers in kept.items()
        if name in elements
    )
    head = ("kept or given", "for an example", "bytes", "read on the way back by")
    yield Table("What the compiled step shares between the two ways", head, rows, numbers=4)
    gone = [d.name for d in model.training.definitions if d.name not in kept and has_batch(d.shape)]
    if gone:
        yield Paragraph(
            f"Not kept: {', '.join(gone)}. What is needed of these on the way back follows from what is "
            "kept, and is computed again where it is needed, or nothing of them is."
        )


def backward(program: Program) -> set[str]:
    """What the gradients need that no loss does: the first cotangent, and all that depends on one."""
    found: set[str] = set()
    for definition in program.definitions:
        if definition.role == "cotangent" or any(name in found for name in definition.tensors):
            found.add(definition.name)
    return found


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


def evidence_part(report: Report | None) -> Iterator[Block]:
    """The check's table."""
    yield Heading(2, "Evidence", "evidence")
    if report is None:
        yield Paragraph("`chainrule explain MODEL`, without `--quick`, has the model checked in float64.")
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
