"""Every public name of the compiler: what model files are written with.

A module of its own, since its imports take a while: `compiler` looks a name up here when it is asked for.
What a room of the language offers says its own `__all__`, and no second list: type checkers follow the stars.
"""

# ruff: noqa: F403

import compiler.language.constraints as _constraints
import compiler.language.formula.functions as _functions
import compiler.language.initializers as _initializers
import compiler.language.layers as _layers
import compiler.language.losses as _losses
import compiler.language.metrics as _metrics
import compiler.language.optimizers as _optimizers
import compiler.language.regularizers as _regularizers
import compiler.language.schedules as _schedules
from compiler.errors import CompilerBug, ModelError
from compiler.language.constraints import *
from compiler.language.derivative import Derivative
from compiler.language.description import Model, Sequential
from compiler.language.formula.functions import *
from compiler.language.initializers import *
from compiler.language.layers import *
from compiler.language.losses import *
from compiler.language.metrics import *
from compiler.language.optimizers import *
from compiler.language.regularizers import *
from compiler.language.schedules import *

_ROOMS = (
    *(_constraints, _functions, _initializers, _layers, _losses, _metrics, _optimizers, _regularizers),
    _schedules,
)
_BESIDE = (CompilerBug, Derivative, Model, ModelError, Sequential)
_NAMES = (*(kind.__name__ for kind in _BESIDE), *(name for room in _ROOMS for name in room.__all__))


def public_names() -> list[str]:
    """All of them, in alphabetical order."""
    return sorted(_NAMES)
