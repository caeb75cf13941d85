"""Notation as plain text, in the words of the formula language, so that it can be read back.

    y[b, o] = sum[i:4](kernel[i, o]·x[b, i]) + bias[o]      6·(3x + 2)      x if x > 0 else 0

`·` is a product, `3x` one too, `x²` a power: `chainrule derive` reads these. Scalars have no brackets. What
the formula language does not have is the place of a maximum, `argmax[…]`, and `for all` behind a scatter.
"""

from __future__ import annotations

from compiler.show.notation import (
    AND,
    ATOM,
    CHOICE,
    COMPARE,
    NOT,
    OR,
    POWER,
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
    level,
)
from compiler.show.printer import LinePrinter

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
NOTHING = {"sum": "0", "max": "-inf", "min": "inf", "argmax": "-inf", "argmin": "inf"}
"""What a point whose conditions do not hold gives."""


class Text(LinePrinter):
    """Prints notation on one line."""

    def brackets(self, printed: str) -> str:
        return f"({printed})"

    def number(self, node: Number) -> str:
        return node.text

    def name(self, node: Name) -> str:
        return node.text

    def indexed(self, node: Indexed) -> str:
        name = node.name.text
        if node.outside is not None:
            name = f"pad({name}, {self(node.outside)})"
        return f"{name}[{', '.join(map(self.index, node.indices))}]" if node.indices else name

    def index(self, node: Node) -> str:
        """An index: as Python writes it."""
        return _Index()(node)

    times = "·"

    def product(self, node: Product) -> str:
        first, second, *_ = node.factors
        beside = isinstance(first, Number) and _is_letter(second) and self.times == "·"
        factors = [self.inside(f, PRODUCT if k == 0 else POWER) for k, f in enumerate(node.factors)]
        if beside:
            factors[:2] = ["".join(factors[:2])]
        return self.times.join(factors)

    def quotient(self, node: Quotient) -> str:
        return f"{self.inside(node.above, PRODUCT)}/{self.inside(node.below, POWER)}"

    def whole(self, node: Whole) -> str:
        return f"{self.inside(node.above, ATOM)}{node.operator}{self.inside(node.below, ATOM)}"

    def power(self, node: Power) -> str:
        base = self.inside(node.base, ATOM)
        if isinstance(node.exponent, Number) and node.exponent.text.isdigit():
            return base + node.exponent.text.translate(SUPERSCRIPTS)
        return f"{base}**{self.inside(node.exponent, ATOM)}"

    def root(self, node: Root) -> str:
        return f"sqrt({self(node.inside)})"

    def call(self, node: Call) -> str:
        return f"{node.function}({', '.join(self.all(node.arguments))})"

    def choice(self, node: Choice) -> str:
        text = self.inside(node.otherwise, CHOICE)
        for value, condition in reversed(node.cases):
            text = f"{self.inside(value, OR)} if {self.inside(condition, OR)} else {text}"
        return text

    def relation(self, node: Relation) -> str:
        return f"{self.inside(node.left, SUM)} {node.sign} {self.inside(node.right, SUM)}"

    def junction(self, node: Junction) -> str:
        least = NOT if node.word == "and" else AND
        return f" {node.word} ".join(self.inside(part, least) for part in node.parts)

    def negated(self, node: Negated) -> str:
        return f"not {self.inside(node.inside, COMPARE)}"

    def bound(self, node: Bound) -> str:
        """An axis where it is bound: `i:4`, the batch without its size."""
        extent = node.extent
        return f"{node.axis.text}:{extent.text}" if isinstance(extent, Number) else node.axis.text

    def reduction(self, node: Reduction) -> str:
        body = self(node.body)
        if node.conditions:
            conditions = " and ".join(self.inside(c, NOT) for c in node.conditions)
            body = f"{self.inside(node.body, OR)} if {conditions} else {NOTHING[node.operation]}"
        return f"{node.operation}[{', '.join(map(self.bound, node.bounds))}]({body})"

    def slope(self, node: Slope) -> str:
        d = "∂" if node.partial else "d"
        return f"{d}{self.inside(node.of, ATOM)}/{d}{self.inside(node.by, ATOM)}"

    def statement(self, node: Statement) -> str:
        text = f"{self(node.left)} {node.sign} {self(node.right)}"
        if node.sign == "=":
            return text
        bounds = ", ".join(f"{b.axis.text} < {self(b.extent)}" for b in node.bounds)
        conditions = " and ".join(self.all(node.conditions))
        text += f"  for all {bounds}" if bounds else ""
        return text + (f" if {conditions}" if conditions else "")


class _Index(Text):
    """Prints what stands between the brackets of a tensor."""

    times = "*"


def _is_letter(node: Node) -> bool:
    """Whether a number can stand right before it: `3x`."""
    if isinstance(node, Power):
        node = node.base
    name = node.name if isinstance(node, Indexed) and not node.indices and node.outside is None else node
    return isinstance(name, Name) and level(name) == ATOM and len(name.text) == 1


text = Text()
"""The printer of plain text."""
