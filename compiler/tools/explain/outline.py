"""The page of a model, block after block."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.frontend.lowered import shape_text
from compiler.tools.check.report import Report
from compiler.tools.explain.blocks import Block, Heading, Paragraph, Table
from compiler.tools.explain.layers import graph, layer_parts
from compiler.tools.explain.material import Material
from compiler.tools.explain.whole import chain_part, cost_part, evidence_part


def outline(model: Material, report: Report | None = None) -> tuple[Block, ...]:
    """All that is said of a model."""
    return tuple(_blocks(model, report))


def _blocks(model: Material, report: Report | None) -> Iterator[Block]:
    lowered = model.source.lowered
    yield Heading(1, model.name, "top")
    yield Paragraph(
        f"{len(lowered.layers)} layers, {lowered.parameter_count:,} parameters. Everything below is printed "
        "from what the compiler recorded while it derived and compiled this model: nobody wrote a "
        "derivative. An overbar marks a cotangent, the derivative of the loss by what stands below it; a "
        "star the place of a maximum. B is the size of the batch."
    )
    yield Heading(2, "The model", "model")
    yield graph(model)
    rows = tuple(
        (row.name, row.kind, shape_text(row.shape, " × ") or "one number", f"{row.parameters:,}")
        for row in lowered.layers
    )
    yield Table("Layers", ("layer", "kind", "result", "parameters"), rows, numbers=3)
    yield Heading(2, "Layer by layer", "layers")
    yield from layer_parts(model)
    yield from chain_part(model)
    yield from cost_part(model)
    yield from evidence_part(report)
