"""Notation as MathML Core, which browsers set and read aloud themselves."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from compiler.show.letters import GREEK
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
    Equals,
    Indexed,
    Junction,
    Name,
    Negated,
    Negative,
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
    Sum,
    Whole,
)
from compiler.show.printer import BATCH, Printer
from compiler.show.text import text

SIGNS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "==": "=", "!=": "≠"}
MARKS = {"bar": "¯", "dot": "˙"}
OVERLINE = "border-top: .06em solid; padding-top: .1em"
"""Over a word: few fonts have a macron that is as long."""
BIG = {"sum": "∑", "max": "max", "min": "min", "argmax": "arg max", "argmin": "arg min"}


class Mathml(Printer):
    """Prints notation as elements, without the `math` around them."""

    def brackets(self, printed: str) -> str:
        return _row(_o("("), printed, _o(")"))

    def number(self, node: Number) -> str:
        return f"<mn>{escape(node.text)}</mn>"

    def name(self, node: Name) -> str:
        base, words = self._marked(node), self._words(node)
        return f"<msup>{base}{words}</msup>" if words else base

    def _marked(self, node: Name) -> str:
        printed = f"<mi>{escape(GREEK.get(node.letters, {'inf': '∞'}.get(node.letters, node.letters)))}</mi>"
        for mark in node.marks:
            if mark == "bar" and len(node.letters) > 1 and node.letters not in GREEK:
                printed = f'<mrow style="{OVERLINE}">{printed}</mrow>'
            elif mark in MARKS:
                printed = f'<mover accent="true">{printed}<mo stretchy="true">{MARKS[mark]}</mo></mover>'
        return printed

    def _words(self, node: Name) -> str:
        parts = ["⋆"] * node.marks.count("star") + list(node.words)
        return _row(*(f"<mtext>{escape(part)}</mtext>" for part in parts)) if parts else ""

    def indexed(self, node: Indexed) -> str:
        below = _row(*_between(self.all(node.indices), ","))
        if node.outside is not None:
            pad = f"<msub><mtext>pad</mtext>{_row(self(node.outside))}</msub>"
            whole = _row(pad, _o("("), self(node.name), _o(")"))
            return f"<msub>{whole}{below}</msub>" if node.indices else whole
        if not node.indices:
            return self(node.name)
        words = self._words(node.name)
        if words:
            return f"<msubsup>{self._marked(node.name)}{below}{words}</msubsup>"
        return f"<msub>{self._marked(node.name)}{below}</msub>"

    def negative(self, node: Negative) -> str:
        return _row('<mo form="prefix">−</mo>', self.inside(node.inside, PRODUCT))

    def sum(self, node: Sum) -> str:
        parts: list[str] = []
        for term in node.terms:
            if isinstance(term, Negative) and parts:
                parts += [_o("−"), self.inside(term.inside, PRODUCT)]
            else:
                parts += [*([_o("+")] if parts else []), self.inside(term, SUM if not parts else PRODUCT)]
        return _row(*parts)

    def product(self, node: Product) -> str:
        parts: list[str] = []
        for factor in node.factors:
            if parts:
                parts.append(_o("·") if isinstance(factor, Number | Quotient) else _o("\u2062"))
            parts.append(self.inside(factor, PRODUCT))
        return _row(*parts)

    def quotient(self, node: Quotient) -> str:
        return f"<mfrac>{_row(self(node.above))}{_row(self(node.below))}</mfrac>"

    def whole(self, node: Whole) -> str:
        above, below = self.inside(node.above, ATOM), self.inside(node.below, ATOM)
        if node.operator == "//":
            return _row(_o("⌊"), above, _o("/"), below, _o("⌋"))
        return _row(above, _o("mod"), below)

    def power(self, node: Power) -> str:
        return f"<msup>{_row(self.inside(node.base, ATOM))}{_row(self(node.exponent))}</msup>"

    def root(self, node: Root) -> str:
        return f"<msqrt>{self(node.inside)}</msqrt>"

    def call(self, node: Call) -> str:
        arguments = _row(*_between(self.all(node.arguments), ","))
        if node.function == "abs":
            return _row(_o("|"), arguments, _o("|"))
        return _row(f"<mi>{escape(node.function)}</mi>", _o("\u2061"), self.brackets(arguments))

    def choice(self, node: Choice) -> str:
        rows = [(self(value), _row(_text("if "), self(condition))) for value, condition in node.cases]
        rows.append((self(node.otherwise), _text("else")))
        cells = "".join(f"<mtr><mtd>{value}</mtd><mtd>{when}</mtd></mtr>" for value, when in rows)
        return _row('<mo fence="true" stretchy="true">{</mo>', f"<mtable>{cells}</mtable>")

    def relation(self, node: Relation) -> str:
        return _row(self.inside(node.left, SUM), _o(SIGNS[node.sign]), self.inside(node.right, SUM))

    def junction(self, node: Junction) -> str:
        least = NOT if node.word == "and" else AND
        parts = [self.inside(part, least) for part in node.parts]
        return _row(*_between(parts, f" {node.word} "))

    def negated(self, node: Negated) -> str:
        return _row(_text("not "), self.inside(node.inside, COMPARE))

    def reduction(self, node: Reduction) -> str:
        sign = f'<mo largeop="true" movablelimits="false">{BIG[node.operation]}</mo>'
        conditions = [_o(","), *_between(self.all(node.conditions), ",")] if node.conditions else []
        body = self.inside(node.body, PRODUCT)
        if node.operation != "sum":
            below = _row(*_between(list(map(self.bound, node.bounds)), ","), *conditions)
            return _row(f"<munder>{sign}{below}</munder>", body)
        sums = []
        for number, bound in enumerate(node.bounds, 1):
            last = conditions if number == len(node.bounds) else []
            low = _row(self(bound.axis), _o("="), "<mn>0</mn>", *last)
            sums.append(f"<munderover>{sign}{low}{self.last(bound)}</munderover>")
        return _row(*sums, body)

    def last(self, bound: Bound) -> str:
        """The last value of an axis."""
        if isinstance(bound.extent, Number):
            return f"<mn>{int(bound.extent.text) - 1}</mn>"
        return _row(f"<mi>{BATCH}</mi>", _o("−"), "<mn>1</mn>")

    def bound(self, bound: Bound) -> str:
        """`i < 4`."""
        extent = self(bound.extent) if isinstance(bound.extent, Number) else f"<mi>{BATCH}</mi>"
        return _row(self(bound.axis), _o("<"), extent)

    def slope(self, node: Slope) -> str:
        d = _o("∂") if node.partial else "<mi>d</mi>"
        above, below = self.inside(node.of, ATOM), self.inside(node.by, ATOM)
        return f"<mfrac>{_row(d, above)}{_row(d, below)}</mfrac>"

    def equals(self, node: Equals) -> str:
        return _row(*_between([self.inside(form, SUM) for form in node.forms], "="))

    def statement(self, node: Statement) -> str:
        parts = [self(node.left), _o(node.sign), self(node.right)]
        where = [*map(self.bound, node.bounds), *self.all(node.conditions)] if node.sign == "+=" else []
        if where:
            parts += [_text(" for all "), *_between(where, ",")]
        return _row(*parts)


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _o(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


def _text(words: str) -> str:
    return f"<mtext>{escape(words).replace(' ', '&#160;')}</mtext>"


def _between(parts: list[str], sign: str) -> list[str]:
    separator = _o(sign) if not sign.startswith(" ") else _text(sign)
    return [piece for part in parts for piece in (separator, part)][1:]


class Pointed(Mathml):
    """Marks axes and tensors, each by its number, so that a page can show where else they stand."""

    def __init__(self, axes: Iterable[str], tensors: Iterable[str]):
        self.axes = {axis: number for number, axis in enumerate(axes)}
        self.tensors = {tensor: number for number, tensor in enumerate(tensors)}

    def name(self, node: Name) -> str:
        return _pointed(super().name(node), "i", self.axes.get(node.text))

    def indexed(self, node: Indexed) -> str:
        plain = self._marked(node.name) if not node.indices and node.outside is None else None
        return _pointed(plain or super().indexed(node), "t", self.tensors.get(node.name.text))


def _pointed(printed: str, kind: str, number: int | None) -> str:
    return printed if number is None else f'<mrow data-at="{kind}{number}">{printed}</mrow>'


mathml = Mathml()
"""The printer of MathML."""


def math(node: Node, *, block: bool = False, printer: Mathml = mathml) -> str:
    """A whole `math` element; what cannot show it has the plain text."""
    display = ' display="block"' if block else ""
    return f"<math{display} alttext={quoteattr(text(node))}>{printer(node)}</math>"
