"""The record of a derivation as it is written on a page: rule, before, after, why, the chain rule inside.

Nothing is derived here. A step shows the definitions that a rewrite holds; where it swapped or perturbed, the
chain rule that found the slope of the body is written out from its own record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import sympy

from compiler.derive.chain import ChainStep, chain_steps
from compiler.ir.tensor.program import Access, Definition, Rewrite, Term
from compiler.show import scalars
from compiler.show.definitions import element, statements, term_body
from compiler.show.names import Called
from compiler.show.notation import Equals, Name, Node, Number, Product, Slope, Statement

TITLES: Mapping[str, str] = {
    "vjp": "reverse rule",
    "jvp": "forward rule",
    "winner": "maximum at its winner",
    "every element": "Jacobian",
    "step": "places of a step",
    "output form": "saved output",
    "put in": "stable form",
    "shift": "stable form",
}
"""Rules whose own name is not what a reader calls them."""
LETTERS = "uvwstqrpgh"


@dataclass(frozen=True)
class Link:
    """One use of the chain rule: what is differentiated, its parts by name, and the slopes by these."""

    whole: Statement
    parts: tuple[Statement, ...]
    slopes: tuple[Statement, ...]


@dataclass(frozen=True)
class Chain:
    """How the slope of a body was found: its links, the outermost first, and the slope."""

    links: tuple[Link, ...]
    slope: Equals

    @property
    def nodes(self) -> Iterator[Node]:
        """What is written of it, line by line: of one link the slope says all."""
        if len(self.links) > 1:
            for link in self.links:
                yield link.whole
                yield from link.parts
                yield from link.slopes
        yield self.slope


@dataclass(frozen=True)
class Step:
    """One recorded step."""

    rule: str
    why: str
    before: tuple[Statement, ...]
    after: tuple[Statement, ...]
    chains: tuple[Chain, ...] = ()
    rewrite: Rewrite | None = None

    @property
    def title(self) -> str:
        return TITLES.get(self.rule, self.rule)


def steps_of(rewrites: Iterable[Rewrite], called: Called) -> Iterator[Step]:
    """Each step of a record, in order; remarks, which change nothing, are left out."""
    for rewrite in rewrites:
        if rewrite.new:
            before, after = (
                tuple(s for d in side for s in _written(d, called)) for side in (rewrite.old, rewrite.new)
            )
            yield Step(rewrite.rule, rewrite.why, before, after, tuple(_chains(rewrite, called)), rewrite)


def _written(definition: Definition, called: Called) -> tuple[Statement, ...]:
    return tuple(statements(definition, called))


def _chains(rewrite: Rewrite, called: Called) -> Iterator[Chain]:
    """The slopes that a deriving step stands on: of a swap one, of a perturbation one for each tangent."""
    if rewrite.rule not in ("vjp", "jvp"):
        return
    old, new = rewrite.old[0], rewrite.new[0]
    (term,), (gained,) = old.terms, new.terms
    for symbol, read in term.reads:
        swapped = rewrite.rule == "vjp" and read.tensor == new.of and read.indices == gained.target
        tangent = rewrite.rule == "jvp" and _has_tangent(read, gained, called)
        if swapped or tangent:
            yield _chain(old, term, symbol, called)


def _has_tangent(read: Access, gained: Term, called: Called) -> bool:
    """Whether the tangent of what is read is read in its place."""
    base = called[read.tensor]
    marked = (base.letters, (*base.marks, "dot"))
    return any(
        a.indices == read.indices and (called[a.tensor].letters, called[a.tensor].marks) == marked
        for _, a in gained.reads
    )


def _chain(definition: Definition, term: Term, symbol: sympy.Symbol, called: Called) -> Chain:
    steps = chain_steps(term.body, symbol)
    nodes: dict[sympy.Expr, Node] = {s: scalars.access(a, called) for s, a in term.reads}
    # A term that is summed is not all of what it is added to.
    whole = term_body(term, called) if term.reduction_axes else element(definition, term, called)
    names = _names(steps, whole, nodes, called, term.extents)
    partial = len(term.reads) > 1 or bool(term.axes)
    by = nodes[symbol]
    links = tuple(_link(step, names, nodes, partial) for step in steps)
    found = scalars.body(steps[0].result if steps else sympy.Integer(term.body == symbol), nodes)
    return Chain(links, Equals((Slope(whole, by, partial), *_product(links), found)))


def _product(links: tuple[Link, ...]) -> Iterator[Node]:
    """The slopes of a chain without branches, multiplied: as slopes, and as what they are."""
    slopes = [slope for link in links for slope in link.slopes]
    if len(links) > 1 and len(slopes) == len(links):
        yield Product(tuple(slope.left for slope in slopes))
        factors = [slope.right for slope in slopes if slope.right != Number("1")]
        if len(factors) > 1:
            yield Product(tuple(factors))


def _names(
    steps: Iterable[ChainStep],
    whole: Node,
    nodes: Mapping[sympy.Expr, Node],
    called: Called,
    axes: Iterable[str],
) -> dict[sympy.Expr, Node]:
    """A letter for every inner function that the steps meet; the body is what it defines."""
    taken = {name.text for name in called.names.values()} | set(axes)
    letters = (x for number in range(1000) for x in (f"{a}{number or ''}" for a in LETTERS) if x not in taken)
    names: dict[sympy.Expr, Node] = {}
    for step in steps:
        names.setdefault(step.whole, whole)
        for part in step.parts:
            if part.inner in nodes:
                names[part.inner] = nodes[part.inner]
            elif part.inner not in names:
                letter = next(letters)
                names[part.inner] = Name(letter, letter)
    return names


def _link(
    step: ChainStep, names: Mapping[sympy.Expr, Node], nodes: Mapping[sympy.Expr, Node], partial: bool
) -> Link:
    put = {**nodes, **{part.symbol: names[part.inner] for part in step.parts}}
    whole = names[step.whole]
    several = len(step.parts) > 1 or (partial and len(step.outer.free_symbols) > 1)
    parts = [
        Statement(names[part.inner], "=", scalars.body(part.inner, nodes))
        for part in step.parts
        if part.inner not in nodes
    ]
    slopes = [
        Statement(Slope(whole, names[part.inner], several), "=", scalars.body(part.outer_slope, put))
        for part in step.parts
    ]
    return Link(Statement(whole, "=", scalars.body(step.outer, put)), tuple(parts), tuple(slopes))
