"""A formula as a program: what it is given, what it defines, by what it is differentiated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from compiler.errors import ModelError, Problem
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.prune import part_of
from compiler.language.formula.compile import compile_formula
from compiler.language.formula.infer import infer_shapes
from compiler.language.formula.scope import Operand
from compiler.tools.derive.as_typed import as_typed
from compiler.tools.derive.reading import Written, given_tensors, misread, read_formula
from compiler.tools.derive.sizes import operands_of

GIVEN = ("input", "label", "parameter")
"""Kinds of tensors by which a formula may be differentiated."""


@dataclass(frozen=True)
class Question:
    """A forward program, its output, and the tensors by which it is to be differentiated."""

    formula: str
    program: Program
    output: str
    wrt: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What a reader may have meant otherwise."""


def question(text: str, *, wrt: Iterable[str] = (), sizes: Mapping[str, int] | None = None) -> Question:
    """The question that a formula asks. Raises ModelError for what cannot be read or does not fit."""
    try:
        return _question(read_formula(text), tuple(wrt), sizes or {})
    except ModelError as error:
        raise as_typed(error, text) from None


def _question(written: Written, wrt: tuple[str, ...], sizes: Mapping[str, int]) -> Question:
    operands, known = operands_of(written, given_tensors(written.formula), sizes)
    shapes = infer_shapes(written.text, operands=operands, unknown={}, constants={}, sizes={}, extents=known)
    result = written.result
    compiled = compile_formula(
        written.text,
        operands=operands,
        results={result: Operand(result, shapes[result])},
        extents=known,
    )
    inputs = [Tensor(o.name, o.shape or (), "input", o.dtype, o.limit) for o in operands.values()]
    read = {name for definition in compiled.definitions for name in definition.tensors}
    if "batch_size" in read:
        inputs.append(Tensor("batch_size", (), "batch_size"))
    inputs += [Tensor(r.name, r.shape or (), "random", stream=k) for k, r in enumerate(compiled.random)]
    if compiled.iota:
        inputs.append(Tensor("iota", (compiled.iota,), "iota"))
    program = part_of(inputs, compiled.definitions, (result,))
    # What cancels, as in x - x, is given all the same: its derivative is 0.
    kept = [t for t in inputs if t.kind == "input" or t in program.inputs]
    found = asked(written.text, program.replace(inputs=tuple(kept)), result, wrt or written.by)
    return replace(found, notes=(*written.notes, *misread(written.formula)))


def asked(text: str, program: Program, output: str, wrt: Iterable[str] = ()) -> Question:
    """The question after a program's output; by all real tensors that it is given, unless some are named."""
    real = tuple(t.name for t in program.inputs if t.kind in GIVEN and t.dtype == "real")
    chosen = tuple(dict.fromkeys(wrt)) or real
    for name in chosen:
        if name not in real:
            expected = ", ".join(real) or "nothing: the formula reads no real tensor"
            raise ModelError(Problem("no derivative by this", expected=expected, found=name))
    if not chosen:
        raise ModelError(
            Problem(
                "the formula reads no tensor that it could be differentiated by",
                expected="at least one name that is no axis and no index",
                advice="y = (3x + 2)²",
            )
        )
    return Question(text, program, output, chosen)


def given_cotangent(program: Program, output: str) -> str:
    """The tensor that reverse mode is given for the output's cotangent."""
    return next(t.name for t in program.inputs if t.role == "cotangent" and t.of == output)
