"""A library of arrays is one value: the words that it has for what is written. Here one more than there are.

It is NumPy under another name, whose functions are called as no other library's are.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from compiler.emit.arrays.backend import NUMPY
from compiler.emit.arrays.module import Function, functions_text
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.parser import parse_program
from compiler.show.names import called

ADDED = replace(
    NUMPY,
    name="columns",
    module="col",
    imports=("import columns as col",),
    transpose="col.moved({array}, {order})",
    zeros="col.empty_sum({shape})",
    full="col.filled({shape}, {value})",
    total="col.added({array}, {axes})",
    maximum="col.largest({array}, {axes})",
    helpers={"check_shapes(": NUMPY.helpers["check_shapes("].replace("np.", "col.")},
)
COLUMNS = SimpleNamespace(
    shape=np.shape,
    moved=np.transpose,
    empty_sum=np.zeros,
    filled=np.full,
    added=lambda array, axes: np.sum(array, axis=axes),
    largest=lambda array, axes: np.max(array, axis=axes),
    exp=np.exp,
    einsum=np.einsum,
    where=np.where,
)
PROGRAM = parse_program("""
input x: (batch, 4) real
parameter w: (4, 3) real
z: (batch, 3) real = sum of "z"
    for b:batch, o:3, i:4: [b, o] += x[b, i]*w[i, o]
top: (batch) real = max of "top"
    for b:batch, o:3: [b] max= z[b, o]
y: (batch, 3) real = sum of "y"
    for b:batch, o:3: [b, o] += exp(z[b, o] - top[b])
outputs y
""")


def test_a_library_is_one_value() -> None:
    function = Function("forward", "The formula.", PROGRAM, ("y",))
    text = functions_text([function], called((PROGRAM,)), ADDED)
    assert "import columns as col" in text
    assert "np." not in text
    names = {"col": COLUMNS}
    exec(compile(text.replace("import columns as col", ""), "added", "exec"), names)
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(5, 4)), "w": rng.normal(size=(4, 3))}
    np.testing.assert_allclose(
        names["forward"](*given.values()), run(PROGRAM, given, batch=5)["y"], rtol=1e-12
    )
