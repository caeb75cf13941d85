"""A page as one HTML file with nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

import jinja2

from compiler.show.mathml import math
from compiler.tools.explain.blocks import Block, Heading
from compiler.tools.explain.drawing import drawing


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
        blocks=blocks, headings=headings, math=math, drawing=drawing, kind=lambda b: type(b).__name__
    )


def _source(name: str) -> str:
    return (files("compiler.tools.explain") / "templates" / name).read_text(encoding="utf-8")
