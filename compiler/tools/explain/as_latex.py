"""A page as a LaTeX document."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.show.latex import escaped, latex
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
    Table,
    Timeline,
)

DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amsmath}
\usepackage[margin=2cm]{geometry}
\allowdisplaybreaks
\begin{document}
%s
\end{document}"""
PARTS = {1: "section*", 2: "section", 3: "subsection", 4: "subsubsection"}
SIGNS = {"∂": r"$\partial$", "→": r"$\to$", "·": r"$\cdot$", "×": r"$\times$", "⟨": r"$\langle$"}
SIGNS |= {"√": r"$\surd$", "÷": r"$\div$", "⁹": r"\textsuperscript{9}", "⋆": r"$\star$", "≤": r"$\le$"}
SIGNS |= {"⟩": r"$\rangle$", "Σ": r"$\Sigma$", "−": "$-$", "ᵀ": r"$^{T}$"}


def as_latex(blocks: Iterable[Block]) -> str:
    """A document that stock LaTeX compiles."""
    return DOCUMENT % "\n\n".join(map(_block, blocks))


def words(sentence: str) -> str:
    """A sentence with its signs as commands."""
    found = escaped(sentence)
    for sign, command in SIGNS.items():
        found = found.replace(sign, command)
    return found


def _block(block: Block) -> str:
    match block:
        case Heading(level, title, _):
            return rf"\{PARTS[level]}{{{words(title)}}}"
        case Paragraph(sentences, _):
            return words(sentences)
        case Formulas(nodes, _):
            lines = " \\\\\n".join(latex(node) for node in nodes)
            return f"\\begin{{gather*}}\n{lines}\n\\end{{gather*}}"
        case Table(caption, head, rows, numbers):
            columns = "l" * numbers + "r" * (len(head) - numbers)
            lines = " \\\\\n".join(" & ".join(map(words, row)) for row in (head, *rows))
            table = f"\\begin{{tabular}}{{{columns}}}\n{lines}\n\\end{{tabular}}"
            return f"{words(caption)}:\n\n\\begin{{center}}\\small\n{table}\n\\end{{center}}"
        case Graph(boxes, arrows, _):
            return _list(
                f"{b.name} ({', '.join(b.words)})" + "".join(f", of {a}" for a, to in arrows if to == b.name)
                for b in boxes
            )
        case Code(text=code):
            return "{\\tiny\n\\begin{verbatim}\n" + code + "\n\\end{verbatim}}"
        case Play(_, stages):
            return _list(
                f"{stage.title} ({stage.way}): "
                + "; ".join((*(f"{p.caption}: {p.words}" for p in stage.pictures), *stage.words))
                for stage in stages
            )
        case Lines(title, sentences) | Timeline(title, sentences):
            return rf"\textbf{{{words(title)}.}} {words(sentences)}"
        case Choice(title, choices):
            return "\n\n".join(
                "\n\n".join([rf"\paragraph{{{words(f'{title} {name}')}}}", *map(_block, inner)])
                for name, inner in choices
            )
        case Fold(title, inner):
            return "\n\n".join([rf"\paragraph{{{words(title)}}}", *map(_block, inner)])


def _list(items: Iterable[str]) -> str:
    return "\\begin{itemize}\n" + "\n".join(rf"\item {words(item)}" for item in items) + "\n\\end{itemize}"
