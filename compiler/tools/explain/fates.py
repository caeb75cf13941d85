"""What a page says of vanishing and exploding gradients and of dead units, from networks that were run."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from compiler.tools.explain.blocks import Block, Choice, Heading, Lines, Paragraph, Series, Table
from compiler.tools.explain.health import (
    CLIPPED,
    CLIPPED_RATE,
    DEPTH,
    EXPLODING,
    KINDS,
    RATE,
    STARTS,
    STEPS,
    WIDTH,
    Health,
    Start,
)
from compiler.tools.explain.pictures import number

BEYOND = 100.0
"""Times the largest loss with clipping: there the chart ends."""
WORTH_A_WORD = 30.0
"""From the last layer to the first: a factor that is called vanishing or exploding."""


def health_part(found: Health | None) -> Iterator[Block]:
    """Charts of each initialisation, the share of dead units, a loss with clipping and without."""
    yield Heading(2, "Deep networks: vanishing, exploding, dead", "health")
    if found is None:
        yield Paragraph("`chainrule explain MODEL` without --quick runs small networks for this part.")
        return
    yield Paragraph(
        f"Networks of {DEPTH} layers of {WIDTH} units, compiled and run when this page was made. A "
        "cotangent is "
        "multiplied by a Jacobian at each layer on its way back. Where these shrink it, the first "
        "layers learn "
        "nothing; where they enlarge it, one step throws the weights away."
    )
    charts = tuple((name, (_chart(name, start),)) for name, start in found.starts.items())
    yield Choice("Initialisation of the weights", charts, first=1)
    head = ("network", *(name.partition(":")[0] for name in STARTS))
    rows = [(kind, *(_fate(s.slopes[kind][0]) for s in found.starts.values())) for kind in KINDS]
    yield Table("The derivative at the first layer, relative to that at the last", head, tuple(rows))
    last = list(found.starts)[2]
    before, after = found.starts[last].dead, found.died
    dead = [(kind, f"{before[kind]:.0%}", _share(after[kind])) for kind in KINDS]
    head = ("network", "as it begins (He)", f"after {STEPS} steps at a rate of {RATE:g}")
    yield Table("Dead units: no example moves their bias", head, tuple(dead))
    yield Paragraph(
        "A ReLU that is below 0 for every example passes nothing back, and never learns again; a LeakyReLU "
        "passes a tenth. A normalisation brings every unit back to around 0."
    )
    # What explodes leaves the chart.
    most = BEYOND * max(found.clipped)
    points = [
        Series(tuple((float(k), min(value, most)) for k, value in enumerate(losses) if isfinite(value)))
        for losses in (found.clipped, found.unclipped)
    ]
    lost = next((k for k, value in enumerate(found.unclipped) if not isfinite(value)), None)
    ends = f"without it the loss is no number after {lost} steps" if lost else "without it the loss goes on"
    yield Lines(
        "Clipping",
        f"The network of ReLUs with weights that are too large ({EXPLODING:g}/√n), a rate of "
        f"{CLIPPED_RATE:g}. "
        f"Where the gradient is scaled to a norm of at most {CLIPPED:g} the loss falls from "
        f"{number(found.clipped[0])} to {number(found.clipped[-1])}; {ends}.",
        "step",
        "loss",
        tuple(points),
        ("clipped", "not clipped"),
        logarithmic=(False, True),
    )


def _chart(name: str, start: Start) -> Lines:
    fates = ", ".join(f"{kind} {_fate(slopes[0])}" for kind, slopes in start.slopes.items())
    return Lines(
        f"The way back through {DEPTH} layers, {name}",
        f"The norm of the loss's derivative by a layer's biases, relative to that of the last. At the first "
        f"layer: {fates}.",
        "layer: the way back goes from right to left",
        "relative to the last layer",
        tuple(
            Series(tuple((float(k), slope) for k, slope in enumerate(slopes, 1)))
            for slopes in start.slopes.values()
        ),
        tuple(KINDS),
        logarithmic=(False, True),
    )


def _fate(ratio: float) -> str:
    word = " vanishes" if ratio < 1 / WORTH_A_WORD else " explodes" if ratio > WORTH_A_WORD else ""
    return f"{ratio:.1e}{word}"


def _share(share: float) -> str:
    return f"{share:.0%}" if isfinite(share) else "diverged"
