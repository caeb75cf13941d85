"""Small programs written by hand, one tensor program each, that the tests of the simplifier share."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.ir.affine.expression import Affine, Read, atom_of, axis
from compiler.ir.scalar.choices import Maximum, Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.tensor.program import Access, Axis, Definition, Program, Reads, Tensor, Term, make_term

EXTENTS = {"b": None, "k": 10, "c": 10, "j": 12, "h": 5, "w": 6}
LABEL = atom_of(Read("label", (axis("b"),), 10))
BATCH_SIZE = Tensor("batch_size", (), "batch_size")


def index(*names: str | Affine) -> tuple[Affine, ...]:
    return tuple(axis(name) if isinstance(name, str) else name for name in names)


def term(axes: str, target: tuple, body, reads: Mapping[str, tuple[str, tuple]], extents=EXTENTS) -> Term:
    """`body` is a function of the reads' symbols, in the order of `reads`."""
    interned = Reads()
    symbols = {
        name: interned.symbol(Access(tensor, index(*indices))) for name, (tensor, indices) in reads.items()
    }
    loops = (Axis(name, extents[name]) for name in axes)
    return make_term(loops, index(*target), sympy.sympify(body(*symbols.values())), interned.pairs())


def sum_of(name: str, shape: tuple, *terms: Term) -> Definition:
    return Definition(name, shape, "sum", terms)


def given(name: str, *shape, kind: str = "input") -> Tensor:
    return Tensor(name, shape, kind)


def activation(function, *, width: int = 12) -> Program:
    """x̄ of y = function(x), the cotangent of y being given."""
    extents = {**EXTENTS, "j": width}
    y = sum_of("y", (None, width), term("bj", ("b", "j"), function, {"x": ("x", ("b", "j"))}, extents))
    program = Program((given("x", None, width),), (y,), ("y",))
    return vjp(program, "y", ("x",), seed="input")[0]


def exponential_sums() -> tuple[Definition, Definition]:
    """The plain softmax over k of z[b,k]."""
    s = sum_of("s", (None,), term("bk", ("b",), lambda z: sympy.exp(z), {"z": ("z", ("b", "k"))}))
    p = sum_of(
        "p",
        (None, 10),
        term("bc", ("b", "c"), lambda z, s: sympy.exp(z) / s, {"z": ("z", ("b", "c")), "s": ("s", ("b",))}),
    )
    return s, p


def softmax() -> Program:
    program = Program((given("z", None, 10),), exponential_sums(), ("p",))
    return vjp(program, "p", ("z",), seed="input")[0]


def dense(name: str, source: str, kernel: str, inputs: int, outputs: int) -> Definition:
    extents = {"b": None, "j": inputs, "k": outputs}
    reads = {"w": (kernel, ("j", "k")), "x": (source, ("b", "j"))}
    return sum_of(name, (None, outputs), term("bkj", ("b", "k"), lambda w, x: w * x, reads, extents))


def cross_entropy_loss() -> Definition:
    reads = {"p": ("p", ("b", LABEL)), "size": ("batch_size", ())}
    return sum_of("loss", (), term("b", (), lambda p, size: -sympy.log(p) / size, reads))


LABELS = Tensor("label", (None,), "label", "index", 10)


def classifier(*, with_gradients: bool = True) -> Program:
    """Dense → softmax → cross-entropy, every formula the plain one."""
    inputs = (given("x", None, 12), given("w", 12, 10, kind="parameter"), LABELS, BATCH_SIZE)
    definitions = (dense("z", "x", "w", 12, 10), *exponential_sums(), cross_entropy_loss())
    program = Program(inputs, definitions, ("p", "loss"))
    return vjp(program, "loss", ("w",))[0] if with_gradients else program


def relu(x: sympy.Expr) -> sympy.Expr:
    return Maximum(x, 0)


def leaky_relu(x: sympy.Expr) -> sympy.Expr:
    return Select(Less(0, x), x, x / 100)


def elu(x: sympy.Expr) -> sympy.Expr:
    return Select(Less(0, x), x, (sympy.exp(x) - 1) / 2)


def sigmoid(x: sympy.Expr) -> sympy.Expr:
    return 1 / (1 + sympy.exp(-x))


def hessian_vector_product() -> Program:
    """The JVP of the classifier's VJP."""
    return jvp(classifier(), ("w",), ("w.cotangent",))[0]


def mean_squared_error() -> Program:
    reads = {"y": ("y", ("b", "k")), "t": ("t", ("b", "k"))}
    difference = sum_of("d", (None, 10), term("bk", ("b", "k"), lambda y, t: y - t, reads))
    reads = {"d": ("d", ("b", "k")), "size": ("batch_size", ())}
    loss = sum_of("loss", (), term("bk", (), lambda d, size: d**2 / (10 * size), reads))
    inputs = (given("y", None, 10), given("t", None, 10), BATCH_SIZE)
    return vjp(Program(inputs, (difference, loss), ("loss",)), "loss", ("y",))[0]


def log_sum_exp() -> Program:
    s, _ = exponential_sums()
    pooled = sum_of("y", (None,), term("b", ("b",), lambda s: sympy.log(s) / 2, {"s": ("s", ("b",))}))
    return vjp(Program((given("z", None, 10),), (s, pooled), ("y",)), "y", ("z",), seed="input")[0]


def normalisation(axes: str, kept: str) -> Program:
    """x̂ = (x - μ)/sqrt(v + ε), y = γ·x̂ + β: batch normalisation keeps "c", layer normalisation keeps "b"."""
    extents = {"b": None, "h": 5, "w": 6, "c": 4}
    everywhere, statistics = tuple(axes), (kept,)
    shape, small = tuple(extents[a] for a in axes), (extents[kept],)
    count = {"bhwc": 30, "bc": 4}[axes]
    sizes = {"size": ("batch_size", ())} if "b" not in kept else {}

    def mean(value, size=1):
        return value / (count * size)

    def define(name, target, loops_shape, body, reads):
        return sum_of(name, loops_shape, term(axes, target, body, reads, extents))

    x, mu, v = {"x": ("x", everywhere)}, {"mu": ("mu", statistics)}, {"v": ("v", statistics)}
    scale = {"g": ("gamma", ("c",)), "o": ("beta", ("c",))}
    definitions = (
        define("mu", statistics, small, mean, x | sizes),
        define("v", statistics, small, lambda x, mu, *size: mean((x - mu) ** 2, *size), x | mu | sizes),
        define(
            "xhat",
            everywhere,
            shape,
            lambda x, mu, v: (x - mu) / sympy.sqrt(v + sympy.Rational(1, 1000)),
            x | mu | v,
        ),
        define("y", everywhere, shape, lambda n, g, o: g * n + o, {"n": ("xhat", everywhere)} | scale),
    )
    parameters = tuple(given(name, 4, kind="parameter") for name in ("gamma", "beta"))
    program = Program((given("x", *shape), *parameters, BATCH_SIZE), definitions, ("y",))
    return vjp(program, "y", ("x", "gamma", "beta"), seed="input")[0]


def convolution() -> Program:
    """relu(conv(x)), pooled, summed against a given cotangent: nothing in the contractions may change."""
    extents = {"b": None, "h": 6, "w": 6, "p": 3, "q": 3, "c": 2, "o": 4}
    at = (axis("h") + axis("p"), axis("w") + axis("q"))
    reads = {"kernel": ("kernel", ("p", "q", "c", "o")), "x": ("x", ("b", *at, "c"))}
    loops, everywhere = "bhwopqc", ("b", "h", "w", "o")
    z = sum_of(
        "z",
        (None, 6, 6, 4),
        term(loops, everywhere, lambda kernel, x: kernel * x, reads, extents),
        term("bhwo", everywhere, lambda bias: bias, {"bias": ("bias", ("o",))}, extents),
    )
    y = sum_of("y", (None, 6, 6, 4), term("bhwo", everywhere, relu, {"x": ("z", everywhere)}, extents))
    small = {"b": None, "h": 3, "w": 3, "p": 2, "q": 2, "o": 4}
    window = ("b", 2 * axis("h") + axis("p"), 2 * axis("w") + axis("q"), "o")
    pool = Definition(
        "pool",
        (None, 3, 3, 4),
        "max",
        (term("bhwopq", everywhere, lambda y: y, {"y": ("y", window)}, small),),
    )
    inputs = (
        given("x", None, 8, 8, 2),
        given("kernel", 3, 3, 2, 4, kind="parameter"),
        given("bias", 4, kind="parameter"),
    )
    program = Program(inputs, (z, y, pool), ("pool",))
    return vjp(program, "pool", ("kernel", "bias", "x"), seed="input")[0]


def sympy_text(definition: Definition) -> str:
    """A definition with its bodies as SymPy prints them, whatever form the compiler's own records have."""
    lines = []
    for term in definition.terms:
        body = sympy.sstr(term.body.xreplace({s: sympy.Symbol(str(a)) for s, a in term.reads}))
        target = ", ".join(map(str, term.target))
        lines.append(f"{definition.name}[{target}] += {body}  for {', '.join(map(str, term.axes))}")
    return "; ".join(lines)


def formula_texts(program: Program) -> dict[str, str]:
    """Every definition's terms as text, without their loops."""
    return {
        d.name: "; ".join(part.split(" += ")[1].split("  for ")[0] for part in sympy_text(d).split("; "))
        for d in program.definitions
    }
