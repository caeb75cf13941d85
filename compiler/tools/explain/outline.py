"""The page of a model, block after block."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.frontend.lowered import shape_text
from compiler.tools.check.report import Report
from compiler.tools.explain.blocks import Block, Heading, Paragraph, Table
from compiler.tools.explain.cost import cost_part
from compiler.tools.explain.example import RANDOM, journey
from compiler.tools.explain.fates import health_part
from compiler.tools.explain.health import Health
from compiler.tools.explain.layers import graph, layer_parts
from compiler.tools.explain.material import Material
from compiler.tools.explain.measured import Measured
from compiler.tools.explain.play import play_part
from compiler.tools.explain.whole import chain_part, evidence_part


def outline(
    model: Material,
    report: Report | None = None,
    found: Measured | None = None,
    networks: Health | None = None,
) -> tuple[Block, ...]:
    """All that is said of a model, with what was checked and measured, of it and of small networks, if it
    was."""
    return tuple(_blocks(model, report, found, networks))


def _blocks(
    model: Material, report: Report | None, found: Measured | None, networks: Health | None
) -> Iterator[Block]:
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
    yield from play_part(model, journey(model, found.examples if found else RANDOM))
    yield Heading(2, "Layer by layer", "layers")
    yield Paragraph(
        "Each layer's derivatives stand here twice. The short form is what is computed; the long form is "
        "every recorded step to it, with the rule and the reason."
    )
    yield from layer_parts(model)
    yield from chain_part(model)
    yield from cost_part(model, found)
    yield from health_part(networks)
    yield from evidence_part(report)
