"""The losses of a model as tensor programs: the value of each, their weighted sum, and what each is given.

loss[] = mean[b](-log(softmax_1[b, label[b]]))                  one without a name

loss.digit[] = mean[b](-log(softmax_1[b, loss.digit.label[b]]))  several by name
loss.same[] = …
loss[] = loss.digit[] + weight_2 * loss.same[]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compiler.errors import CompilerBug, ModelError, Problem
from compiler.ir.affine.expression import axis
from compiler.ir.tensor.axes import batch_axis, runs_over_batch
from compiler.ir.tensor.names import fresh
from compiler.ir.tensor.program import Access, Reads, Tensor, Term, make_term, read_symbol
from compiler.language.description import Model
from compiler.language.formula import CompiledFormula, Operand, compile_formula
from compiler.language.layers.base import Parameter
from compiler.language.layers.masking import RealTokens
from compiler.language.losses.base import LossForward, loss_operands
from compiler.language.objectives import NamedLoss, operand_of, real_positions

WEIGHTS = "sample_weight"
"""The weights of examples, in programs and as an argument."""
TOTAL = "loss"
"""What training makes small, as programs call it."""


@dataclass(frozen=True)
class LoweredLosses:
    """`values` are the losses that have names, by these, as programs call them; `labels` what callers give,
    with the name of the loss, "" for the only one."""

    formulas: tuple[CompiledFormula, ...]
    values: Mapping[str, str]
    labels: Mapping[str, Tensor]
    ignored: Mapping[str, int]
    """The label that counts for nothing, by the tensor of those labels that have one."""
    real: Mapping[str, str]
    """The input that says which steps of labels are real, by the tensor of those labels that have one."""
    label_names: Mapping[str, str]
    """What programs call the labels of each loss."""
    weights: Tensor | None
    """A number for each example, which its part of every loss is multiplied by."""


def lower_losses(
    model: Model, tensors: Mapping[str, str], penalised: Sequence[tuple[str, str, Parameter]]
) -> LoweredLosses:
    """`tensors` are what programs call the results of steps; `penalised` parameters with a regularizer, each
    with its name and its layer. Raises ModelError with the problems of formulas."""
    named = model.named_losses
    names = {one.name: f"{TOTAL}.{one.name}" if named else TOTAL for one in model.objectives}
    labels = _labels(model, names)
    weights = Tensor(WEIGHTS, (None,), "label") if model.sample_weight else None
    formulas, problems = [], []
    for one in model.objectives:
        try:
            formula = _formula(one, model, names[one.name], labels.get(one.name), tensors)
            summed = one.forward(model.graph).summed
            formulas.append(_weighted(formula, summed) if weights else formula)
        except ModelError as error:
            problems += [replace(p, layer=one.name, span=p.span or model.span) for p in error.problems]
    if problems:
        raise ModelError(*problems)
    if named:
        formulas.append(_sum(model.objectives, names))
    formulas[-1] = _with_penalties(formulas[-1], penalised)
    forwards = {one.name: one.forward(model.graph) for one in model.objectives}
    ignored = {t.name: number for name, t in labels.items() if (number := forwards[name].ignored) is not None}
    counted = {one.name: real_positions(one, model.graph) for one in model.objectives}
    real = {
        t.name: said
        for name, t in labels.items()
        if (found := counted[name]) is not None
        and "label" in found.operands
        and (said := _said_by(found.mask.name, model)) is not None
    }
    label_names = {name: label.name for name, label in labels.items()}
    if len(labels) == 1:
        labels = {"": next(iter(labels.values()))}
    return LoweredLosses(tuple(formulas), names if named else {}, labels, ignored, real, label_names, weights)


def _said_by(mask: str, model: Model) -> str | None:
    """The input that says which positions are real: a mask itself, or words of which 0 is none; None where
    the model finds out otherwise."""
    given = {step.name for step in model.input_steps}
    if mask in given:
        return mask
    source = next(step for step in model.graph.steps if step.name == mask)
    words = isinstance(source.layer, RealTokens) and len(source.inputs) == 1 and source.inputs[0] in given
    return source.inputs[0] if words else None


def _labels(model: Model, names: Mapping[str, str]) -> dict[str, Tensor]:
    """What callers give for the losses that compare with no value of the model."""
    wanted: dict[str, tuple[tuple[int, ...], LossForward]] = {}
    for one in model.objectives:
        loss = one.forward(model.graph)
        if loss.label_shape is not None and one.objective.target is None:
            wanted[one.name] = loss.label_shape, loss
    return {
        name: Tensor(
            f"{names[name]}.label" if len(wanted) > 1 else "label",
            (None, *shape),
            "label",
            "real" if loss.classes is None else "index",
            loss.limit,
        )
        for name, (shape, loss) in wanted.items()
    }


def _formula(
    one: NamedLoss, model: Model, name: str, label: Tensor | None, tensors: Mapping[str, str]
) -> CompiledFormula:
    loss = one.forward(model.graph)
    steps = [model.graph.known(value) for value in one.values]
    operands = [operand_of(step, tensors[step.name]) for step in steps]
    number = len(loss.inputs)
    target = operands[number] if len(operands) > number else None
    return compile_formula(
        loss.formula,
        operands=loss_operands(loss, operands[:number], target, label.name if label else "label"),
        results={"loss": Operand(name, ())},
        constants=loss.constants,
        sizes=loss.sizes,
        prefix=name,
        origin=name,
        real=real_positions(one, model.graph, tensors),
    )


def _weighted(formula: CompiledFormula, summed: str) -> CompiledFormula:
    """The formula with the part of each example in its sum over examples times the weight of this example.

    Raises ModelError where what is summed is no such sum.
    """
    result = formula.definitions[-1].name
    wanted = result if summed == "loss" else f"{result}.{summed}"
    definitions = []
    for definition in formula.definitions:
        if definition.name == wanted:
            alone = definition.operation == "sum" and runs_over_batch(*definition.terms)
            if not alone or not all(runs_over_batch(term) for term in definition.terms):
                raise ModelError(
                    Problem(
                        "a loss that is no sum over examples cannot be weighted",
                        expected="a sum or mean over the batch, each example read alone",
                        advice="no sample_weight=True, or another loss",
                    )
                )
            definition = replace(definition, terms=tuple(map(_times_weight, definition.terms)))
        definitions.append(definition)
    return formula.with_definitions(definitions)


def _times_weight(term: Term) -> Term:
    reads, batch = Reads(term.reads), batch_axis(term.axes)
    if batch is None:
        raise CompilerBug("a term of a sum over examples has no axis of examples")
    weight = reads.symbol(Access(WEIGHTS, (axis(batch.name),)))
    return make_term(term.axes, term.target, weight * reads.body_of(term), reads.pairs(), term.guards)


def _sum(losses: Sequence[NamedLoss], names: Mapping[str, str]) -> CompiledFormula:
    """The sum of all losses, each times its weight: a formula like any other."""
    weights = {f"weight_{k}": one.weight for k, one in enumerate(losses) if one.weight != 1}
    terms = [
        f"weight_{k} * value_{k}[]" if f"weight_{k}" in weights else f"value_{k}[]"
        for k in range(len(losses))
    ]
    return compile_formula(
        f"loss[] = {' + '.join(terms)}",
        operands={f"value_{k}": Operand(names[one.name], ()) for k, one in enumerate(losses)},
        results={"loss": Operand(TOTAL, ())},
        constants=weights,
        prefix=TOTAL,
        origin=TOTAL,
    )


def _with_penalties(
    loss: CompiledFormula, penalised: Sequence[tuple[str, str, Parameter]]
) -> CompiledFormula:
    """The loss and the penalties of all parameters that have one."""
    penalties = [_penalty(*one) for one in penalised]
    if not penalties:
        return loss
    *before, data = loss.definitions
    value = read_symbol(0)
    added = [p.definitions[-1].name for p in penalties]
    if data.operation != "sum":
        part = replace(data, name=fresh("loss.data", {d.name for d in before}))
        before, added, data = [*before, part], [part.name, *added], replace(data, terms=())
    terms = [make_term((), (), value, [(value, Access(name, ()))]) for name in added]
    whole = replace(data, operation="sum", terms=(*data.terms, *terms))
    defined = [definition for penalty in penalties for definition in penalty.definitions]
    iota = max(formula.iota for formula in (loss, *penalties))
    random = [operand for penalty in penalties for operand in penalty.random]
    return CompiledFormula((*before, *defined, whole), (*loss.random, *random), iota, loss.origin)


def _penalty(name: str, layer: str, parameter: Parameter) -> CompiledFormula:
    regularizer = parameter.regularizer
    if regularizer is None:
        raise CompilerBug(f"{name} has no penalty")
    return compile_formula(
        regularizer.formula,
        operands={"parameter": Operand(name, parameter.known_shape)},
        results={"penalty": Operand(f"{name}.penalty", ())},
        constants=regularizer.constants,
        prefix=name,
        origin=layer,
    )
