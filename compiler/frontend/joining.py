"""One program from formulas that have been compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compiler.ir.tensor.program import Program, Tensor
from compiler.language.formula import CompiledFormula
from compiler.language.formula.scope import IOTA


def program_of(
    given: Iterable[Tensor],
    formulas: Iterable[CompiledFormula],
    outputs: tuple[str, ...],
    streams: Iterator[int],
) -> Program:
    """One program from compiled formulas: random tensors join its inputs, each with a stream of its own."""
    formulas = list(formulas)
    definitions = tuple(definition for formula in formulas for definition in formula.definitions)
    random = [
        Tensor(operand.name, operand.known_shape, "random", stream=next(streams), origin=formula.origin)
        for formula in formulas
        for operand in formula.random
    ]
    read = {name for definition in definitions for name in definition.tensors}
    kept = (tensor for tensor in given if tensor.kind != "batch_size" or tensor.name in read)
    values = max((formula.iota for formula in formulas), default=0)
    iota = [Tensor(IOTA, (values,), "iota")] if values else []
    return Program((*kept, *random, *iota), definitions, outputs)
