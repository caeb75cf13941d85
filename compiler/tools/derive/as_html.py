"""A derivation as HTML: a page of its own, or the part of one that a notebook shows."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from compiler.show.mathml import math
from compiler.tools.derive.report import Page


def as_html(page: Page, *, steps: bool = False, whole: bool = True) -> str:
    """The page, with its steps or without; `whole` with everything that a browser needs, in one file."""
    return _template("page.html.jinja" if whole else "derivation.html.jinja").render(
        page=page, math=math, steps=steps
    )


@cache
def _environment() -> Any:
    import jinja2

    def source(name: str) -> str:
        return (files("compiler.tools.derive") / "templates" / name).read_text(encoding="utf-8")

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _template(name: str) -> Any:
    return _environment().get_template(name)
