"""An optimizer -> the update of all parameters, as one flat array or each parameter by itself.

new_parameter[i] = parameter[i] - rate[]·gradient[i]        one formula over all P values
w.new[i] = …;  b.new[i] = …                                 one for each, where its norm or shape counts
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from math import prod

from compiler.errors import CompilerBug
from compiler.frontend.joining import program_of
from compiler.frontend.lowered import OptimizerSpec
from compiler.ir.module.entry_point import Role
from compiler.ir.tensor.kinds import Kind
from compiler.ir.tensor.names import Names
from compiler.ir.tensor.program import Program, Tensor
from compiler.language.constraints import Constraint
from compiler.language.formula import CompiledFormula, Operand, compile_formula
from compiler.language.optimizers.base import SCALED, Optimizer
from compiler.language.schedules import Schedule

SCALARS = (Tensor("rate", (), "rate"), Tensor("step", (), "step"))
"""What every update is given beside arrays."""


def lower_update(
    optimizer: Optimizer, parameters: Mapping[str, tuple[int, ...]], constraints: Mapping[str, Constraint]
) -> OptimizerSpec:
    """The update of parameters of these shapes, by their names; some have a constraint."""
    if optimizer.by_variable or constraints:
        return _of_each(optimizer, parameters, constraints)
    return _of_all(optimizer, sum(map(prod, parameters.values())))


def _of_all(optimizer: Optimizer, size: int) -> OptimizerSpec:
    kinds: dict[str, Kind] = {"parameter": "state", "gradient": "input"}
    kinds |= {slot: "state" for slot in optimizer.slots}
    arrays = {name: Operand(name, (size,)) for name in kinds}
    scalars, formulas = _scalars(optimizer)
    results = tuple(f"new_{name}" for name in ("parameter", *optimizer.slots))
    given = [
        *(Tensor(name, (size,), kind) for name, kind in kinds.items()),
        *SCALARS,
    ]
    if optimizer.clipping is not None:
        clipped = Operand("gradient.clipped", (size,))
        formulas.append(_clipping(optimizer, {"gradient": arrays["gradient"]}, clipped, "gradient"))
        arrays["gradient"] = clipped
    formulas.append(
        compile_formula(
            optimizer.formula,
            operands=arrays | scalars,
            results={name: Operand(name, (size,)) for name in results},
            constants=optimizer.constants,
            origin="optimizer",
        )
    )
    update = program_of(given, formulas, results, count())
    flat = [Role("parameters"), Role("gradients"), *(Role("slot", slot) for slot in optimizer.slots)]
    roles = dict(zip(arrays, flat, strict=True)) | {t.name: Role(t.kind, t.name) for t in SCALARS}
    written = [role for role in flat if role.use != "gradients"]
    return _specification(optimizer, update, roles | dict(zip(results, written, strict=True)))


def _of_each(
    optimizer: Optimizer, parameters: Mapping[str, tuple[int, ...]], constraints: Mapping[str, Constraint]
) -> OptimizerSpec:
    scalars, formulas = _scalars(optimizer)
    names = Names((*parameters, *(t.name for t in SCALARS), "rate.scheduled"))
    gradients = {name: names.fresh(f"{name}.gradient") for name in parameters}
    together = optimizer.scaling_of_all([f"gradient_{k}" for k in range(len(gradients))])
    scale = {} if together is None else {"scale": Operand(names.fresh("gradients.scale"), ())}
    if together is not None:
        every = [Operand(gradients[name], (prod(shape),)) for name, shape in parameters.items()]
        formulas.append(_scale_of(together, optimizer, every, scale["scale"]))
    given = [*SCALARS]
    roles = {t.name: Role(t.kind, t.name) for t in SCALARS}
    results: list[str] = []
    for parameter, shape in parameters.items():
        size = prod(shape)
        kept = {"parameter": parameter} | {s: names.fresh(f"{parameter}.{s}") for s in optimizer.slots}
        gradient = gradients[parameter]
        new = {f"new_{key}": names.fresh(f"{parameter}.new_{key}") for key in kept}
        own = {key: Operand(name, (size,)) for key, name in (kept | {"gradient": gradient}).items()}
        given += [Tensor(name, (size,), "state") for name in kept.values()]
        given.append(Tensor(gradient, (size,), "input"))
        of = {"parameter": Role("parameter", parameter)}
        of |= {slot: Role("slot", slot, parameter) for slot in optimizer.slots}
        roles |= {name: of[key] for key, name in kept.items()} | {gradient: Role("gradient", parameter)}
        roles |= {new[f"new_{key}"]: of[key] for key in kept}
        if optimizer.clipping is not None:
            clipped = Operand(names.fresh(f"{gradient}.clipped"), (size,))
            read = {"gradient": own["gradient"]} | scale
            formulas.append(_clipping(optimizer, read, clipped, gradient))
            own["gradient"] = clipped
        made = {key: Operand(name, (size,)) for key, name in new.items()}
        constraint = constraints.get(parameter)
        free = made["new_parameter"]
        if constraint is not None:
            free = Operand(names.fresh(f"{parameter}.free"), (size,))
        formulas.append(
            compile_formula(
                optimizer.formula_of(shape),
                operands=own | scalars,
                results=made | {"new_parameter": free},
                constants=optimizer.constants,
                prefix=names.fresh(f"{parameter}.update"),
                origin="optimizer",
            )
        )
        if constraint is not None:
            formulas.append(_constrained(constraint, free, made["new_parameter"], shape))
        results += new.values()
    update = program_of(given, formulas, tuple(results), count())
    return _specification(optimizer, update, roles, flat=False)


def _specification(
    optimizer: Optimizer, update: Program, roles: Mapping[str, Role], *, flat: bool = True
) -> OptimizerSpec:
    kind, slots = type(optimizer).__name__, tuple(optimizer.slots)
    return OptimizerSpec(kind, slots, update, optimizer.first_rate, roles, flat)


def _scalars(optimizer: Optimizer) -> tuple[dict[str, Operand], list[CompiledFormula]]:
    """Rate and step, the former by its schedule."""
    scalars = {t.name: Operand(t.name, ()) for t in SCALARS}
    if optimizer.schedule is None:
        return scalars, []
    made = _scheduled(optimizer.schedule, scalars)
    return scalars | {"rate": Operand("rate.scheduled", ())}, [made]


def _scheduled(schedule: Schedule, scalars: Mapping[str, Operand]) -> CompiledFormula:
    return compile_formula(
        schedule.formula,
        operands=scalars,
        results={"scheduled": Operand("rate.scheduled", ())},
        constants=schedule.constants,
        prefix="rate",
        origin="optimizer",
    )


def _scale_of(
    formula: str, optimizer: Optimizer, gradients: Iterable[Operand], scale: Operand
) -> CompiledFormula:
    """What all gradients are clipped by together, each of them an array of its own."""
    return compile_formula(
        formula,
        operands={f"gradient_{k}": gradient for k, gradient in enumerate(gradients)},
        results={"scale": scale},
        constants=optimizer.clipping_constants,
        prefix=scale.name,
        origin="optimizer",
    )


def _clipping(
    optimizer: Optimizer, read: Mapping[str, Operand], clipped: Operand, prefix: str
) -> CompiledFormula:
    """The gradient that an update reads: of one that is clipped with others, `scale[]` is known."""
    formula = SCALED if "scale" in read else optimizer.clipping
    if formula is None:
        raise CompilerBug("gradients are clipped, and nothing says how")
    return compile_formula(
        formula,
        operands=read,
        results={"clipped": clipped},
        constants=optimizer.clipping_constants,
        prefix=prefix,
        origin="optimizer",
    )


def _constrained(
    constraint: Constraint, free: Operand, result: Operand, shape: Iterable[int]
) -> CompiledFormula:
    """What a constraint makes of a parameter, which lies flat."""
    shape = tuple(shape)
    axes = tuple(f"i{k}" for k in range(len(shape)))
    at, place = ", ".join(axes), f"ravel({', '.join(axes)})"
    formula = f"value[{at}] = free[{place}]\n{constraint.formula(axes)}\nflat[{place}] = constrained[{at}]"
    return compile_formula(
        formula,
        operands={"free": free},
        results={"flat": result},
        constants=constraint.constants,
        sizes=dict(zip(axes, shape, strict=True)),
        prefix=free.name,
        origin="optimizer",
    )
