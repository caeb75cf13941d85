"""A program's printed form is readable, and reads back as exactly the same program."""

from __future__ import annotations

import pytest
import sympy

from compiler.derive.vjp import vjp
from compiler.ir.affine.expression import FloorDiv, Mod, Read, atom_of, axis, floor_div, mod
from compiler.ir.scalar.choices import Absolute, Maximum, Minimum, Power, Select, Sign
from compiler.ir.scalar.conditions import Both, Either, Equal, Less, LessEqual, Negated, NotEqual
from compiler.ir.tensor.parser import parse_program
from compiler.ir.tensor.printer import print_affine, print_body, print_program
from compiler.ir.tensor.program import (
    Access,
    Axis,
    Definition,
    Guard,
    Program,
    Reads,
    Tensor,
    Term,
    make_term,
    read_symbol,
)

b, h, p = axis("b"), axis("h"), axis("p")
x, y, z = (read_symbol(position) for position in range(3))
NAMES = {x: "a[i]", y: "b[i]", z: "c[i]"}


def strided_pool() -> Program:
    """A strided convolution, a padded max, the value at a label."""
    reads = Reads()
    product = reads.symbol(Access("conv_1.kernel", (p,))) * reads.symbol(Access("image", (b, 2 * h + p)))
    convolved = make_term((Axis("b", None), Axis("h", 4), Axis("p", 3)), (b, h), product, reads.pairs())
    reads = Reads()
    padded = reads.symbol(Access("conv_1", (b, 2 * h + p - 1), float("-inf")))
    best = make_term((Axis("b", None), Axis("h", 2), Axis("p", 3)), (b, h), padded, reads.pairs())
    reads = Reads()
    chosen = reads.symbol(Access("pool", (b, atom_of(Read("answer", (b,), 2)))))
    size = reads.symbol(Access("batch_size", ()))
    mean = make_term((Axis("b", None),), (), sympy.log(chosen) / size, reads.pairs())
    return Program(
        (
            Tensor("image", (None, 9), "input"),
            Tensor("conv_1.kernel", (3,), "parameter", origin="conv_1"),
            Tensor("answer", (None,), "label", "index", 2),
            Tensor("batch_size", (), "batch_size"),
            Tensor("noise", (None, 4), "random", stream=3),
        ),
        (
            Definition("conv_1", (None, 4), "sum", (convolved,), origin="conv_1"),
            Definition("pool", (None, 2), "max", (best,)),
            Definition("loss", (), "sum", (mean,)),
        ),
        ("loss",),
    )


TEXT = """\
input image: (batch, 9) real
parameter conv_1.kernel: (3,) real of "conv_1"
label answer: (batch,) index < 2
batch_size batch_size: () real
random noise: (batch, 4) real stream 3

conv_1: (batch, 4) real = sum of "conv_1"
    for b:batch, h:4, p:3: [b, h] += conv_1.kernel[p]*image[b, 2*h + p]

pool: (batch, 2) real = max
    for b:batch, h:2, p:3: [b, h] max= pad(conv_1, -inf)[b, 2*h + p - 1]

pool.winner: (batch, 2) index < 3 = argmax as winner of pool
    for b:batch, h:2, p:3: [b, h] argmax= pad(conv_1, -inf)[b, 2*h + p - 1]

loss: () real = sum
    for b:batch: [] += log(pool[b, answer[b]])/batch_size[]

loss.cotangent: () real = sum as cotangent of loss
    [] += 1

pool.cotangent: (batch, 2) real = sum as cotangent of pool
    for b:batch: [b, answer[b]] += loss.cotangent[]/batch_size[]/pool[b, answer[b]]

conv_1.cotangent: (batch, 4) real = sum of "conv_1" as cotangent of conv_1
    for b:batch, h:2: [b, 2*h + pool.winner[b, h] - 1] += pool.cotangent[b, h]

conv_1.kernel.cotangent: (3,) real = sum of "conv_1" as cotangent of conv_1.kernel
    for b:batch, h:4, p:3: [p] += conv_1.cotangent[b, h]*image[b, 2*h + p]

outputs loss, conv_1.kernel.cotangent
"""


def test_the_printed_form() -> None:
    gradient, _ = vjp(strided_pool(), "loss", ("conv_1.kernel",))
    assert print_program(gradient) == TEXT
    assert parse_program(TEXT) == gradient


BODIES = {
    "1": sympy.S.One,
    "-3/4": -sympy.Rational(3, 4),
    "0.1": sympy.Float(0.1),
    "a[i] - b[i]": x - y,
    "-a[i] - b[i] - 2": -x - y - 2,
    "1 - a[i]**2": 1 - x**2,
    "3/4*a[i]*b[i]/c[i]": sympy.Rational(3, 4) * x * y / z,
    "1/a[i]/b[i]": 1 / (x * y),
    "1/sqrt(a[i] + 0.001)": (x + sympy.Float(0.001)) ** sympy.Rational(-1, 2),
    "a[i]**(3/2)": x ** sympy.Rational(3, 2),
    "a[i]**b[i]": x**y,
    "a[i]**(-b[i])": x**-y,
    "exp(-a[i])/(exp(-a[i]) + 1)**2": sympy.exp(-x) / (1 + sympy.exp(-x)) ** 2,
    "erf(1/2*a[i]*sqrt(2))": sympy.erf(x / sympy.sqrt(2)),
    "tanh(log(a[i]))": sympy.tanh(sympy.log(x)),
    "Abs(a[i])": sympy.Abs(x),
    "Max(a[i], b[i])": sympy.Max(x, y),
    "abs(a[i]) - sign(b[i])": Absolute(x) - Sign(y),
    "max(a[i], 0)*min(b[i], max(a[i], b[i]))": Maximum(x, 0) * Minimum(y, Maximum(x, y)),
    "pow(a[i], b[i] - 1)": Power(x, y - 1),
    "E*pi": sympy.E * sympy.pi,
    "a[i] if a[i] > 0 else 0": Select(Less(0, x), x, 0),
    "0 if a[i] != a[i] else a[i]": Select(NotEqual(x, x), 0, x),
    "1 if not a[i] < b[i] and b[i] == c[i] else 0": Select(Both(Negated(Less(x, y)), Equal(y, z)), 1, 0),
    "1 if a[i] > 0 else b[i] if a[i] < -1 else -1": Select(Less(0, x), 1, Select(Less(x, -1), y, -1)),
    "b[i]*(1 if a[i] >= 0 and b[i] != 0 else 0)": y * Select(Both(LessEqual(0, x), NotEqual(y, 0)), 1, 0),
    "1 if b[i] > 0 or c[i] == 0 and a[i] > 0 else 0": Select(
        Either(Less(0, y), Both(Equal(z, 0), Less(0, x))), 1, 0
    ),
    # What SymPy would rewrite when built afresh.
    "2*(a[i] + b[i])": sympy.Mul(2, x + y, evaluate=False),
    "-(a[i] + b[i])": sympy.Mul(-1, x + y, evaluate=False),
    "Mul(2, 3, a[i])": sympy.Mul(2, 3, x, evaluate=False),
    "Add(a[i], b[i] + c[i])": sympy.Add(x, sympy.Add(y, z, evaluate=False), evaluate=False),
    "exp(log(a[i]))": sympy.exp(sympy.log(x), evaluate=False),
}


@pytest.mark.parametrize("text", BODIES)
def test_bodies_read_back(text: str) -> None:
    body = BODIES[text]
    reads = tuple((s, Access(NAMES[s][0], (axis("i"),))) for s in (x, y, z) if body.has(s))
    accesses = {symbol: str(access) for symbol, access in reads}
    assert print_body(body, accesses) == text
    # Symbols are numbered in the order of the accesses' names, so this term is canonical as it stands.
    if [symbol for symbol, _ in reads] == [x, y, z][: len(reads)]:
        term = Term((Axis("i", 4),), (axis("i"),), body, reads)
        assert read_back(term) == term


def read_back(term: Term) -> Term:
    definition = Definition("result", (4,), "sum", (term,))
    program = Program((), (definition,), ("result",))
    return parse_program(print_program(program)).definitions[0].terms[0]


def test_factored_forms_survive() -> None:
    factored = sympy.factor(2 * x * y + 2 * x)
    term = Term(
        (Axis("i", 4),), (axis("i"),), factored, ((x, Access("a", (axis("i"),))), (y, Access("b", ())))
    )
    assert read_back(term).body == factored
    assert read_back(term).body.args == factored.args


WINNER = atom_of(Read("pool.winner", (b, h), 6))


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (2 * h + p - 1, "2*h + p - 1"),
        (-h + 3, "-h + 3"),
        (WINNER, "pool.winner[b, h]"),
        (2 * h + floor_div(WINNER, 3), "2*h + pool.winner[b, h]//3"),
        (mod(WINNER, 3) * -2, "-2*(pool.winner[b, h]%3)"),
        (mod(floor_div(WINNER, 2), 3) + 1, "pool.winner[b, h]//2%3 + 1"),
        (-floor_div(h + p, 2), "-((h + p)//2)"),
        (floor_div(3 * h, 2), "(3*h)//2"),
        (atom_of(FloorDiv(2 * h, 2)), "(2*h)//2"),
        (atom_of(Mod(h + 7, 3)), "(h + 7)%3"),
        (atom_of(Read("pool.winner", (b, h), 4)), "bounded(pool.winner[b, h], 4)"),
        (atom_of(Read("nested", (WINNER,), 9)), "bounded(nested[pool.winner[b, h]], 9)"),
    ],
)
def test_indices_read_back(index, text: str) -> None:
    assert print_affine(index, {"pool.winner": 6}) == text
    winner = Tensor("pool.winner", (None, 4), "label", "index", 6)
    axes = (Axis("b", None), Axis("h", 4), Axis("p", 3))
    guards = (Guard(">=", index), Guard("==", index - h), Guard("%", index, 3))
    term = make_term(axes, (index,), x, ((x, Access("x", (index, index + 1), 0.5)),), guards)
    program = Program((winner,), (Definition("y", (4,), "sum", (term,)),), ("y",))
    assert parse_program(print_program(program)) == program


@pytest.mark.parametrize(
    "name", ["lambda", "h'", "a b", "x[]", "for b:4 if", 'quoted "name"', "größe", "a.if.b"]
)
def test_unusual_names_are_quoted(name: str) -> None:
    reads = ((x, Access(name, (axis(name),))),)
    term = make_term((Axis(name, 3),), (axis(name),), x**2, reads, (Guard(">=", axis(name)),))
    given = Tensor(name, (3,), "input")
    definition = Definition(f"{name}.cotangent", (3,), "sum", (term,), origin=f"file.py:3 {name}\n")
    program = Program((given,), (definition,), (f"{name}.cotangent", name))
    assert parse_program(print_program(program)) == program


def test_extreme_programs_read_back() -> None:
    empty = Program((), (), ())
    assert parse_program(print_program(empty)) == empty
    # Nothing to loop over, a guard, no terms at all.
    term = make_term((), (), sympy.S.One, (), (Guard("==", atom_of(Read("label", (), 3))),))
    program = Program(
        (Tensor("label", (), "label", "index", 3),),
        (Definition("one", (), "sum", (term,)), Definition("outputs", (None, 2), "min", ())),
        ("one", "outputs"),
    )
    assert parse_program(print_program(program)) == program


def test_functions_of_our_own_are_passed_in() -> None:
    class softplus(sympy.Function):
        pass

    term = make_term((Axis("i", 4),), (axis("i"),), softplus(x), ((x, Access("a", (axis("i"),))),))
    program = Program((), (Definition("y", (4,), "sum", (term,)),), ("y",))
    assert parse_program(print_program(program), functions=[softplus]) == program
    with pytest.raises(ValueError, match="there is no function softplus"):
        parse_program(print_program(program))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("    for i:3: [i] max= 1", "expected a term"),
        ("    for i:3: [i] += a[i", "line 2"),
        ("    for i:3: [h^2] += 1", "not an index"),
        ("    for i:3: [label[i]] += 1", "label"),
        ("    for i:3 if i > 0: [i] += 1", "not a guard"),
        ("    for i:three: [i] += 1", "three"),
        ("    for i:3: [i] += {1}", "not a scalar expression"),
        ("    for i:3: [i] += __import__('os')", "not a scalar expression|no function"),
    ],
)
def test_what_is_not_a_program_is_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_program(f"y: (3,) real = sum\n{line}\noutputs y\n")


def test_a_term_without_a_definition_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_program("    for i:3: [i] += 1\n")
