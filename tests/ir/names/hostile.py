"""Names that the compiler, Python, C, Cython, NumPy or the templates have for something of their own."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable
from typing import get_args

import numpy as np

from compiler.emit.cython.names import RESERVED as RESERVED_IN_MODULES
from compiler.ir.tensor.kinds import Kind, Role
from compiler.language.formula.scope import RESERVED as RESERVED_IN_FORMULAS

FRESH = (
    "tangent cotangent winner padded packed packed10 unpacked kept selected picked each total inner sum1 "
    "sum2 max1 mean1 table1 prod1 max shifted winograd kernel image product filled filter batch iota rate "
    "step seed uniform2 uniform3 tangent2 cotangent2 winner_2 padded_2 sum1_2 composed number subject "
    "part case data penalty value gradient parameter clipped new_parameter label loss input output lane "
    "tile place r0 r1 i0 i1 i2 axis0 axis1 d0 d1 u v w b1 b_2 i_inner c_summed best earlier step1 turn parts "
    "scaled raw alive panel data max2 where gate carried new h c t z mask weight rows before done k0 u1"
)
"""What fresh names are asked for, beside the roles of definitions and the kinds of what is given."""
C_AND_CYTHON = (
    "int float double char long short signed unsigned void register auto const static struct union enum "
    "goto switch volatile restrict inline extern typedef sizeof default case do bool cdef cpdef ctypedef "
    "cimport nogil gil include readonly public api size_t Py_ssize_t uint8 int32 real vector prange "
    "memset NULL EOF"
)
UNICODE = ["α", "β", "µ", "μ", "ñ", "ö_ø", "ℓ", "ﬁ", "Ωmega", "数", "переменная", "x̂ªº"]

SPELLINGS: tuple[str, ...] = tuple(
    dict.fromkeys(
        name
        for name in (
            *get_args(Role),
            *get_args(Kind),
            *FRESH.split(),
            *C_AND_CYTHON.split(),
            *sorted(RESERVED_IN_MODULES),
            *sorted(dir(builtins)),
            *sorted(dir(np))[::7],
            *keyword.softkwlist,
            *UNICODE,
        )
        if name.isidentifier()
    )
)
LAYER_NAMES = tuple(name for name in (*SPELLINGS, *keyword.kwlist) if name not in ("input", "label", "loss"))
"""A layer's name is a string; only what the module calls its own arguments is refused."""


def in_formulas(*others: Iterable[str]) -> tuple[str, ...]:
    """Names that a formula may use, but for those that mean something else in it."""
    refused = {
        *RESERVED_IN_FORMULAS,
        *keyword.kwlist,
        "x",
        "y",
        *(name for names in others for name in names),
    }
    return tuple(name for name in SPELLINGS if name not in refused)
