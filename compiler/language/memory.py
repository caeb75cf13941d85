"""How much memory training cannot do without, and whether there is as much."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from compiler.errors import Problem
from compiler.language.layers.step import Step


def memory_problems(
    steps: Iterable[Step], slots: int, value_bytes: int, available: int
) -> tuple[Problem, ...]:
    """Whether training of these steps, by an optimizer of so many slots, needs more than there is."""
    copies = 2 + slots
    steps = [step for step in steps if step.forward is not None]
    needed = [value_bytes * _values(step, copies) for step in steps]
    if sum(needed) <= available:
        return ()
    most, largest = max(zip(needed, steps, strict=True), key=lambda pair: pair[0])
    total, there = _gibibytes(sum(needed)), _gibibytes(available)
    return (
        Problem(
            f"training needs at least {total} of memory, and there are {there}",
            largest.span,
            layer=largest.name,
            expected=f"parameters, {copies} values for each, and one example's results that fit",
            found=f"{_gibibytes(most)} for this layer",
            advice="a smaller layer, or a machine with more memory",
        ),
    )


def _values(step: Step, copies: int) -> int:
    """Values that a step needs: of each parameter these copies, and one example's results."""
    own = copies * sum(prod(p.known_shape) for p in step.parameters.values())
    fixed = sum(prod(p.known_shape) for p in step.fixed.values())
    return own + fixed + sum(prod(shape) for shape in step.computed.results.values())


def _gibibytes(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB"
