"""What is said of a derivation: the formula, each derivative, and the steps to it, as notation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from compiler.ir.tensor.program import Definition, Program
from compiler.ir.tensor.prune import needed_for
from compiler.show.definitions import statements
from compiler.show.names import Called, called
from compiler.show.notation import Indexed, Slope, Statement
from compiler.tools.derive.derivation import Derived, is_slope
from compiler.tools.derive.problem import Question
from compiler.tools.derive.steps import Step, steps_of

MEANINGS = {
    "vjp": "vector-Jacobian product: reverse mode",
    "jvp": "Jacobian-vector product: forward mode",
    "hvp": "Hessian-vector product: forward over reverse",
    "jacobian": "Jacobian: every output by every input",
}
"""What each mode is called."""


@dataclass(frozen=True)
class Section:
    """One mode: what is computed on the way, what is asked for, and how it came about."""

    mode: str
    title: str
    on_the_way: tuple[Statement, ...]
    results: tuple[Statement, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Page:
    """A derivation as it is shown."""

    formula: tuple[Statement, ...]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]


def page(asked: Question, modes: Iterable[Derived]) -> Page:
    """All that is shown of a question and its answers."""
    modes = tuple(modes)
    programs = (p for d in modes for p in (d.plain, d.simple, d.stable))
    names = called((asked.program, *programs), (rewrite for d in modes for rewrite in d.rewrites))
    formula = tuple(s for d in asked.program.definitions for s in statements(d, names))
    sections = tuple(_section(asked, derived, names) for derived in modes)
    return Page(formula, tuple(_notes(asked, modes, names)), sections)


def _section(asked: Question, derived: Derived, names: Called) -> Section:
    wanted = {name for _, name in derived.results}
    shown = _needed(derived.simple, asked.program, wanted)
    results = tuple(
        _as_slope(s, d, asked, derived, names)
        for d in shown
        if d.name in wanted
        for s in statements(d, names)
    )
    way = tuple(s for d in shown if d.name not in wanted for s in statements(d, names))
    if is_slope(derived.mode, derived.seeded):
        # What could not be put in is a name, which is said too.
        read = wanted & {name for d in shown for name in d.tensors}
        way += tuple(s for d in shown if d.name in read for s in statements(d, names))
    steps = (
        *_seed(derived, names),
        *steps_of(derived.derived, names),
        *_sums(derived, names),
        *steps_of(derived.simplified, names),
    )
    return Section(derived.mode, MEANINGS[derived.mode], way, results, steps)


def _seed(derived: Derived, names: Called) -> Iterator[Step]:
    """The cotangent that reverse mode starts from: of one number by itself it is 1."""
    for definition in derived.plain.definitions:
        if definition.name in derived.given or definition.role != "cotangent" or definition.tensors:
            continue
        if any(term.body != 0 for term in definition.terms):
            yield Step("start", "the derivative of the result by itself", (), _written(definition, names))


def _sums(derived: Derived, names: Called) -> Iterator[Step]:
    """The parts of each cotangent, which the rules gave one by one, added."""
    for definition in derived.plain.definitions:
        if (
            definition.role == "cotangent"
            and definition.name not in derived.given
            and len(definition.terms) > 1
        ):
            parts = (s for t in definition.terms for s in statements(replace(definition, terms=(t,)), names))
            why = "what is read in several places gains a part from each"
            yield Step("sum of parts", why, tuple(parts), _written(definition, names))


def _written(definition: Definition, names: Called) -> tuple[Statement, ...]:
    return tuple(statements(definition, names))


def _needed(program: Program, forward: Program, wanted: Iterable[str]) -> list[Definition]:
    """What the derivatives need that the formula does not define itself."""
    needed = needed_for(program, *wanted).definitions
    return [d for d in needed if d.name not in forward or forward.definition(d.name) is None]


def _as_slope(
    statement: Statement, definition: Definition, asked: Question, derived: Derived, names: Called
) -> Statement:
    """`dy/dx` on the left, where the derivative is of one number, or has an index for each of the output."""
    by = next((name for name, result in derived.results if result == definition.name), "")
    if not by or not is_slope(derived.mode, derived.seeded):
        return statement
    left = statement.left
    assert isinstance(left, Indexed)
    rank = len(asked.program.shape(asked.output)) if derived.mode == "jacobian" else 0
    of = Indexed(names[asked.output], left.indices[:rank])
    source = Indexed(names[by], left.indices[rank:])
    return replace(statement, left=Slope(of, source, partial=_is_partial(asked)))


def _is_partial(asked: Question) -> bool:
    given = [t for t in asked.program.inputs if t.kind != "batch_size"]
    return len(given) > 1 or given[0].shape != ()


def _notes(asked: Question, modes: Iterable[Derived], names: Called) -> Iterable[str]:
    """What may have been meant otherwise, and what the names with marks stand for."""
    yield from asked.notes
    output = names[asked.output].text
    for derived in modes:
        if derived.seeded is not None and derived.mode in ("vjp", "hvp"):
            seed = names[derived.seeded].text
            by = names[asked.wrt[0]].text
            yield f"{seed} is the cotangent of {output}: ∂L/∂{output} of a loss L; {by}_bar is that of {by}"
            break
    if any(derived.mode in ("jvp", "hvp") for derived in modes):
        by = names[asked.wrt[0]].text
        yield f"{by}_dot is the tangent of {by}: the direction along which the derivative is taken"
