"""The pieces that the rules are made of, each by itself."""

import sympy

from compiler.ir.scalar.cases import as_cases
from compiler.ir.scalar.choices import Maximum, Select
from compiler.ir.scalar.conditions import Less, LessEqual
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.prune import prune
from compiler.ir.tensor.rename import canonical
from compiler.simplify.branches import in_cases_of_output
from compiler.simplify.cheapest import cheapest
from compiler.simplify.compose import without_reads
from compiler.simplify.memo import Memo
from compiler.simplify.output_forms import replace_part, solve_for_parts
from compiler.simplify.scalar import absorb_sign, hide, operations
from compiler.simplify.shrink import shrink
from compiler.simplify.signs import sign_of
from compiler.simplify.simplify import simplify
from compiler.simplify.stable_scalars import divided_through
from compiler.simplify.terms import is_contraction
from tests.simplify import programs
from tests.simplify.programs import LABEL, sum_of, term

x, y, m = sympy.symbols("x y m", real=True)
v = sympy.Symbol("v", positive=True)


def test_hidden_parts_come_back():
    body = sympy.exp(-x) / (1 + sympy.exp(2 * x)) + (x - m) ** 2 * (
        v + sympy.Rational(1, 1000)
    ) ** sympy.Rational(-3, 2)
    hidden = hide(body)
    assert sympy.simplify(hidden.expression.xreplace(hidden.back) - body) == 0
    assert hidden.expression.is_rational_function()
    assert set(hidden.back.values()) == {sympy.exp(x), x - m, sympy.sqrt(v + sympy.Rational(1, 1000))} or set(
        hidden.back.values()
    ) == {sympy.exp(x), m - x, sympy.sqrt(v + sympy.Rational(1, 1000))}


def test_a_centred_difference_is_never_expanded():
    body = (x - m) ** 2 * y + (x - m) * v
    assert cheapest(body).has(x - m) or cheapest(body).has(m - x)


def test_a_sign_goes_into_a_difference():
    assert str(absorb_sign(-y * (y - 1))) == "y*(1 - y)"
    assert operations(y * (1 - y)) < operations(-y * (y - 1))


def test_parts_are_solved_for():
    output = sympy.Symbol("out", positive=True)
    forms = {form.part: form.value for form in solve_for_parts(1 / (1 + sympy.exp(-x)), output)}
    assert sympy.simplify(forms[sympy.exp(x)] - output / (1 - output)) == 0


def test_powers_of_a_part_are_replaced():
    assert replace_part(sympy.exp(-2 * x) + sympy.exp(x), sympy.exp(x), y) == y**-2 + y


def test_cases_are_recognised_either_way_round_and_kept_as_written():
    one = as_cases(Select(Less(0, x), x, 0))
    other = as_cases(Select(LessEqual(x, 0), 0, x))
    assert other == as_cases(Maximum(x, 0))
    assert (one.relation, other.relation) == (">", "<=")
    assert [(cases.high, cases.low, cases.strict) for cases in (one, other)] == [(x, 0, True)] * 2


def test_an_undecidable_mask_is_left_alone():
    slope = sympy.Symbol("a", real=True)
    function = Select(Less(0, x), x, slope * x)
    body = Select(Less(0, x), 1, slope)
    assert in_cases_of_output(function, y, body, lambda case, inner: inner) == body


def test_an_exponential_is_divided_through():
    quotient = x * sympy.exp(x) / (1 + sympy.exp(x))
    assert divided_through(quotient) == x / (1 + sympy.exp(-x))


def test_signs_follow_from_definitions():
    program = programs.classifier()
    signs = {name: sign_of(program, name, {}) for name in ("s", "p", "z", "batch_size")}
    assert signs == {"s": "positive", "p": "positive", "z": "real", "batch_size": "positive"}


def test_a_scatter_is_composed_at_its_labels():
    """s̄[b] += g(b,c)·p̄[b,c] with p̄[i,label[i]] += h(i) has no axis c left."""
    scatter = sum_of("p", (None, 10), term("b", ("b", LABEL), lambda h: h, {"h": ("h", ("b",))}))
    outer = term("bc", ("b",), lambda g, p: g * p, {"g": ("g", ("b", "c")), "p": ("p", ("b", "c"))})
    (composed,) = without_reads(outer, scatter, Memo())
    assert [a.name for a in composed.axes] == ["b"]
    assert {str(access) for _, access in composed.reads} == {"g[b, label[b]]", "h[b]"}


def test_a_read_that_is_compared_is_not_linear():
    """Its derivative at the mask is 0, but the value is not independent of it."""
    scatter = sum_of("p", (None, 10), term("b", ("b", LABEL), lambda h: h, {"h": ("h", ("b",))}))
    reads = {"g": ("g", ("b", "c")), "p": ("p", ("b", "c"))}
    outer = term("bc", ("b", "c"), lambda g, p: g * Select(Less(0, p), 1, 0), reads)
    assert without_reads(outer, scatter, Memo()) is None


def test_terms_that_differ_in_names_alone_become_equal():
    one = term("bk", ("b",), lambda a: a, {"a": ("a", ("b", "k"))})
    two = term("bc", ("b",), lambda a: a, {"a": ("a", ("b", "c"))})
    assert one != two and canonical(one) == canonical(two)


def test_contractions_are_told_from_sums():
    assert is_contraction(programs.dense("z", "x", "w", 12, 10).terms[0])
    assert not is_contraction(
        term("bk", ("b",), lambda a, c: a * c, {"a": ("a", ("b", "k")), "c": ("c", ("b", "k"))})
    )


def test_prune_keeps_what_an_output_needs():
    program = programs.classifier(with_gradients=False)
    assert [d.name for d in prune(program.replace(outputs=("p",))).definitions] == ["z", "s", "p"]
    assert prune(program) is program


def test_shrinking_keeps_windows_and_shortens_the_rest():
    small = shrink(programs.convolution())
    assert small.shape("z") == (None, 6, 6, 3)
    assert small.shape("kernel") == (3, 3, 2, 3)
    labelled = shrink(programs.classifier())
    assert labelled["label"].limit == 3 and labelled.shape("p") == (None, 3)


def test_a_program_without_anything_to_find_is_given_back():
    program = Program(
        (programs.given("x", None, 12), programs.given("w", 12, 10)),
        (programs.dense("z", "x", "w", 12, 10),),
        ("z",),
    )
    assert simplify(program, strict=True) == (program, ())
