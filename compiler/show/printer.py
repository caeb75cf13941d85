"""What every printer of notation does: finds the method for a node, and puts brackets where one is needed."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.errors import CompilerBug
from compiler.show.notation import PRODUCT, SUM, Equals, Negative, Node, Sum, level

BATCH = "B"
"""What typeset formulas call the size of the batch."""


class Printer:
    """Calls the method that is named like the node, in small letters."""

    def __call__(self, node: Node) -> str:
        """The node in this printer's language."""
        method = getattr(self, type(node).__name__.lower(), None)
        if method is None:
            raise CompilerBug(f"{type(self).__name__} cannot print {type(node).__name__}")
        return method(node)

    def inside(self, node: Node, least: int) -> str:
        """The node, in brackets if it binds less tightly than what stands around it asks for."""
        printed = self(node)
        return printed if level(node) >= least else self.brackets(printed)

    def all(self, nodes: Iterable[Node]) -> list[str]:
        return list(map(self, nodes))

    def brackets(self, printed: str) -> str:
        """What is printed, as one thing."""
        raise NotImplementedError


class LinePrinter(Printer):
    """Prints in a row of signs, in which a sum is its terms with + and - between."""

    def negative(self, node: Negative) -> str:
        return f"-{self.inside(node.inside, PRODUCT)}"

    def sum(self, node: Sum) -> str:
        text = ""
        for term in node.terms:
            if isinstance(term, Negative):
                text += f" - {self.inside(term.inside, PRODUCT)}" if text else self(term)
            else:
                text += (" + " if text else "") + self.inside(term, PRODUCT)
        return text

    def equals(self, node: Equals) -> str:
        return " = ".join(self.inside(form, SUM) for form in node.forms)
