"""A page as plain text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compiler.show.latex import latex
from compiler.show.text import text
from compiler.tools.explain.blocks import (
    Block,
    Choice,
    Code,
    Fold,
    Formulas,
    Graph,
    Heading,
    Lines,
    Paragraph,
    Play,
    Stage,
    Table,
    Timeline,
)

SIGNS = {"after": "→  ", "chain": "     "}


def as_text(blocks: Iterable[Block]) -> str:
    """For a terminal."""
    return "\n\n".join("\n".join(_text(block)) for block in blocks)


def _text(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, words, _):
            yield words
            if level < 3:
                yield ("=" if level == 1 else "-") * len(words)
        case Paragraph(words, _):
            yield words
        case Formulas(nodes, kind):
            yield from (f"    {SIGNS.get(kind, '')}{text(node)}" for node in nodes)
        case Table(caption, head, rows, numbers):
            yield caption
            yield from _columns((head, *rows), numbers)
        case Graph(boxes, arrows, _):
            for box in boxes:
                after = ", ".join(a for a, b in arrows if b == box.name)
                yield f"    {box.name} ({', '.join(box.words)})" + (f" of {after}" if after else "")
        case Code(text=code):
            yield code
        case Play(_, stages):
            yield from (f"    {_stage(number, stage)}" for number, stage in enumerate(stages, 1))
        case Lines(title, words) | Timeline(title, words):
            yield f"{title}: {words}"
        case Choice(title, choices):
            yield from (f"{title} {name}\n\n{as_text(inner)}" for name, inner in choices)
        case Fold(title, inner):
            yield f"{title}:"
            yield as_text(inner)


def _stage(number: int, stage: Stage) -> str:
    """A stage in a line: the values of its pictures in words."""
    shown = (f"{p.caption}: {p.words}" if p.caption != stage.title else p.words for p in stage.pictures)
    return f"{number}. {stage.title} ({stage.way}): {'; '.join((*shown, *stage.words))}"


def _columns(rows: tuple[tuple[str, ...], ...], numbers: int) -> Iterator[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        padded = enumerate(zip(row, widths, strict=True))
        cells = (c.ljust(w) if k < numbers else c.rjust(w) for k, (c, w) in padded)
        yield ("    " + "  ".join(cells)).rstrip()


def as_markdown(blocks: Iterable[Block]) -> str:
    """With mathematics in LaTeX between dollars, as code hosts show it."""
    return "\n\n".join("\n".join(_markdown(block)) for block in blocks)


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, words, _):
            yield f"{'#' * level} {words}"
        case Paragraph(words, _):
            yield words
        case Formulas(nodes, kind):
            arrow = r"\to\quad " if kind == "after" else ""
            yield "\n\n".join(f"$${arrow}{latex(node)}$$" for node in nodes)
        case Table(caption, head, rows, numbers):
            yield f"{caption}:\n"
            yield f"| {' | '.join(head)} |"
            yield "|" + "|".join("---" if k < numbers else "---:" for k in range(len(head))) + "|"
            yield from (f"| {' | '.join(row)} |" for row in rows)
        case Graph(boxes, arrows, _):
            yield "```mermaid\nflowchart TD"
            numbers_of = {box.name: k for k, box in enumerate(boxes)}
            yield from (f'    n{numbers_of[b.name]}["{b.name}<br>{"<br>".join(b.words)}"]' for b in boxes)
            yield from (f"    n{numbers_of[a]} --> n{numbers_of[b]}" for a, b in arrows)
            yield "```"
        case Code(text=code):
            yield f"```cython\n{code}\n```"
        case Play(_, stages):
            yield from (_stage(number, stage) for number, stage in enumerate(stages, 1))
        case Lines(title, words) | Timeline(title, words):
            yield f"**{title}.** {words}"
        case Choice(title, choices):
            yield from (f"**{title} {name}**\n\n{as_markdown(inner)}\n" for name, inner in choices)
        case Fold(title, inner):
            yield f"<details><summary>{title}</summary>\n"
            yield as_markdown(inner)
            yield "\n</details>"
