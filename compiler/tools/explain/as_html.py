"""A page as one HTML file with nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files

import jinja2

from compiler.show.mathml import Mathml, Pointed, math, mathml
from compiler.tools.explain.blocks import Block, Code, Heading, Way
from compiler.tools.explain.charts import chart
from compiler.tools.explain.colours import coloured
from compiler.tools.explain.drawing import drawing

WAYS: Mapping[Way, str] = {
    "given": "is given",
    "forward": "forward",
    "back": "back",
    "gradient": "back, a gradient",
    "stop": "the end of the way back",
}


def as_html(blocks: Iterable[Block]) -> str:
    """A file that opens from disk, in the light and in the dark, and prints."""
    blocks = tuple(blocks)
    headings = tuple(block for block in blocks if isinstance(block, Heading))
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.jinja").render(
        blocks=blocks,
        headings=headings,
        math=math,
        plain=mathml,
        pointed=_pointed,
        drawing=drawing,
        chart=chart,
        coloured=coloured,
        ways=WAYS,
        kind=lambda b: type(b).__name__,
    )


def _pointed(code: Code) -> Mathml:
    """The printer for a kernel's formula, with the marks that its code has."""
    return Pointed(code.axes, (shown for shown, _ in code.tensors))


def _source(name: str) -> str:
    return (files("compiler.tools.explain") / "templates" / name).read_text(encoding="utf-8")
