"""Schedules of the learning rate: each a formula of the step, compiled into the update.

In: the arguments of a schedule. Out: a formula for `scheduled[]`. No number of a run may enter: the rate of a
step follows from how many there were.
"""

from compiler.language.schedules.base import Schedule
from compiler.language.schedules.decays import (
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    PolynomialDecay,
    StepDecay,
)
from compiler.language.schedules.rising import OneCycle, WarmUp

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "OneCycle",
    "PiecewiseConstant",
    "PolynomialDecay",
    "Schedule",
    "StepDecay",
    "WarmUp",
]
