"""What a layer's derivatives are where it has none: the conventions for the kinks that its formula has."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Power, Select, Sign
from compiler.ir.tensor.program import Definition

OF_FUNCTIONS: dict[type, str] = {
    Maximum: "max(a, b) is b where both are equal, for the derivative too: that of max(x, 0) is 0 at 0.",
    Minimum: "min(a, b) is b where both are equal, for the derivative too: that of min(x, 0) is 0 at 0.",
    Absolute: "abs(a) has the derivative sign(a), which is 0 at 0.",
    Sign: "sign(a) has the derivative 0 everywhere.",
    Power: "a**b has the derivative 0 by a where b is 0, and by b where a is 0 and b is not negative.",
    Select: "A choice has the derivative of the branch that is taken.",
}
OF_SEARCHES = (
    "Of several places that hold the largest (or smallest) value, the first has all of the derivative."
)
OF_PADDING = "What is read outside of a tensor is a constant."


def conventions(definitions: Iterable[Definition]) -> tuple[str, ...]:
    """What holds at the kinks of these formulas, each said once."""
    definitions = tuple(definitions)
    terms = [term for definition in definitions for term in definition.terms]
    found = [words for kind, words in OF_FUNCTIONS.items() if any(term.body.has(kind) for term in terms)]
    if any(definition.operation in ("max", "min") for definition in definitions):
        found.append(OF_SEARCHES)
    if any(access.outside is not None for term in terms for _, access in term.reads):
        found.append(OF_PADDING)
    return tuple(found)
