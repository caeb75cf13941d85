"""The derivatives of a formula in every mode that is asked for, with the record of how each came about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy

from compiler.derive.jacobian import jacobian, of_size
from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.errors import ModelError, Problem
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Access, Definition, Program, Rewrite, Term
from compiler.ir.tensor.record import rewritten
from compiler.simplify.compose import without_reads
from compiler.simplify.memo import Memo
from compiler.simplify.merge import tidy_definition
from compiler.simplify.simplify import simplify, stabilise
from compiler.tools.derive.problem import Question, given_cotangent

MODES = ("vjp", "jvp", "hvp", "jacobian")
Read = tuple[sympy.Symbol, Access]
"""Of a body: the symbol that stands for what is read."""
EXAMPLES = 2
"""Examples in the batch of a Jacobian, which has an entry for each two of them."""


@dataclass(frozen=True)
class Derived:
    """One mode: the rules' own program, the same simplified, and in stable form, each with its record."""

    mode: str
    given: Program
    """What the rules were given."""
    plain: Program
    derived: tuple[Rewrite, ...]
    simple: Program
    simplified: tuple[Rewrite, ...]
    stable: Program
    stabilised: tuple[Rewrite, ...]
    results: tuple[tuple[str, str], ...]
    """(what was differentiated by, the tensor that holds the derivative)."""
    seeded: str | None
    """The tensor that holds the cotangent of the output, where that is given."""
    source: Program
    """On whose values the rules' record can be played again."""

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        return (*self.derived, *self.simplified, *self.stabilised)


def derive_modes(asked: Question, modes: Iterable[str]) -> tuple[Derived, ...]:
    """Each mode in turn. Raises ModelError for a word that is none."""
    return tuple(_derived(asked, mode) for mode in checked_modes(modes))


def checked_modes(modes: Iterable[str]) -> tuple[str, ...]:
    """The modes, each once. Raises ModelError for a word that is none."""
    modes = tuple(dict.fromkeys(modes))
    for mode in modes:
        if mode not in MODES:
            raise ModelError(Problem("no such mode", expected=", ".join(MODES), found=mode))
    return modes


def _derived(asked: Question, mode: str) -> Derived:
    program, output, wrt = asked.program, asked.output, asked.wrt
    if mode == "jvp":
        plain, record = jvp(program, wrt, (output,))
        return _finished(mode, program, plain, record, (("", plain.outputs[-1]),), None)
    if mode == "jacobian":
        if any(has_batch(entry.shape) for entry in program.entries):
            program = of_size(program, EXAMPLES)
        plain, record = jacobian(program, output, wrt)
        pulled, _ = vjp(program, output, wrt, seed="input")
        return _finished(mode, program, plain, record, _pairs(wrt, plain), None, pulled)
    scalar = program.shape(output) == ()
    pulled, record = vjp(program, output, wrt, seed="one" if scalar else "input")
    seeded = None if scalar else given_cotangent(pulled, output)
    if mode == "vjp":
        return _finished(mode, program, pulled, record, _pairs(wrt, pulled), seeded)
    first, _ = simplify(pulled, stable=False)
    cotangents = first.outputs[-len(wrt) :]
    plain, record = jvp(first, wrt, cotangents)
    plain = plain.replace(outputs=(output, *plain.outputs[-len(wrt) :]))
    return _finished(mode, first, plain, record, _pairs(wrt, plain), seeded)


def _pairs(wrt: tuple[str, ...], program: Program) -> tuple[tuple[str, str], ...]:
    return tuple(zip(wrt, program.outputs[-len(wrt) :], strict=True))


def _finished(
    mode: str,
    given: Program,
    plain: Program,
    record: tuple[Rewrite, ...],
    results: tuple[tuple[str, str], ...],
    seeded: str | None,
    source: Program | None = None,
) -> Derived:
    simple, simplified = simplify(plain, stable=False)
    stable, stabilised = stabilise(simple)
    shown: Program = simple
    composed: tuple[Rewrite, ...] = ()
    if is_slope(mode, seeded):
        shown, composed = without_each_other(simple, [*_constants(simple), *(name for _, name in results)])
    shown, factored = recognised(shown, given)
    return Derived(
        mode,
        given,
        plain,
        record,
        shown,
        (*simplified, *composed, *factored),
        stable,
        stabilised,
        results,
        seeded,
        source or plain,
    )


def is_slope(mode: str, seeded: str | None) -> bool:
    """Whether results are written dy/dx: of one number, or with an index for each of the output."""
    return seeded is None and mode in ("vjp", "jacobian")


def _constants(program: Program) -> list[str]:
    """Cotangents that read nothing, such as that of one number by itself, which is 1."""
    return [d.name for d in program.definitions if d.role == "cotangent" and not d.tensors]


def without_each_other(program: Program, results: Iterable[str]) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program with each result put into what reads it, where that can be: ∂y/∂z says nothing to a
    reader who has to know what x̄ is. Kernels, which read a result instead of working it out again, are made
    without."""
    memo, record = Memo(), []
    for name in results:
        inner = program.definition(name)
        if inner is None or inner.operation != "sum":
            continue
        for reader in program.readers[name]:
            changed = _with_put_in(program, reader, inner, memo)
            if changed is not None:
                program = replaced(program, reader.name, changed)
                why = f"{name} is put in: it is a derivative, and no name of the formula"
                record.append(rewritten("compose", reader, changed, why))
    return program, tuple(record)


def _with_put_in(program: Program, reader: Definition, inner: Definition, memo: Memo) -> Definition | None:
    """The reader without any read of `inner`; None where it needs one."""
    if reader.operation != "sum" or program.in_one_circle(reader.name, inner.name):
        return None
    terms: list[Term] = []
    for term in reader.terms:
        parts = without_reads(term, inner, memo)
        if not parts:
            return None
        terms += parts
    return tidy_definition(program, replace(reader, terms=tuple(terms)))


def recognised(program: Program, given: Program) -> tuple[Program, tuple[Rewrite, ...]]:
    """The program with factors taken out of sums where that makes a part of the formula appear: 18x + 12 as
    6·(3x + 2), where the formula has 3x + 2. It is what a person would write; kernels are made without."""
    parts = {
        _over_accesses(node, term.reads)
        for definition in given.definitions
        for term in definition.terms
        for node in sympy.preorder_traversal(term.body)
        if isinstance(node, sympy.Add)
    }
    record = []
    for definition in program.definitions:
        if definition.name in given or definition.dtype != "real":
            continue
        terms = tuple(replace(t, body=_factored(t.body, t.reads, parts)) for t in definition.terms)
        if terms != definition.terms:
            changed = replace(definition, terms=terms)
            program = replaced(program, definition.name, changed)
            record.append(rewritten("factor", definition, changed, "what is left is a part of the formula"))
    return program, tuple(record)


def _over_accesses(body: sympy.Expr, reads: Iterable[Read]) -> sympy.Expr:
    """The body over symbols that say what is read."""
    return body.xreplace({symbol: sympy.Symbol(str(access)) for symbol, access in reads})


def _factored(body: sympy.Expr, reads: Iterable[Read], parts: set[sympy.Expr]) -> sympy.Expr:
    content, rest = body.as_content_primitive()
    if content in (1, -1) or not isinstance(body, sympy.Add) or _over_accesses(rest, reads) not in parts:
        return body
    return sympy.Mul(content, rest, evaluate=False)
