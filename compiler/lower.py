"""A model -> tensor programs: training, evaluation, prediction, initial values, update of the parameters.

This is where SymPy enters: everything before it is text and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from compiler.description import Model
from compiler.errors import ModelError
from compiler.formula import CompiledFormula, Operand, compile_formula
from compiler.formula.scope import BATCH_SIZE, IOTA
from compiler.ir.tensor_program import Access, Dtype, Program, Tensor, make_term, read_symbol
from compiler.layers.base import Parameter
from compiler.layers.graph import Step
from compiler.layers.shaping import Input
from compiler.optimizers.base import Optimizer


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter or a state, and the program of its first value: output "value", random inputs."""

    name: str
    shape: tuple[int, ...]
    initializer: Program


@dataclass(frozen=True)
class OptimizerSpec:
    """The update of all parameters as one flat array of P values.

    `update` has inputs "parameter", "gradient", a state for each slot, all (P,), and the scalars "rate" and
    "step" (1 in the first update); outputs "new_parameter" and "new_<slot>". Slots start at 0.
    """

    kind: str
    slots: tuple[str, ...]
    update: Program
    learning_rate: float


@dataclass(frozen=True)
class LayerRow:
    """A row of the model's summary; the shape leaves the batch out. Several results have several shapes."""

    name: str
    kind: str
    shape: tuple[int, ...] | tuple[tuple[int, ...], ...]
    parameters: int
    states: int = 0


@dataclass(frozen=True)
class LoweredModel:
    """A model as tensor programs.

    `training` gives ("loss",) and the new value of every state, called `new_state_name` of it; `inference`,
    without what acts in training alone, (output, "loss"); `predict` gives (output,) and takes no label.
    Parameters and states are in graph order everywhere.
    """

    name: str
    output: str
    training: Program
    inference: Program
    predict: Program
    parameters: tuple[ParameterSpec, ...]
    optimizer: OptimizerSpec
    layers: tuple[LayerRow, ...]
    states: tuple[ParameterSpec, ...] = ()

    @property
    def parameter_count(self) -> int:
        return sum(row.parameters for row in self.layers)

    @property
    def state_count(self) -> int:
        return sum(row.states for row in self.layers)


def new_state_name(name: str) -> str:
    """What programs call the value of a state after the step: "norm_1.mean" becomes "norm_1.new_mean"."""
    layer, _, state = name.rpartition(".")
    return f"{layer}.new_{state}"


def lower(model: Model) -> LoweredModel:
    """The tensor programs of a model. Raises ModelError with all problems, those of formulas included."""
    model.check()
    steps, output = model.graph.steps, model.graph.output.name
    given, loss = _given(model), _with_penalties(_loss(model), steps)
    training, inference = _layers(steps, training=True), _layers(steps, training=False)
    streams = count()
    parameters, states = _kept(steps, "parameters"), _kept(steps, "state")
    return LoweredModel(
        name=model.name or "model",
        output=output,
        training=_program(
            given, [*training, loss], ("loss", *(new_state_name(name) for name, _ in states)), streams
        ),
        inference=_program(given, [*inference, loss], (output, "loss"), streams),
        predict=_program([t for t in given if t.kind != "label"], inference, (output,), streams),
        parameters=_specs(parameters, streams),
        optimizer=_optimizer(model.optimizer, sum(math.prod(parameter.shape) for _, parameter in parameters)),
        layers=tuple(_row(step) for step in steps if not step.is_part),
        states=_specs(states, streams),
    )


def _kept(steps: tuple[Step, ...], kind: Literal["parameters", "state"]) -> list[tuple[str, Parameter]]:
    """Every trainable tensor, or every state, once, by its name in the programs, in graph order."""
    return [
        (f"{step.name}.{name}", parameter)
        for step in steps
        if step.forward is not None and step.owner == step.name
        for name, parameter in getattr(step.forward, kind).items()
    ]


def _specs(kept: list[tuple[str, Parameter]], streams: Iterator[int]) -> tuple[ParameterSpec, ...]:
    return tuple(
        ParameterSpec(name, parameter.shape, _initial_value(name, parameter, streams))
        for name, parameter in kept
    )


def _given(model: Model) -> list[Tensor]:
    """The tensors that programs are given: input, label, parameters, and the size of the batch."""
    steps, loss = model.graph.steps, model.loss_forward
    (image,) = (step for step in steps if isinstance(step.layer, Input))
    dtype = "real" if loss.classes is None else "index"
    return [
        Tensor("input", (None, *image.shape), "input", _dtype(image), limit=image.vocabulary),
        Tensor("label", (None, *loss.label_shape), "label", dtype, loss.classes),
        *(Tensor(name, parameter.shape, "parameter") for name, parameter in _kept(steps, "parameters")),
        *(Tensor(name, state.shape, "state") for name, state in _kept(steps, "state")),
        Tensor(BATCH_SIZE, (), "scalar"),
    ]


def _dtype(step: Step) -> Dtype:
    return "real" if step.vocabulary is None else "index"


def _layers(steps: tuple[Step, ...], *, training: bool) -> list[CompiledFormula]:
    """The formulas of all layers, compiled; problems of all of them are raised together."""
    compiled, problems = [], []
    known = {
        step.name: Operand(step.name, (None, *step.shape), _dtype(step), step.vocabulary) for step in steps
    }
    for step in steps:
        if step.forward is None:
            continue
        try:
            compiled.append(_layer(step, known, training))
        except ModelError as error:
            problems += [replace(p, layer=step.name, span=p.span or step.span) for p in error.problems]
    if problems:
        raise ModelError(*problems)
    return compiled


def _layer(step: Step, known: dict[str, Operand], training: bool) -> CompiledFormula:
    forward = step.forward
    names = forward.input_names(len(step.inputs))
    operands = {key: known[name] for key, name in zip(names, step.inputs, strict=True)}
    for name, parameter in [*forward.parameters.items(), *forward.state.items()]:
        operands[name] = Operand(f"{step.owner}.{name}", parameter.shape)
    results = _results(step)
    if training:
        for name, state in forward.state.items():
            results[f"new_{name}"] = Operand(new_state_name(f"{step.owner}.{name}"), state.shape)
    return compile_formula(
        forward.formula if training or forward.inference is None else forward.inference,
        operands=operands,
        results=results,
        constants=forward.constants,
        sizes=forward.sizes,
        prefix=step.name,
        origin=step.name,
    )


def _results(step: Step) -> dict[str, Operand]:
    """What the formula of a layer defines: the step's tensor, or one for each of several results."""
    results = step.forward.results
    names = {key: step.name if len(results) == 1 else f"{step.name}.{key}" for key in results}
    return {key: Operand(names[key], (None, *shape)) for key, shape in results.items()}


def _loss(model: Model) -> CompiledFormula:
    loss, output = model.loss_forward, model.graph.output
    dtype = "real" if loss.classes is None else "index"
    try:
        return compile_formula(
            loss.formula,
            operands={
                "prediction": Operand(output.name, (None, *output.shape)),
                "label": Operand("label", (None, *loss.label_shape), dtype, loss.classes),
            },
            results={"loss": Operand("loss", ())},
            constants=loss.constants,
            prefix="loss",
            origin="loss",
        )
    except ModelError as error:
        raise ModelError(
            *(replace(p, layer="loss", span=p.span or model.span) for p in error.problems)
        ) from None


def _with_penalties(loss: CompiledFormula, steps: tuple[Step, ...]) -> CompiledFormula:
    """The loss and the penalties of all parameters that have one."""
    penalties = [
        _penalty(name, parameter)
        for name, parameter in _kept(steps, "parameters")
        if parameter.regularizer is not None
    ]
    if not penalties:
        return loss
    *before, data = loss.definitions
    reads = [read_symbol(0)]
    added = [p.definitions[-1].name for p in penalties]
    if data.operation != "sum":
        data = replace(data, name="loss.data")
        before, added, data = [*before, data], ["loss.data", *added], replace(data, name="loss", terms=())
    terms = [make_term((), (), *reads, [(*reads, Access(name, ()))]) for name in added]
    whole = replace(data, operation="sum", terms=(*data.terms, *terms))
    defined = [definition for penalty in penalties for definition in penalty.definitions]
    iota = max(formula.iota for formula in (loss, *penalties))
    random = [operand for penalty in penalties for operand in penalty.random]
    return CompiledFormula((*before, *defined, whole), (*loss.random, *random), iota)


def _penalty(name: str, parameter: Parameter) -> CompiledFormula:
    regularizer = parameter.regularizer
    return compile_formula(
        regularizer.formula,
        operands={"parameter": Operand(name, parameter.shape)},
        results={"penalty": Operand(f"{name}.penalty", ())},
        constants=regularizer.constants,
        prefix=name,
        origin=name.rpartition(".")[0],
    )


def _program(
    given: Iterable[Tensor],
    formulas: Iterable[CompiledFormula],
    outputs: tuple[str, ...],
    streams: Iterator[int],
) -> Program:
    """One program from compiled formulas: random tensors join its inputs, each with a stream of its own."""
    formulas = list(formulas)
    definitions = tuple(definition for formula in formulas for definition in formula.definitions)
    random = [
        Tensor(operand.name, operand.shape, "random", stream=next(streams))
        for formula in formulas
        for operand in formula.random
    ]
    read = {name for definition in definitions for name in definition.tensors}
    kept = (tensor for tensor in given if tensor.name != BATCH_SIZE or BATCH_SIZE in read)
    values = max((formula.iota for formula in formulas), default=0)
    iota = [Tensor(IOTA, (values,), "iota")] if values else []
    return Program((*kept, *random, *iota), definitions, outputs)


def _initial_value(name: str, parameter: Parameter, streams: Iterator[int]) -> Program:
    initializer = parameter.initializer
    formula = compile_formula(
        initializer.formula,
        operands={},
        results={"value": Operand("value", parameter.shape)},
        constants=initializer.constants(parameter.shape),
        prefix=name,
        origin=name,
    )
    return _program((), [formula], ("value",), streams)


def _optimizer(optimizer: Optimizer, size: int) -> OptimizerSpec:
    arrays = {name: Operand(name, (size,)) for name in ("parameter", "gradient", *optimizer.slots)}
    scalars = {name: Operand(name, ()) for name in ("rate", "step")}
    results = tuple(f"new_{name}" for name in ("parameter", *optimizer.slots))
    given = [
        *(Tensor(name, (size,), "input" if name == "gradient" else "state") for name in arrays),
        *(Tensor(name, (), "scalar") for name in scalars),
    ]
    formulas = []
    if optimizer.clipping is not None:
        formulas.append(_clipping(optimizer, arrays["gradient"], size))
        arrays["gradient"] = Operand("gradient.clipped", (size,))
    formula = compile_formula(
        optimizer.formula,
        operands=arrays | scalars,
        results={name: Operand(name, (size,)) for name in results},
        constants=optimizer.constants,
        origin="optimizer",
    )
    update = _program(given, [*formulas, formula], results, count())
    return OptimizerSpec(
        type(optimizer).__name__, tuple(optimizer.slots), update, float(optimizer.learning_rate)
    )


def _clipping(optimizer: Optimizer, gradient: Operand, size: int) -> CompiledFormula:
    return compile_formula(
        optimizer.clipping,
        operands={"gradient": gradient},
        results={"clipped": Operand("gradient.clipped", (size,))},
        constants=optimizer.clipping_constants,
        prefix="gradient",
        origin="optimizer",
    )


def _row(step: Step) -> LayerRow:
    sizes = [
        sum(math.prod(parameter.shape) for _, parameter in _kept((step,), kind))
        for kind in ("parameters", "state")
    ]
    return LayerRow(step.name, step.layer.kind, step.shape, *sizes)
