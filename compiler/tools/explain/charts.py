"""Charts as SVG: lines, points and timelines, with axes that say what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil, floor, isfinite, log10
from xml.sax.saxutils import escape, quoteattr

from compiler.tools.explain.blocks import Lines, Series, Timeline

WIDTH, HEIGHT = 680, 330
LEFT, RIGHT, TOP, BOTTOM = 78, 16, 14, 46
ROW, LABELS = 24, 210
COLOURS = 7

Scale = Callable[[float], float]


def chart(block: Lines | Timeline) -> str:
    """An `svg` element; its words are read in place of it."""
    return _timeline(block) if isinstance(block, Timeline) else _lines(block)


def _svg(height: int, title: str, inner: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f"aria-label={quoteattr(title)}>{''.join(inner)}</svg>"
    )


def _lines(block: Lines) -> str:
    everything = [p for s in (*block.series, *([block.roof] if block.roof else [])) for p in s.points]
    x, x_ticks = _scale([a for a, _ in everything], block.logarithmic[0], LEFT, WIDTH - RIGHT)
    y, y_ticks = _scale([b for _, b in everything], block.logarithmic[1], HEIGHT - BOTTOM, TOP)
    parts = [*_axes(block, x, x_ticks, y, y_ticks)]
    if block.roof:
        parts.append(_path(block.roof.points, x, y, "roof", False))
    for number, series in enumerate(block.series):
        colour = f"c{number % COLOURS}"
        if series.labels:
            parts += _dots(series, x, y)
        else:
            parts.append(_path(series.points, x, y, f"line {colour}", block.steps))
    return _svg(HEIGHT, f"{block.title}: {block.y} against {block.x}", parts)


def _axes(block: Lines, x: Scale, x_ticks: list[float], y: Scale, y_ticks: list[float]) -> Iterator[str]:
    for tick in x_ticks:
        at = x(tick)
        yield f'<path class="grid" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text class="middle fact" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}">{short(tick)}</text>'
    for tick in y_ticks:
        at = y(tick)
        yield f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="end fact" x="{LEFT - 6}" y="{at + 4:.1f}">{short(tick)}</text>'
    yield f'<text class="middle" x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}">{escape(block.x)}</text>'
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f"rotate(-90 14 {middle:.0f})"
    yield f'<text class="middle" x="14" y="{middle:.0f}" transform="{turned}">{escape(block.y)}</text>'


def _path(points: Iterable[tuple[float, float]], x: Scale, y: Scale, kind: str, steps: bool) -> str:
    drawn, previous = [], None
    for a, b in points:
        if not isfinite(y(b)):
            previous = None
        elif previous is None:
            drawn.append(f"M{x(a):.1f} {y(b):.1f}")
            previous = b
        else:
            drawn.append(f"H{x(a):.1f}V{y(b):.1f}" if steps else f"L{x(a):.1f} {y(b):.1f}")
            previous = b
    return f'<path class="{kind}" d="{"".join(drawn)}"/>'


def _dots(series: Series, x: Scale, y: Scale) -> Iterator[str]:
    for (a, b), label in zip(series.points, series.labels, strict=True):
        title = f"<title>{escape(label)}</title>"
        yield f'<circle class="first" cx="{x(a):.1f}" cy="{y(b):.1f}" r="5">{title}</circle>'


def _scale(values: list[float], logarithmic: bool, start: float, end: float) -> tuple[Scale, list[float]]:
    """From values to places, and the values at which the axis has marks."""
    if logarithmic:
        found = [log10(v) for v in values if v > 0 and isfinite(v)] or [0.0]
        low, high = floor(min(found)), max(ceil(max(found)), floor(min(found)) + 1)
        every = max(1, ceil((high - low) / 8))
        ticks = [10.0**k for k in range(low, high + 1, every)]

        def place(value: float) -> float:
            return start + (log10(value) - low) / (high - low) * (end - start) if value > 0 else float("nan")

        return place, ticks
    largest = max([v for v in values if isfinite(v)], default=1.0) or 1.0
    step = 10.0 ** floor(log10(largest))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if largest / s <= 6.5)
    top = ceil(largest / step - 1e-9) * step
    ticks = [k * step for k in range(round(top / step) + 1)]
    return lambda v: start + v / top * (end - start), ticks


def short(value: float) -> str:
    """A mark of an axis."""
    if value and not 1e-3 <= abs(value) < 1e5:
        digits, exponent = f"{value:.0e}".split("e")
        raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"
    return f"{value:,.6g}"


def _timeline(block: Timeline) -> str:
    height = TOP + ROW * len(block.rows) + BOTTOM
    longest = max((bar.start + bar.length for bar in block.bars), default=1.0)
    x, ticks = _scale([longest], False, LABELS, WIDTH - RIGHT)
    parts = []
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{x(tick):.1f} {TOP}V{height - BOTTOM}"/>')
        parts.append(
            f'<text class="middle fact" x="{x(tick):.1f}" y="{height - BOTTOM + 16}">{short(tick)}</text>'
        )
    for number, row in enumerate(block.rows):
        name = row if len(row) <= 29 else row[:28] + "…"
        middle = TOP + ROW * number + ROW / 2 + 4
        parts.append(f'<text class="end" x="{LABELS - 8}" y="{middle:.0f}">{escape(name)}</text>')
    for bar in block.bars:
        left, width = x(bar.start), max(1.0, x(bar.start + bar.length) - x(bar.start))
        parts.append(
            f'<rect class="first" x="{left:.1f}" y="{TOP + ROW * bar.row + 4}" width="{width:.1f}" '
            f'height="{ROW - 8}" rx="2"><title>{escape(bar.label)}</title></rect>'
        )
    parts.append(f'<text class="middle" x="{(LABELS + WIDTH) / 2:.0f}" y="{height - 8}">{block.unit}</text>')
    return _svg(height, f"{block.title}: {len(block.bars)} bars along time in {block.unit}", parts)
