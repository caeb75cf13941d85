"""A scalar body as an expression of arrays."""

from __future__ import annotations

from compiler.emit.arrays.backend import Backend
from compiler.ir.scalar.held import StopGradient
from compiler.show.notation import (
    ATOM,
    NOT,
    PRODUCT,
    SUM,
    Call,
    Choice,
    Junction,
    Name,
    Negated,
    Negative,
    Node,
    Power,
    Product,
    Relation,
    Root,
    walk,
)
from compiler.show.notation import POWER as POWERS
from compiler.show.text import Text

FUNCTIONS = {
    **{"max": "maximum", "min": "minimum", "abs": "absolute", "pow": "power"},
    **{"acos": "arccos", "asin": "arcsin", "atan": "arctan"},
}
"""What the language's functions are called in NumPy, and elsewhere too unless its backend says otherwise."""
SPECIAL = ("erf", "erfc")
WORDS = {"pi": "math.pi", "e": "math.e", "inf": "math.inf", "nan": "math.nan"}


class Expression(Text):
    """Prints notation for a library; a name is an expression of an array."""

    times = "*"

    def __init__(self, backend: Backend):
        self.backend = backend

    def name(self, node: Name) -> str:
        return WORDS.get(node.text, node.text) if node.letters == node.text else node.text

    def product(self, node: Product) -> str:
        return "*".join(self.inside(f, PRODUCT if k == 0 else POWERS) for k, f in enumerate(node.factors))

    def power(self, node: Power) -> str:
        positive = _is_constant(node.base) and not isinstance(node.base, Negative)
        if not positive and not _is_constant(node.exponent):
            # Python's own ** is complex for a negative number, and raises for 0 to a negative one.
            return self._call("pow", (node.base, node.exponent))
        return f"{self.inside(node.base, ATOM)}**{self.inside(node.exponent, ATOM)}"

    def root(self, node: Root) -> str:
        return self._call("sqrt", (node.inside,))

    def call(self, node: Call) -> str:
        return self._call(node.function, node.arguments)

    def _call(self, function: str, arguments: tuple[Node, ...]) -> str:
        if all(map(_is_constant, arguments)):
            return f"math.{function}({', '.join(self.all(arguments))})"
        if function == StopGradient.name:
            return self.backend.constant_part.format(argument=self(arguments[0]))
        if function in SPECIAL:
            return self.backend.special.format(name=function, argument=self(arguments[0]))
        name = FUNCTIONS.get(function, function)
        name = self.backend.functions.get(name, name)
        values = (self._array(a) if len(arguments) > 1 else self(a) for a in arguments)
        return f"{self.backend.module}.{name}({', '.join(values)})"

    def _array(self, node: Node) -> str:
        """An operand that has to be an array."""
        return self.backend.constant.format(value=self(node)) if _is_constant(node) else self(node)

    def choice(self, node: Choice) -> str:
        text = self._array(node.otherwise)
        for value, condition in reversed(node.cases):
            text = f"{self.backend.module}.where({self(condition)}, {self._array(value)}, {text})"
        return text

    def relation(self, node: Relation) -> str:
        return f"{self.inside(node.left, SUM)} {node.sign} {self.inside(node.right, SUM)}"

    def junction(self, node: Junction) -> str:
        sign = " & " if node.word == "and" else " | "
        return sign.join(f"({self(part)})" for part in node.parts)

    def negated(self, node: Negated) -> str:
        return f"~({self.inside(node.inside, NOT)})"


def _is_constant(node: Node) -> bool:
    """Whether no array is in it."""
    leaves = (n for n in walk(node) if isinstance(n, Name))
    return all(n.letters == n.text and n.text in WORDS for n in leaves)
