"""The two forms of a transformed convolution, in miniature: what `definitions` shows is what it writes."""

from __future__ import annotations

import pytest

from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_program
from compiler.ir.tensor.program import Program, Term
from compiler.ir.tensor.verify import verify
from compiler.passes.winograd import definitions
from compiler.passes.winograd.definitions import transformed
from compiler.passes.winograd.form import Chosen, Form, Planned
from compiler.passes.winograd.match import Convolution, Sliding
from compiler.passes.winograd.pieces import PIECES
from compiler.passes.winograd.transforms import transform
from compiler.passes.winograd.winograd import TILES

IN_TILES = """
y.winograd.kernel: (4,)
    [0] += -K[0]
    [1] += 1/2*K[0] + 1/2*K[1] + 1/2*K[2]
    [2] += 1/2*K[0] + 1/2*K[2] - 1/2*K[1]
    [3] += K[2]
y.winograd.image: (4, 2)
    for i:2: [0, i] += x[2*i + 2] - x[2*i]
    for i:2: [1, i] += x[2*i + 1] + x[2*i + 2]
    for i:2: [2, i] += x[2*i + 2] - x[2*i + 1]
    for i:2: [3, i] += x[2*i + 3] - x[2*i + 1]
y.winograd.product: (4, 2)
    for u:4, i:2: [u, i] += y.winograd.image[u, i]*y.winograd.kernel[u]
y: (4,)
    for i:2: [2*i] += y.winograd.product[0, i] + y.winograd.product[1, i] + y.winograd.product[2, i]
    for i:2: [2*i + 1] += y.winograd.product[1, i] + y.winograd.product[3, i] - y.winograd.product[2, i]
"""
IN_PIECES = """
y.winograd.filter: (4, 2)
    for i0:2: [0, i0] += -K[3*i0]
    for i0:2: [1, i0] += 1/2*K[3*i0 + 1] + 1/2*K[3*i0 + 2] + 1/2*K[3*i0]
    for i0:2: [2, i0] += 1/2*K[3*i0 + 2] + 1/2*K[3*i0] - 1/2*K[3*i0 + 1]
    for i0:2: [3, i0] += K[3*i0 + 2]
y.winograd.image: (4, 2)
    for i0:2: [0, i0] += x[3*i0 + 2] - x[3*i0]
    for i0:2: [1, i0] += x[3*i0 + 1] + x[3*i0 + 2]
    for i0:2: [2, i0] += x[3*i0 + 2] - x[3*i0 + 1]
    for i0:2: [3, i0] += x[3*i0 + 3] - x[3*i0 + 1]
y.winograd.product: (4,)
    for u:4, i:2: [u] += y.winograd.filter[u, i]*y.winograd.image[u, i]
y: (2,)
    [0] += y.winograd.product[0] + y.winograd.product[1] + y.winograd.product[2]
    [1] += y.winograd.product[1] + y.winograd.product[3] - y.winograd.product[2]
"""


def in_form(form: Form, outputs: int, taps: int, y: str = "y", x: str = "x", kernel: str = "K") -> Program:
    """y[h] += x[h + p]·K[p] with F(2, 3)."""
    program = parse_program(
        f"""
input {x}: ({outputs + taps - 1}) real
input {kernel}: ({taps}) real
{y}: ({outputs}) real = sum of "{y}"
    for h:{outputs}, p:{taps}: [h] += {x}[h + p]*{kernel}[p]
outputs {y}
"""
    )
    (term,) = program[y].terms
    reads = {access.tensor: access for _, access in term.reads}
    slides = Sliding(0, 0, 0, "h", "p", outputs, taps, 0, False)
    convolution = Convolution(term, reads[x], reads[kernel], 1, (slides,))
    plan = Planned(
        convolution, (Chosen(slides, transform(2, 3), form),), program.shape(x), program.shape(kernel)
    )
    return program.with_definitions(transformed(program[y], (plan,), f"{y}.winograd"))


def written(form: Form, outputs: int, taps: int) -> str:
    """The definitions of y[h] += x[h + p]·K[p] with F(2, 3), without what all of them have in common."""
    changed = in_form(form, outputs, taps)
    verify(changed)
    lines = [line.split(" real = ")[0] for line in print_program(changed).splitlines() if line]
    return "\n".join(line for line in lines if not line.startswith(("input", "outputs")))


@pytest.mark.parametrize(
    ("form", "outputs", "taps", "expected"),
    [(TILES, 4, 3, IN_TILES), (PIECES, 2, 6, IN_PIECES)],
    ids=["tiles of the result", "pieces of the kernel"],
)
def test_the_miniature(form: Form, outputs: int, taps: int, expected: str) -> None:
    assert written(form, outputs, taps) == expected.strip()


def test_equal_layers_have_their_sums_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A net of a hundred equal convolutions has transforms that differ in names alone."""
    made: list[Term] = []
    make = definitions.make_term
    monkeypatch.setattr(definitions, "make_term", lambda *parts: made.append(make(*parts)) or made[-1])
    first = in_form(TILES, 6, 3, "first", "first.x", "first.kernel")
    once = len(made)
    second = in_form(TILES, 6, 3, "second", "second.x", "second.kernel")
    # The product alone, whose reads are of two tensors.
    assert len(made) == once + 1
    texts = (print_program(first).replace("first", "second"), print_program(second))
    assert texts[0] == texts[1]
