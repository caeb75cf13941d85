"""When what is computed runs: as soon as it can, or in the phase that reads it where less is kept then."""

from __future__ import annotations

from compiler.ir.tensor.parser import parse_program
from compiler.plan.stages import stages

INPUT = "input x: (batch, 4) real"
H = """h: (batch, 4) real = sum of "h"
    for b:batch, i:4: [b, i] += exp(x[b, i])"""
MEAN = """mean: (4) real = sum of "mean"
    for b:batch, i:4: [i] += h[b, i]"""
WIDE = """p: (batch, 4, 2) real = sum of "p"
    for b:batch, i:4, k:2: [b, i, k] += h[b, i]**2
q: (batch, 4, 3) real = sum of "q"
    for b:batch, i:4, j:3, k:2: [b, i, j] += p[b, i, k]*x[b, j]"""
Y = """y: (batch, 4) real = sum of "y"
    for b:batch, i:4, j:3: [b, i] += q[b, i, j]*mean[i]"""


def early(*parts: str) -> set[str]:
    """What runs in the first phase, in the tiles."""
    found = stages(parse_program("\n".join(parts)))
    return {name for name, stage in found.items() if stage.kind == "tile" and stage.phase == 0}


def test_what_a_later_phase_alone_reads_waits_for_it() -> None:
    """Not the 12 values of q are kept for it but the 8 of p, and then not these but the 4 of h."""
    assert early(INPUT, H, MEAN, WIDE, Y, "outputs y") == {"h"}


def test_what_is_smaller_than_what_it_reads_is_kept() -> None:
    narrow = 'q: (batch) real = sum of "q"\n    for b:batch, i:4: [b] += h[b, i]**2'
    last = 'y: (batch, 4) real = sum of "y"\n    for b:batch, i:4: [b, i] += q[b]*mean[i]'
    assert early(INPUT, H, MEAN, narrow, last, "outputs y") == {"h", "q"}
    read_anyway = last.replace("q[b]*mean[i]", "q[b]*mean[i]*h[b, i]")
    assert early(INPUT, H, MEAN, narrow, read_anyway, "outputs y") == {"h"}


def test_what_is_asked_for_or_read_in_its_own_phase_stays() -> None:
    assert early(INPUT, H, MEAN, WIDE, Y, "outputs y q") == {"h", "p", "q"}
    reading = MEAN.replace("h[b, i]", "q[b, i, 0]")
    assert early(INPUT, H, WIDE, reading, Y, "outputs y") == {"h", "p", "q"}
