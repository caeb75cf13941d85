"""Terms that read where an integer or padding says, alone and beside contractions.

A block of a selected product is left out where the factor that it shares is 0: only where it adds to memory.
"""

from __future__ import annotations

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.schedule.settings import Settings
from tests.machines import MODELS
from tests.schedule.building import random_inputs
from tests.schedule.running import interpret_programs
from tests.schedule.verifying import verify_plan

OVER = "for b:batch, o:19: [b, o]"
SELECTED = "z[b, n[b]]*w[o]"
SUMMED = "for b:batch, o:19, r:3: [b, o] += z[b, r]*m[r, o]"
FORMS = {
    "alone": f"y: (batch, 19) real = sum\n    {OVER} += {SELECTED}",
    "with another term": f"y: (batch, 19) real = sum\n    {OVER} += {SELECTED}\n    {OVER} += w[o]",
    "two of them": f"y: (batch, 19) real = sum\n    {OVER} += {SELECTED}\n    {OVER} += u[b, n[b]]*w[o]",
    "with what follows": f"s: (batch, 19) real = sum\n    {OVER} += {SELECTED}\n"
    f"y: (batch, 19) real = sum\n    {OVER} += max(s[b, o] + 1, 0)",
    "over a part": f"y: (batch, 23) real = sum\n    for b:batch, o:19: [b, o + 2] += {SELECTED}",
    "over rows": "y: (batch, 3, 19) real = sum\n    for b:batch, r:3, o:19: [b, r, o] += z[b, n[b]]*m[r, o]",
    "summed": "y: (batch, 19) real = sum\n    for b:batch, r:3, o:19: [b, o] += z[b, n[b]]*m[r, o]",
    "summed over the batch": f"y: (19) real = sum\n    for b:batch, o:19: [o] += {SELECTED}",
    "written where they say": "y: (batch, 4, 19) real = sum\n"
    "    for b:batch, o:19: [b, n[b], o] += z[b, 1]*w[o]",
    "added to a contraction": f"y: (batch, 19) real = sum\n    {OVER} += {SELECTED}\n    {SUMMED}",
    "rows of a table": "y: (batch, 19) real = sum\n    for b:batch, o:19: [b, o] += t[n[b], o]\n"
    f"    {SUMMED}",
    "followed by padding": f"s: (batch, 19) real = sum\n    {SUMMED}\n"
    f"y: (batch, 19) real = sum\n    {OVER} += max(s[b, o] + pad(w, 2)[o + 4], 0)",
    "followed by a row": f"s: (batch, 19) real = sum\n    {SUMMED}\n"
    f"y: (batch, 19) real = sum\n    {OVER} += max(s[b, o] + t[n[b], o], 0)",
    "padding": f"y: (batch, 19) real = sum\n    {OVER} += pad(w, 2)[o + 4]\n    {SUMMED}",
}


@pytest.mark.parametrize("machine", ["amd-avx512", "neon", "scalar"])
@pytest.mark.parametrize("form", FORMS)
def test_a_factor_of_zero(machine: str, form: str) -> None:
    program = parse_program(f"""
input z: (batch, 4) real
input u: (batch, 4) real
input n: (batch) index < 4
input w: (19) real
input m: (3, 19) real
input t: (4, 19) real
{FORMS[form]}
outputs y
""")
    module = interpret_programs([program], Settings(MODELS[machine], "float64", 4))
    verify_plan(module.plans[0])
    for share in (0.0, 0.5, 1.0):
        given = random_inputs(program, 9)
        given["z"] = np.where(np.random.default_rng(1).random((9, 4)) < share, 0.0, given["z"])
        found = module.run(0, given, batch=9)
        np.testing.assert_allclose(found["y"], run(program, given, batch=9)["y"], rtol=1e-12, atol=1e-12)
