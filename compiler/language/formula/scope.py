"""What the names of a formula mean: tensors of known shape and constants."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from compiler.errors import CompilerBug, ModelError, lines_of
from compiler.ir.affine.domain import Shape
from compiler.language.formula.problems import formula_error
from compiler.language.formula.spelling import with_normalised_keys
from compiler.language.formula.syntax import FUNCTION_NAMES, OWN_NAMES, REDUCTIONS, Node, Place, Read

BATCH_AXIS = "b"
BATCH_SIZE = "batch_size"
HIDDEN_BATCH_SIZE = "batch_size[]"
"""The key of the same tensor for what the text does not spell: no formula can hide it."""
UNIFORM = "uniform"
IOTA = "iota"
"""The program's tensor of 0, 1, 2, …, which a value that is made of axes reads."""


SIZE = "size"
"""`size(i)` is the extent of axis i."""
RESERVED = (UNIFORM, BATCH_SIZE, SIZE, "pad", "ravel", "inf", "pi")
"""Names that no formula may define."""
UNKNOWN = -1
"""The size of a dimension that is still to be inferred."""


@dataclass(frozen=True)
class Operand:
    """A tensor that a formula reads or defines: its name in the program, its shape (None: the batch).

    While shapes are inferred (infer.py), a dimension may be UNKNOWN, and the shape None: of unknown rank.
    """

    name: str
    shape: Shape | None
    dtype: Literal["real", "index"] = "real"
    limit: int | None = None
    """For dtype "index": values lie in [0, limit)."""

    @property
    def known_shape(self) -> Shape:
        """Its shape, once that is inferred. Raises CompilerBug before."""
        if self.shape is None:
            raise CompilerBug(f"the shape of {self.name} is asked for before it is inferred")
        return self.shape


def with_batch_size(operands: Mapping[str, Operand]) -> dict[str, Operand]:
    """The tensors that a formula is given: `batch_size[]`, and those that it is given besides.

    One that is called so itself hides the size from the text, but not from what is made of `mean` and `size`.
    """
    size = Operand(BATCH_SIZE, ())
    return {BATCH_SIZE: size, HIDDEN_BATCH_SIZE: size, **with_normalised_keys(operands)}


@dataclass(frozen=True)
class Scope:
    """The text being compiled (for excerpts), its tensors by their name in the text, its constants."""

    text: str
    operands: Mapping[str, Operand]
    constants: Mapping[str, int | float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Extents of axes, wherever an axis of that name is bound."""
    extents: Mapping[str, int] = field(default_factory=dict)
    """The same, as if they were written there: tensors may be larger."""

    def error(self, place: Place | None, message: str, **details: str | None) -> ModelError:
        return formula_error(self.text, place, message, **details)

    def written(self, node: Node) -> str:
        """What stands in the text for a node, as far as it is on one line."""
        return lines_of(self.text)[node.place.line - 1][node.place.column : node.place.end]

    def operand(self, read: Read) -> Operand:
        """The tensor of a read. Raises ModelError for an unknown name or a wrong number of indices."""
        if read.tensor not in self.operands:
            raise self.unknown_tensor(read.tensor, read.place)
        operand = self.operands[read.tensor]
        self.check_rank(read, operand)
        return operand

    def check_rank(self, read: Read, operand: Operand) -> None:
        """Raises ModelError where a read, or a left side, has another number of indices than the tensor."""
        if operand.shape is not None and len(read.indices) != len(operand.shape):
            message = f"{read.tensor} has the wrong number of indices"
            expected = f"{len(operand.shape)}, for the shape {shape_text(operand.shape)}"
            raise self.error(read.place, message, expected=expected, found=str(len(read.indices)))

    def unknown_tensor(self, name: str, place: Place) -> ModelError:
        if name in self.constants:
            return self.error(place, f"{name} is a constant, not a tensor", advice=f"{name}, without indices")
        if name in REDUCTIONS:
            return self.error(place, f"{name} reduces over axes", expected=f"{name}[axes](expression)")
        if name in (*FUNCTION_NAMES, *OWN_NAMES):
            return self.error(place, f"{name} is a function", expected=f"{name}(expression)")
        known = sorted(key for key in self.operands if key.isidentifier())
        return self.error(
            place,
            f"there is no tensor {name}",
            expected=f"one of {', '.join(known)}",
            advice=did_you_mean(name, known),
        )


def shape_text(shape: Shape) -> str:
    """A shape as errors show it: `(batch, 28, 28, 1)`, and `?` for a size that nothing has said yet."""
    sizes = ["batch" if extent is None else "?" if extent == UNKNOWN else str(extent) for extent in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A known name that the given one resembles."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return close[0] if close else None
