"""Gradients of each example of a batch: every parameter gets a batch axis, then the program is derived.

    h[b,o] += W[i,o]·x[b,i]                        h[b,o] += W.each[b,i,o]·x[b,i]
    loss[] += f(h[b,·])/batch_size          ->     loss.each[b] += f(h[b,·])

    W.each.cotangent[b,i,o] += x[b,i]·h.cotangent[b,o]         what rule one makes of it: no sum over b

`W.each[b,i,o]` is W[i,o] for every b, and is read as that again when the derivative is there. So a copy is
never made. This is `vmap` of a VJP, told in tensor programs: no layer is known to it. An example's loss
is the loss of a batch of this example alone, so that the mean over the batch loses its 1/batch_size.

It holds only where examples do not meet before the loss. A sum over the batch may be scaled and added to
other such sums; when anything of an example reads one, as in batch normalization, the model is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import sympy

from compiler.derive.vjp import vjp
from compiler.errors import CompilerBug, ModelError, Problem
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.axes import AxisNames, batch_axis, has_batch, runs_over_batch
from compiler.ir.tensor.editing import extended
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Program,
    Rewrite,
    Tensor,
    Term,
    make_term,
    move_term,
)
from compiler.ir.tensor.prune import needed_for, prune


def per_example(
    program: Program, loss: str, parameters: Iterable[str]
) -> tuple[Program, tuple[Rewrite, ...]]:
    """Outputs the losses (batch,) and, for each parameter, its gradients (batch, *shape), in that order.

    Raises ModelError when examples of a batch interact.
    """
    parameters = tuple(parameters)
    program = needed_for(program, loss)
    apart, kinds, each = _apart(program, loss, parameters)
    total = _total(each[loss], apart.names().fresh(f"{loss}.total"))
    whole = extended(apart, definitions=(total,))
    derived, rewrites = vjp(whole, total.name, (each[name] for name in parameters))
    return _without_copies(derived, program, kinds, each), rewrites


def losses_of_each(program: Program, loss: str, parameters: Iterable[str]) -> Program:
    """The program of the losses (batch,) alone. Raises ModelError when examples of a batch interact."""
    program = needed_for(program, loss)
    apart, kinds, each = _apart(program, loss, tuple(parameters))
    return _without_copies(apart, program, kinds, each)


def _apart(
    program: Program, loss: str, parameters: tuple[str, ...]
) -> tuple[Program, _Kinds, dict[str, str]]:
    """The program of the losses of each example, by parameters that each has its own of; and their names."""
    kinds = _kinds(program, frozenset(parameters))
    if loss not in kinds.wholes:
        raise CompilerBug(f"{loss} is no sum over the batch")
    names = program.names()
    widened = [d.name for d in program.definitions if d.name in kinds.statics | kinds.wholes]
    each = {name: names.fresh(f"{name}.each") for name in (*parameters, *widened)}
    definitions = [_with_batch_axis(d, each, program.batch_size) for d in program.definitions]
    given = [_each_parameter(program[name], each[name]) for name in parameters]
    return extended(program.with_definitions(definitions), given).replace(outputs=(each[loss],)), kinds, each


@dataclass(frozen=True)
class _Kinds:
    """What each tensor is. All others have a batch axis, or depend on no parameter and no example."""

    parameters: frozenset[str]
    statics: frozenset[str]
    """Without a batch axis, computed from parameters alone."""
    wholes: frozenset[str]
    """Summed over the batch, or computed from what is."""


def _kinds(program: Program, parameters: frozenset[str]) -> _Kinds:
    statics: set[str] = set()
    wholes: set[str] = set()
    known = -1
    # Once, and again where a circle reads what comes later in it.
    while known < len(statics) + 2 * len(wholes):
        known = len(statics) + 2 * len(wholes)
        for definition in program.definitions:
            if has_batch(definition.shape):
                for term in definition.terms:
                    _check_alone(definition, term, wholes, program.batch_size)
            elif runs_over_batch(*definition.terms) or wholes.intersection(definition.tensors):
                for term in definition.terms:
                    _check_sum(definition, term, wholes, program.batch_size)
                wholes.add(definition.name)
                statics.discard(definition.name)
            elif (parameters | statics).intersection(definition.tensors):
                statics.add(definition.name)
        if not program.circle_of:
            break
    return _Kinds(parameters, frozenset(statics), frozenset(wholes))


def _check_alone(definition: Definition, term: Term, wholes: set[str], batch_size: str | None) -> None:
    """An example must read nothing that others have a part in."""
    met = [name for name in term.tensors if name in wholes or name == batch_size]
    if met:
        raise _interaction(definition, f"{met[0]} is of the whole batch, and {definition.name} reads it")
    if sum(a.extent is None for a in term.axes) != 1 or definition.shape[0] is not None:
        raise _interaction(
            definition, f"{definition.name} does not go through the batch once, as its first axis"
        )


def _check_sum(definition: Definition, term: Term, wholes: set[str], batch_size: str | None) -> None:
    """A whole must be a sum over examples, or linear in one."""
    symbols = [symbol for symbol, access in term.reads if access.tensor in wholes]
    size = {symbol: sympy.S.One for symbol, access in term.reads if access.tensor == batch_size}
    body = term.body.xreplace(size)
    linear = all(sympy.diff(body, s, other) == 0 for s in symbols for other in symbols)
    homogeneous = not symbols or body.xreplace(dict.fromkeys(symbols, sympy.S.Zero)) == 0
    twice = symbols and runs_over_batch(term)
    if definition.operation != "sum" or not (linear and homogeneous) or twice:
        raise _interaction(definition, f"{definition.name} is no sum over examples")


def _interaction(definition: Definition, found: str) -> ModelError:
    return ModelError(
        Problem(
            "examples of a batch interact, so that no gradient is one example's",
            layer=definition.origin or None,
            expected="a loss that is a sum or mean over examples, each read alone",
            found=found,
            advice="compile without the mode per_example, or normalize over the axes of one example",
        )
    )


def _each_parameter(entry: Tensor | Definition, name: str) -> Tensor:
    shape = (None, *entry.shape)
    return Tensor(name, shape, "parameter", origin=entry.origin, role="each", of=entry.name)


def _with_batch_axis(definition: Definition, each: Mapping[str, str], batch_size: str | None) -> Definition:
    """The definition reading one parameter for each example; sums over the batch keep examples apart.

    `each` names the tensors with a batch axis of their own of those that have none."""
    widened = definition.name in each
    terms = tuple(_term_with_axis(term, each, widened, batch_size) for term in definition.terms)
    if not widened:
        return replace(definition, terms=terms)
    name, shape = each[definition.name], (None, *definition.shape)
    return definition.made_of(name, "each", shape=shape, terms=terms)


def _term_with_axis(term: Term, each: Mapping[str, str], widened: bool, batch_size: str | None) -> Term:
    batch = batch_axis(term.axes)
    axes = term.axes
    if batch is None and widened:
        batch = Axis(AxisNames(term.extents).fresh("b"), None)
        axes = (batch, *term.axes)
    if batch is None:
        return term
    here = axis(batch.name)
    reads = []
    body = term.body
    for symbol, access in term.reads:
        if access.tensor in each:
            access = replace(access, tensor=each[access.tensor], indices=(here, *access.indices))
        elif access.tensor == batch_size:
            body = body.xreplace({symbol: sympy.S.One})
        reads.append((symbol, access))
    return make_term(axes, (here, *term.target) if widened else term.target, body, reads, term.guards)


def _total(losses: str, name: str) -> Definition:
    """The sum of all losses: its derivative by one example's parameter is that example's gradient."""
    here = (axis("b"),)
    term = move_term((Axis("b", None),), (), Access(losses, here))
    return Definition(name, (), "sum", (term,), origin="loss", role="total", of=losses)


def _without_copies(derived: Program, original: Program, kinds: _Kinds, each: Mapping[str, str]) -> Program:
    """Reads of `W.each[b, i]` become W[i] again: the copies have served to keep the derivatives apart."""
    copies = {each[name]: name for name in each if name in kinds.parameters | kinds.statics}
    definitions = [d for d in original.definitions if d.name in kinds.statics]
    for definition in derived.definitions:
        if definition.name not in copies:
            terms = tuple(_term_without_copies(term, copies) for term in definition.terms)
            definitions.append(replace(definition, terms=terms))
    inputs = tuple(tensor for tensor in derived.inputs if tensor.name not in copies)
    return prune(derived.replace(inputs=inputs).with_definitions(definitions))


def _term_without_copies(term: Term, copies: dict[str, str]) -> Term:
    reads = [
        (s, replace(a, tensor=copies[a.tensor], indices=a.indices[1:]) if a.tensor in copies else a)
        for s, a in term.reads
    ]
    return make_term(term.axes, term.target, term.body, reads, term.guards)
