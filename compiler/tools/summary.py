"""`chainrule summary models/x.py`: layers, shapes, parameters, work and memory, before anything is compiled.

Work is counted as the formulas say it: the additions, multiplications and functions of every layer for one
example, forwards. A compiled module may need fewer, and says how many (`chainrule compile`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from compiler.frontend.lower import lower
from compiler.frontend.lowered import LoweredModel, shape_text
from compiler.frontend.parse import load_model
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.maps import is_injective
from compiler.ir.tensor.program import Term
from compiler.machine.elements import element_bytes, real_of
from compiler.schedule.header import counted, operation_count
from compiler.schedule.layout import row_size
from compiler.tools.words import bytes_text


@dataclass(frozen=True)
class LayerSummary:
    """A layer: `shape` is that of one example; `operations` are those of one example, `values` all that its
    stages hold for one."""

    name: str
    kind: str
    shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
    parameters: int
    state: int
    operations: int
    values: int


@dataclass(frozen=True)
class Summary:
    """A model's layers, and the bytes that training needs whatever the batch: parameters, a gradient of each,
    the slots of the optimizer, and states."""

    model: str
    dtype: str
    layers: tuple[LayerSummary, ...]
    optimizer: str
    slots: int

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def state(self) -> int:
        return sum(layer.state for layer in self.layers)

    @property
    def operations(self) -> int:
        return sum(layer.operations for layer in self.layers)

    @property
    def values(self) -> int:
        return sum(layer.values for layer in self.layers)

    @property
    def training_bytes(self) -> int:
        return element_bytes("real", real_of(self.dtype)) * (self.parameters * (2 + self.slots) + self.state)


def summarize(path: Path, dtype: str = "float32") -> Summary:
    """The summary of a model file. Raises ModelError."""
    return summary_of(lower(load_model(path)), dtype)


def summary_of(model: LoweredModel, dtype: str) -> Summary:
    """The summary of a model that has been lowered."""
    operations, values = Counter[str](), Counter[str]()
    for definition in model.predict.definitions:
        if counted((definition,)):
            worked = (term for term in definition.terms if not _only_moves(term))
            operations[definition.origin] += sum(map(operation_count, worked))
        if has_batch(definition.shape):
            values[definition.origin] += row_size(definition.shape)
    layers = tuple(
        LayerSummary(
            *(row.name, row.kind, row.shape, row.parameters, row.states),
            operations=operations[row.name],
            values=values[row.name],
        )
        for row in model.layers
    )
    return Summary(model.name, dtype, layers, model.optimizer.kind, len(model.optimizer.slots))


def _only_moves(term: Term) -> bool:
    """Whether each value is put into a place of its own as it is: to flatten computes nothing."""
    return term.body.is_Symbol and is_injective(replace(term, reads=()))


def to_json(summary: Summary) -> dict[str, Any]:
    """The same for programs."""
    totals = ("parameters", "state", "operations", "values", "training_bytes")
    return asdict(summary) | {name: getattr(summary, name) for name in totals}


def render(summary: Summary) -> str:
    """The table that a person reads."""
    head = ("layer", "kind", "output", "parameters", "operations", "values")
    rows = [
        (
            layer.name,
            layer.kind,
            shape_text(layer.shape, " × ") or "number",
            f"{layer.parameters:,}" + (f" + {layer.state:,}" if layer.state else ""),
            f"{layer.operations:,}",
            f"{layer.values:,}",
        )
        for layer in summary.layers
    ]
    total = f"{summary.parameters:,}" + (f" + {summary.state:,}" if summary.state else "")
    rows.append(("total", "", "", total, f"{summary.operations:,}", f"{summary.values:,}"))
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [_line(row, widths) for row in (head, *rows)]
    rule = "-" * len(lines[0])
    has_state = ", and + values of state" if summary.state else ""
    return "\n".join(
        [
            f"{summary.model}, {summary.dtype}",
            "",
            lines[0],
            rule,
            *lines[1:-1],
            rule,
            lines[-1],
            "",
            f"Operations and values of one example, forwards, as the formulas say{has_state}.",
            f"Training with {summary.optimizer} keeps {bytes_text(summary.training_bytes)}: parameters, "
            f"gradients, {summary.slots} slots" + (", states." if summary.state else "."),
        ]
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """Words to the left, numbers to the right."""
    left = [text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True)]
    right = [text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)]
    return "  ".join([*left, *right]).rstrip()
