"""How it goes through a layer which positions are real.

    x = Input(7, 4, lengths=True)       mask of x: position t is real where t < lengths[b]
    h = Dense(8)(x)                     each position of h is of the same of x: h has the mask of x
    y = GlobalMaxPool1D()(h)            mixes positions: its formula asks which are real

A layer that mixes positions has a `masked` form, or it is an error that it does not know which are real. What
a formula does with positions is read off the formula: layers of one's own need to say nothing. A formula that
is given the lengths may mix them; a result along the axis of steps has the mask all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from compiler.errors import Problem
from compiler.language.formula.positions import results_positions
from compiler.language.formula.scope import Operand
from compiler.language.layers.base import Forward, Layer, Shape
from compiler.language.layers.forward_checks import new_states
from compiler.language.layers.masks import Mask, Masks


def named_masks(masks: Sequence[Mask | None]) -> Masks:
    """The masks of inputs under the names that formulas read them by: mask, or mask1, mask2, …"""
    several = len(masks) > 1
    return tuple(
        mask and replace(mask, name=f"mask{number}" if several else "mask")
        for number, mask in enumerate(masks, 1)
    )


def forward_of(layer: Layer, masks: Masks, shapes: Sequence[Shape]) -> Forward:
    """What a layer computes: in its masked form where an input has a mask and it has such a form."""
    made = layer.masked(masks, *shapes) if any(masks) else None
    return layer.forward(*shapes) if made is None else made


def masks_asked(forward: Forward, masks: Masks) -> tuple[Mask, ...]:
    """The masks that a formula reads, behind its inputs."""
    asked = forward.inputs[len(masks) :]
    return tuple(mask for mask in masks if mask is not None and mask.name in asked)


def masks_of_results(
    forward: Forward, layer: Layer, masks: Masks, operands: Mapping[str, Operand], given: Sequence[str]
) -> tuple[dict[str, Mask], list[Problem]]:
    """The mask of each result that has one. `operands` are all that the formula reads, inputs first; `given`
    are the steps that the layer is applied to."""
    if not any(masks):
        return {}, []
    if forward.keeps is not None:
        return {key: mask for key, k in forward.keeps.items() if (mask := masks[k]) is not None}, []
    by_operand = {name: mask for name, mask in zip(operands, masks, strict=False) if mask is not None}
    told = {name: mask for name, mask in by_operand.items() if mask.source in given}
    # One that is given the lengths themselves asks for what it wants to know.
    by_operand = told or by_operand
    results = {name: Operand(name, (None, *shape)) for name, shape in forward.results.items()}
    positions = results_positions(
        forward.formula,
        operands=operands,
        results=results | new_states(forward),
        constants=forward.constants,
        sizes=forward.sizes,
        masked=frozenset(by_operand),
        knowing=bool(told),
    )
    found, problems = {}, []
    for name in results:
        read = positions[name]
        wanted = {(by_operand[key].kind, by_operand[key].source): by_operand[key] for key in read or ()}
        if read is None:
            problems.append(_mixed(layer))
        elif len(wanted) > 1 and not told:
            problems.append(_two_masks(wanted.values()))
        elif len(wanted) == 1:
            found[name] = next(iter(wanted.values()))
    return found, problems[:1]


def _mixed(layer: Layer) -> Problem:
    return Problem(
        f"{type(layer).__name__} mixes positions and does not know which of them are real",
        expected="a layer that keeps positions apart, or one that knows of masks",
        advice="Unmasked() before it, if what fills up may count; or a Formula that is given the lengths",
    )


def _two_masks(masks: Iterable[Mask]) -> Problem:
    names = " and ".join(mask.source for mask in masks)
    return Problem(
        "inputs with different masks meet",
        expected="one mask for all",
        found=f"those of {names}",
        advice="Unmasked() before all but one",
    )
