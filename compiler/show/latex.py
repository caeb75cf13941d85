"""Notation as LaTeX, for amsmath."""

from __future__ import annotations

import re

from compiler.show.letters import FUNCTIONS, GREEK
from compiler.show.notation import (
    AND,
    ATOM,
    COMPARE,
    NOT,
    PRODUCT,
    SUM,
    Bound,
    Call,
    Choice,
    Indexed,
    Junction,
    Name,
    Negated,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Reduction,
    Relation,
    Root,
    Slope,
    Statement,
    Whole,
)
from compiler.show.printer import BATCH, LinePrinter

SIGNS = {"<": "<", "<=": r"\leq", ">": ">", ">=": r"\geq", "==": "=", "!=": r"\ne"}
SPECIAL = re.compile(r"[#$%&_{}]")


class Latex(LinePrinter):
    """Prints notation as a formula, without the dollars around it."""

    def brackets(self, printed: str) -> str:
        return rf"\left({printed}\right)"

    def number(self, node: Number) -> str:
        mantissa, e, exponent = node.text.partition("e")
        return rf"{mantissa}\cdot 10^{{{int(exponent)}}}" if e else node.text

    def name(self, node: Name) -> str:
        base, words = self._marked(node), self._words(node)
        return f"{base}^{{{words}}}" if words else base

    def _marked(self, node: Name) -> str:
        text = self.letters(node.letters)
        over = {"bar": "bar" if len(node.letters) == 1 or node.letters in GREEK else "overline", "dot": "dot"}
        for mark in node.marks:
            if mark in over:
                text = rf"\{over[mark]}{{{text}}}"
        return text

    def _words(self, node: Name) -> str:
        stars = r"\star" * node.marks.count("star")
        words = ",".join(rf"\mathrm{{{escaped(word)}}}" for word in node.words)
        return stars + (r"\," if stars and words else "") + words

    def letters(self, word: str) -> str:
        if word in GREEK:
            return r"\pi" if word == "pi" else rf"\{word}" if word != "omicron" else "o"
        if word == "inf":
            return r"\infty"
        return escaped(word) if len(word) == 1 else rf"\mathrm{{{escaped(word)}}}"

    def indexed(self, node: Indexed) -> str:
        indices = ",".join(self.all(node.indices))
        below = f"_{{{indices}}}" if node.indices else ""
        if node.outside is not None:
            return rf"\mathrm{{pad}}_{{{self(node.outside)}}}({self(node.name)}){below}"
        return f"{{{self(node.name)}}}{below}" if below else self(node.name)

    def product(self, node: Product) -> str:
        text = ""
        previous: Node | None = None
        for factor in node.factors:
            printed = self.inside(factor, PRODUCT)
            numbers = isinstance(factor, Number) and previous is not None
            text += (r" \cdot " if numbers else r"\," if previous is not None else "") + printed
            previous = factor
        return text

    def quotient(self, node: Quotient) -> str:
        return rf"\frac{{{self(node.above)}}}{{{self(node.below)}}}"

    def whole(self, node: Whole) -> str:
        if node.operator == "//":
            return rf"\left\lfloor {self(node.above)}/{self.inside(node.below, ATOM)}\right\rfloor"
        return rf"{self.inside(node.above, ATOM)} \,\mathrm{{mod}}\, {self.inside(node.below, ATOM)}"

    def power(self, node: Power) -> str:
        base = self.inside(node.base, ATOM)
        # What has an index or a word of its own above it is one thing.
        return f"{{{base}}}^{{{self(node.exponent)}}}"

    def root(self, node: Root) -> str:
        return rf"\sqrt{{{self(node.inside)}}}"

    def call(self, node: Call) -> str:
        arguments = ", ".join(self.all(node.arguments))
        if node.function == "abs":
            return rf"\left|{arguments}\right|"
        return self.function(node.function) + self.brackets(arguments)

    def function(self, name: str) -> str:
        return rf"\{name}" if name in FUNCTIONS else rf"\mathrm{{{escaped(name)}}}"

    def choice(self, node: Choice) -> str:
        lines = [rf"{self(value)} & \text{{if }} {self(condition)}" for value, condition in node.cases]
        lines.append(rf"{self(node.otherwise)} & \text{{else}}")
        return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}"

    def relation(self, node: Relation) -> str:
        return f"{self.inside(node.left, SUM)} {SIGNS[node.sign]} {self.inside(node.right, SUM)}"

    def junction(self, node: Junction) -> str:
        least = NOT if node.word == "and" else AND
        word = rf" \text{{ {node.word} }} "
        return word.join(self.inside(part, least) for part in node.parts)

    def negated(self, node: Negated) -> str:
        return rf"\text{{not }} {self.inside(node.inside, COMPARE)}"

    def reduction(self, node: Reduction) -> str:
        conditions = "".join(rf",\, {self(condition)}" for condition in node.conditions)
        body = self.inside(node.body, PRODUCT)
        if node.operation == "sum":
            *outer, inner = map(self.limits, node.bounds)
            sums = "".join(rf"\sum_{{{low}}}^{{{high}}}" for low, high in outer)
            return sums + rf"\sum_{{{inner[0]}{conditions}}}^{{{inner[1]}}} {body}"
        axes = ",".join(self(bound.axis) for bound in node.bounds)
        ranges = r",\, ".join(self.bound(bound) for bound in node.bounds) if node.bounds else axes
        name = {"argmax": r"\mathrm{arg\,max}", "argmin": r"\mathrm{arg\,min}"}.get(node.operation)
        return rf"{name or self.function(node.operation)}_{{{ranges}{conditions}}} {body}"

    def limits(self, bound: Bound) -> tuple[str, str]:
        """Where a sum starts and ends: `i=0` and `3`."""
        extent = bound.extent
        last = str(int(extent.text) - 1) if isinstance(extent, Number) else f"{BATCH}-1"
        return f"{self(bound.axis)}=0", last

    def bound(self, bound: Bound) -> str:
        """`i < 4`."""
        extent = bound.extent.text if isinstance(bound.extent, Number) else BATCH
        return f"{self(bound.axis)} < {extent}"

    def slope(self, node: Slope) -> str:
        d = r"\partial " if node.partial else r"\mathrm{d}"
        return rf"\frac{{{d}{self.inside(node.of, ATOM)}}}{{{d}{self.inside(node.by, ATOM)}}}"

    def statement(self, node: Statement) -> str:
        sign = r"\mathrel{+}=" if node.sign == "+=" else "="
        text = f"{self(node.left)} {sign} {self(node.right)}"
        if node.sign == "=":
            return text
        where = [*map(self.bound, node.bounds), *self.all(node.conditions)]
        listed = r",\, ".join(where)
        return text + (rf" \quad \text{{for all }} {listed}" if where else "")


def escaped(word: str) -> str:
    """A word as LaTeX's text and upright letters can hold it."""
    word = word.replace("\\", r"\backslash ").replace("^", r"\hat{}").replace("~", r"\sim ")
    return SPECIAL.sub(lambda match: "\\" + match[0], word)


latex = Latex()
"""The printer of LaTeX."""
