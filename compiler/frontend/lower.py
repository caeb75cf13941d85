"""A model -> tensor programs: training, evaluation, prediction, initial values, update of the parameters.

This is where SymPy enters: everything before it is text and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from compiler.errors import CompilerBug, ModelError, Problem
from compiler.frontend.joining import program_of
from compiler.frontend.lower_derivative import lower_derivative
from compiler.frontend.lower_losses import TOTAL, LoweredLosses, lower_losses
from compiler.frontend.lower_metrics import lower_metrics
from compiler.frontend.lower_update import lower_update
from compiler.frontend.lowered import LayerRow, LoweredModel, ParameterSpec
from compiler.ir.module.entry_point import Role
from compiler.ir.module.signature import BOOLEANS, BYTES_AS_SHARES, Row, Signature, argument_names
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Dtype, Program, Tensor
from compiler.language.derivative import Derivative
from compiler.language.description import Model
from compiler.language.formula import CompiledFormula, Operand, compile_formula
from compiler.language.formula.scope import BATCH_SIZE, IOTA
from compiler.language.layers.base import Parameter, is_one
from compiler.language.layers.step import Step
from compiler.language.objectives import NamedLoss, operand_of

Compiled = dict[tuple[str, str, tuple[str, ...]], CompiledFormula]
"""Formulas of layers, by the layer, their texts and what they define."""


def lower(model: Model) -> LoweredModel:
    """The tensor programs of a model. Raises ModelError with all problems, those of formulas included."""
    model.check()
    steps = model.graph.steps
    tensors = _tensor_names(steps)
    parameters, states = _kept(steps, "parameters"), _kept(steps, "state")
    penalised = [k for k in parameters if k.parameter.regularizer is not None]
    losses = lower_losses(model, tensors, [(k.name, k.layer, k.parameter) for k in penalised])
    metrics = lower_metrics(model, tensors, losses.label_names)
    given = _given(model, losses)
    once: Compiled = {}
    training, inference = (_layers(steps, tensors, given, once, training=mode) for mode in (True, False))
    streams = count()
    outputs = _outputs(model, tensors)
    values = {TOTAL: TOTAL} | {tensor: name for name, tensor in losses.values.items()}
    roles = {tensor: Role("value", name) for tensor, name in values.items()}
    roles |= {row.name: Role("output", row.name) for row in outputs}
    roles |= metrics.roles
    renewed = tuple(state for state in states if state.renewed)
    roles |= {state.new_name: Role("new_state", state.name) for state in renewed}
    of_examples = _of_examples(steps)
    roles |= {state.new_name: Role("new_example_state", state.name) for state in of_examples}
    results, kept = tuple(row.name for row in outputs), tuple(state.new_name for state in of_examples)
    return LoweredModel(
        name=model.name or "model",
        total=TOTAL,
        signature=_signature(model, given, losses, (*outputs, *metrics.sums, *metrics.values)),
        roles=roles,
        training=program_of(
            *(given, [*training, *losses.formulas]),
            (*values, *(r.new_name for r in renewed), *kept),
            streams,
        ),
        inference=program_of(
            given,
            [*inference, *losses.formulas, *metrics.formulas],
            (*results, *values, *(row.name for row in metrics.sums), *kept),
            streams,
        ),
        predict=program_of([t for t in given if t.kind != "label"], inference, (*results, *kept), streams),
        parameters=_specs(parameters, streams),
        optimizer=lower_update(
            model.update,
            {kept.name: kept.parameter.known_shape for kept in parameters},
            {k.name: k.parameter.constraint for k in parameters if k.parameter.constraint is not None},
        ),
        metrics=metrics.program,
        layers=tuple(_row(step, tensors) for step in steps if not step.is_part),
        states=_specs(states, streams),
    )


def _tensor_names(steps: tuple[Step, ...]) -> dict[str, str]:
    """What programs call the result of each step: its name, unless another tensor is called that."""
    names = Names(("label", TOTAL, BATCH_SIZE, IOTA))
    return {step.name: step.name if step.is_part else names.fresh(step.name) for step in steps}


def _outputs(model: Model, tensors: Mapping[str, str]) -> list[Row]:
    """The outputs, each with the name that callers know it by."""
    keys = model.ends[1].names or [step.name for step in model.output_steps]
    return [
        Row(tensors[step.name], "output", (None, *step.example), key=str(key))
        for key, step in zip(keys, model.output_steps, strict=True)
    ]


@dataclass(frozen=True)
class _OfExamples:
    """A state with a value for each example, of this shape, and what programs call it and its next value."""

    layer: str
    key: str
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.key}"

    @property
    def new_name(self) -> str:
        return f"{self.layer}.new_{self.key}"

    def tensor(self) -> Tensor:
        return Tensor(self.name, (None, *self.shape), "example_state", origin=self.layer)


def _of_examples(steps: Sequence[Step]) -> list[_OfExamples]:
    """The states of each example that layers keep from one batch to the next, in graph order."""
    known = [step for step in steps if step.forward is not None]
    return [_OfExamples(s.name, key, n) for s in known for key, n in s.computed.example_state.items()]


@dataclass(frozen=True)
class _Kept:
    """A parameter or a state of a layer, and what programs call it and its value after the step."""

    layer: str
    key: str
    parameter: Parameter
    renewed: bool = False
    """Whether a step of training gives it a new value by a formula."""

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.key}"

    @property
    def new_name(self) -> str:
        return f"{self.layer}.new_{self.key}"

    def tensor(self, kind: Literal["parameter", "state"]) -> Tensor:
        return Tensor(self.name, self.parameter.known_shape, kind, origin=self.layer)


def _kept(steps: tuple[Step, ...], kind: Literal["parameters", "state"]) -> list[_Kept]:
    """Every trainable tensor, or every other one that layers keep, once, in graph order.

    Of the others, those that training renews come first, and then what it leaves as it is.
    """
    if kind == "parameters":
        return [_Kept(step.name, key, p) for step in steps for key, p in step.parameters.items()]
    own = [step for step in steps if step.forward is not None and step.owner == step.name]
    states = [(step, key, state) for step in own for key, state in step.computed.state.items()]
    fixed = [_Kept(step.name, key, p) for step in steps for key, p in step.fixed.items()]
    renewed = [_Kept(step.name, key, p, renewed=True) for step, key, p in states if not step.frozen]
    return [*renewed, *(_Kept(step.name, key, p) for step, key, p in states if step.frozen), *fixed]


def _specs(kept: list[_Kept], streams: Iterator[int]) -> tuple[ParameterSpec, ...]:
    return tuple(
        ParameterSpec(one.name, one.parameter.known_shape, _initial_value(one, streams), one.new_name)
        for one in kept
    )


def _given(model: Model, losses: LoweredLosses) -> list[Tensor]:
    """The tensors that programs are given: inputs, labels, parameters, and the size of the batch."""
    steps = model.graph.steps
    return [
        *(
            Tensor(step.name, (None, *step.example), "input", _dtype(step), limit=step.vocabulary)
            for step in model.input_steps
        ),
        *losses.labels.values(),
        *((losses.weights,) if losses.weights else ()),
        *(kept.tensor("parameter") for kept in _kept(steps, "parameters")),
        *(kept.tensor("state") for kept in _kept(steps, "state")),
        *(state.tensor() for state in _of_examples(steps)),
        Tensor(BATCH_SIZE, (), "batch_size"),
    ]


def _signature(model: Model, given: list[Tensor], losses: LoweredLosses, outputs: Sequence[Row]) -> Signature:
    """What a module of the model is given and gives; `given` are the tensors of its programs."""
    batches = [t for t in given if t.kind in ("input", "label") and t != losses.weights]
    arguments = dict(zip((t.name for t in batches), argument_names(t.kind for t in batches), strict=True))
    keys = {label.name: name for name, label in losses.labels.items()}
    real = {**losses.real, **_said_of_inputs(model)}
    scalings = {
        step.name: BOOLEANS if step.boolean else BYTES_AS_SHARES
        for step in model.input_steps
        if step.vocabulary is None
    }
    rows = [
        Row(
            *(t.name, t.kind, t.shape, t.dtype, t.limit),
            scaling=scalings.get(t.name) if t.kind == "input" else None,
            default=1.0 if t == losses.weights else None,
            argument=t.name if t == losses.weights else arguments.get(t.name, ""),
            key=keys.get(t.name, "") or t.name,
            ignored=losses.ignored.get(t.name),
            real=real.get(t.name, ""),
        )
        for t in given
    ]
    numbers = [
        Row("rate", "rate", (), default=model.update.first_rate, argument="learning_rate"),
        Row("step", "step", (), "index", limit=2**64, default=0, argument="step"),
    ]
    slots = [Row(name, "slot", ()) for name in model.update.slots]
    values = [Row(TOTAL, "value", ()), *(_loss_row(one, losses) for one in model.objectives if losses.values)]
    return Signature((*rows, *numbers, *slots, *outputs, *values), model.ends[1].keyed)


def _said_of_inputs(model: Model) -> dict[str, str]:
    """Of inputs of integers the input that says which of their positions are real. Where a layer reads what
    fills up of them, it may count: then all are looked at."""
    masks = {step.name: step.mask.source for step in model.graph.steps if step.mask is not None}
    reading = (step for step in model.graph.steps if step.layer.reads_filling)
    counted = {masks.get(name) for step in reading for name in step.inputs}
    words = {step.name for step in model.input_steps if step.vocabulary is not None}
    return {name: said for name, said in masks.items() if name in words and said not in counted}


def _loss_row(one: NamedLoss, losses: LoweredLosses) -> Row:
    """One of several losses, with its weight and, where some of its labels count for nothing, their key."""
    label = losses.label_names.get(one.name, "")
    keys = {tensor.name: name or tensor.name for name, tensor in losses.labels.items()}
    over = keys[label] if label in losses.ignored or label in losses.real else ""
    return Row(one.name, "value", (), over=over, weight=one.weight)


def _dtype(step: Step) -> Dtype:
    return "real" if step.vocabulary is None else "index"


def _layers(
    steps: tuple[Step, ...],
    tensors: Mapping[str, str],
    given: list[Tensor],
    once: Compiled,
    *,
    training: bool,
) -> list[CompiledFormula]:
    """The formulas of all layers, compiled; problems of all of them are raised together."""
    compiled: list[CompiledFormula] = []
    problems: list[Problem] = []
    # A layer of several results is read by these alone, each a step of its own.
    known = {
        step.name: operand_of(step, tensors[step.name])
        for step in steps
        if step.shape is not None and is_one(step.shape)
    }
    for step in steps:
        if step.forward is None:
            continue
        if isinstance(step.layer, Derivative):
            value, by = (tensors[name] for name in step.inputs)
            place = step.layer.place
            compiled.append(lower_derivative(tensors[step.name], value, by, place, given, compiled))
            continue
        try:
            compiled.append(_layer(step, known, _results(step, tensors), training, once))
        except ModelError as error:
            problems += [replace(p, layer=step.name, span=p.span or step.span) for p in error.problems]
    if problems:
        raise ModelError(*problems)
    return compiled


def _layer(
    step: Step,
    known: Mapping[str, Operand],
    results: dict[str, Operand],
    training: bool,
    once: Compiled,
) -> CompiledFormula:
    forward = step.computed
    names = forward.input_names(len(step.inputs))
    operands = {key: known[name] for key, name in zip(names, step.inputs, strict=True)}
    for key, parameter in [*forward.parameters.items(), *forward.state.items()]:
        kept = _Kept(step.owner, key, parameter)
        operands[key] = Operand(step.shared.get(key, kept.name), parameter.known_shape)
        if training and key in forward.state and not step.frozen:
            results[f"new_{key}"] = Operand(kept.new_name, parameter.known_shape)
    for state in _of_examples((step,)):
        operands[state.key] = Operand(state.name, (None, *state.shape))
        results[f"new_{state.key}"] = Operand(state.new_name, (None, *state.shape))
    text = step.formula if training or forward.inference is None else forward.inference
    # Most layers are the same in training and after it.
    which = step.name, text, tuple(results)
    if which not in once:
        once[which] = compile_formula(
            text,
            operands=operands,
            results=results,
            constants=forward.constants,
            sizes=forward.sizes,
            prefix=step.name,
            origin=step.name,
        )
    return once[which]


def _results(step: Step, tensors: Mapping[str, str]) -> dict[str, Operand]:
    """What the formula of a layer defines: the step's tensor, or one for each of several results."""
    results = step.computed.results
    names = {key: tensors[step.name] if len(results) == 1 else f"{step.name}.{key}" for key in results}
    return {key: Operand(names[key], (None, *shape)) for key, shape in results.items()}


def _initial_value(kept: _Kept, streams: Iterator[int]) -> Program:
    shape, start = kept.parameter.known_shape, kept.parameter.start
    formula = compile_formula(
        start.formula,
        operands={},
        results={"value": Operand("value", shape)},
        constants=start.constants(shape),
        prefix=kept.name,
        origin=kept.layer,
    )
    return program_of((), [formula], ("value",), streams)


def _row(step: Step, tensors: Mapping[str, str]) -> LayerRow:
    parameters, states = (
        sum(math.prod(kept.parameter.known_shape) for kept in kept_so)
        for kept_so in (_kept((step,), "parameters"), _kept((step,), "state"))
    )
    # An input has no formula, and is what it is called.
    results = _results(step, tensors).values() if step.forward else ()
    called = tuple(operand.name for operand in results) or (tensors[step.name],)
    if step.shape is None:
        raise CompilerBug(f"the shape of {step.name} is not known")
    return LayerRow(step.name, step.layer.kind, step.shape, parameters, states, called)
