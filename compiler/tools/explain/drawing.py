"""The graph of a model as SVG: boxes in rows, forwards from top to bottom, cotangents back beside them."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from compiler.tools.explain.blocks import Box, Graph

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 220, 56, 40, 40, 20
ROUND = 8
"""How round the corners of an arrow are."""
APART = 10
"""Between the arrow of values and that of cotangents."""


def drawing(graph: Graph) -> str:
    """An `svg` element. What is in it can be read aloud, and its boxes lead to their parts of the page."""
    columns = 1 + max((box.column for box in graph.boxes), default=0)
    rows = 1 + max((box.row for box in graph.boxes), default=0)
    width = 2 * MARGIN + columns * (WIDTH + ACROSS)
    height = 2 * MARGIN + rows * HEIGHT + (rows - 1) * DOWN
    boxes = {box.name: box for box in graph.boxes}
    arrows = "".join(_arrow(boxes[a], boxes[b], (a, b) in graph.back) for a, b in graph.arrows)
    names = ", ".join(box.name for box in graph.boxes)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="group" '
        f"aria-label={quoteattr(f'The layers in order: {names}')}>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z" fill="context-stroke"/></marker></defs>'
        f"{arrows}{''.join(map(_box, graph.boxes))}</svg>"
    )


def _place(box: Box) -> tuple[int, int]:
    return MARGIN + box.column * (WIDTH + ACROSS), MARGIN + box.row * (HEIGHT + DOWN)


def _box(box: Box) -> str:
    x, y = _place(box)
    middle = x + WIDTH // 2
    first = y + HEIGHT // 2 + 5 - 8 * len(box.words)
    lines = "".join(
        f'<text class="middle {kind}" x="{middle}" y="{first + 16 * k}">{escape(line)}</text>'
        for k, (kind, line) in enumerate([("name", box.name), *(("fact", word) for word in box.words)])
    )
    drawn = f'<rect class="box" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>{lines}'
    layer = f"data-layer={quoteattr(box.name)}"
    if not box.anchor:
        return f'<g class="given" {layer}>{drawn}</g>'
    return f'<a href="#{box.anchor}" {layer}>{drawn}</a>'


def _arrow(source: Box, target: Box, back: bool) -> str:
    (x, y), (u, v) = _place(source), _place(target)
    start, end = x + WIDTH // 2, u + WIDTH // 2
    top, bottom = y + HEIGHT, v
    # What passes over rows bends out of the way of the boxes between.
    around = target.row > source.row + 1 and start == end
    middle = (top + bottom) // 2

    def path(kind: str, shift: int, words: str) -> str:
        a, b = start + shift, end + shift
        curve = f"M{a} {top} C{a} {middle} {b} {middle} {b} {bottom}"
        if around:
            curve = _around(a, top, bottom, u + WIDTH + ACROSS // 2 + shift, DOWN // 2 - shift // 2)
        tip = "marker-end" if kind == "forward" else "marker-start"
        return f'<path class="{kind}" d="{curve}" {tip}="url(#tip)"><title>{escape(words)}</title></path>'

    values = path("forward", -APART, f"values: {source.name} to {target.name}")
    return values + (path("back", APART, f"cotangents: {target.name} to {source.name}") if back else "")


def _around(x: int, top: int, bottom: int, lane: int, out: int) -> str:
    """A way from top to bottom along a lane beside the boxes, with round corners."""
    return (
        f"M{x} {top}v{out - ROUND}q0 {ROUND} {ROUND} {ROUND}H{lane - ROUND}q{ROUND} 0 {ROUND} {ROUND}"
        f"V{bottom - out - ROUND}q0 {ROUND} {-ROUND} {ROUND}H{x + ROUND}q{-ROUND} 0 {-ROUND} {ROUND}V{bottom}"
    )
