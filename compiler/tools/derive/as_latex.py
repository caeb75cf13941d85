"""A derivation as LaTeX: a document that compiles with amsmath, or the formulas alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compiler.show.latex import escaped, latex
from compiler.show.notation import Node, Statement
from compiler.tools.derive.report import Page, Section

DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\allowdisplaybreaks
\begin{document}
%s
\end{document}"""


def as_latex(page: Page, *, steps: bool = False) -> str:
    """A document of the formula, its derivatives, and where they are asked for the steps."""
    parts = ["The formula", displayed(page.formula)]
    for section in page.sections:
        parts += [_words(f"{section.mode}, {section.title}"), displayed(_answers(section))]
        if steps:
            parts += _steps(section)
    parts += map(_words, page.notes)
    return DOCUMENT % "\n\n".join(parts)


def formulas(page: Page) -> str:
    """The answers alone, as a notebook shows them."""
    lines = [latex(s) for section in page.sections for s in _answers(section)]
    return r"$\displaystyle \begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}$"


def displayed(statements: Iterable[Node]) -> str:
    """Equations below each other."""
    return "\\begin{gather*}\n" + " \\\\\n".join(map(latex, statements)) + "\n\\end{gather*}"


def _answers(section: Section) -> tuple[Statement, ...]:
    return (*section.on_the_way, *section.results)


def _steps(section: Section) -> Iterator[str]:
    for number, step in enumerate(section.steps, 1):
        yield _words(f"{number}. {step.title}: {step.why}")
        if step.before:
            yield displayed(step.before)
        for chain in step.chains:
            yield displayed(chain.nodes)
        yield displayed(step.after)


_MARKS = {"∂": r"$\partial$", "→": r"$\to$", "·": r"$\cdot$"}


def _words(sentence: str) -> str:
    text = escaped(sentence)
    for sign, command in _MARKS.items():
        text = text.replace(sign, command)
    return text
