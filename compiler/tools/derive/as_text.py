"""A derivation as plain text: the answer, and where they are asked for the steps."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.show.text import text
from compiler.tools.derive.report import Page, Section
from compiler.tools.derive.steps import Chain, Step


def as_text(page: Page, *, steps: bool = False) -> str:
    """The page for a terminal."""
    blocks = ["\n".join(map(text, page.formula))]
    for section in page.sections:
        blocks.append("\n".join(_section(section, len(page.sections) > 1)))
        if steps:
            blocks += _steps(section)
    if page.notes:
        blocks.append("\n".join(f"({note})" for note in page.notes))
    return "\n\n".join(blocks)


def _section(section: Section, titled: bool) -> Iterator[str]:
    if titled:
        yield f"{section.mode}, {section.title}"
    for statement in (*section.on_the_way, *section.results):
        yield ("    " if titled else "") + text(statement)


def _steps(section: Section) -> Iterator[str]:
    yield f"Steps of {section.mode}:"
    for number, step in enumerate(section.steps, 1):
        yield "\n".join(_step(number, step))


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"{number}. {step.title}: {step.why}"
    yield from (f"       {text(statement)}" for statement in step.before)
    for chain in step.chains:
        yield from _chain(chain)
    yield from (f"    →  {text(statement)}" for statement in step.after)


def _chain(chain: Chain) -> Iterator[str]:
    if len(chain.links) > 1:
        for link in chain.links:
            parts = ", ".join(map(text, link.parts))
            slopes = ", ".join(map(text, link.slopes))
            yield f"         {text(link.whole)}{' with ' if parts else ''}{parts}: {slopes}"
    yield f"         {text(chain.slope)}"
