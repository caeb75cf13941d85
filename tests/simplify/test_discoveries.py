"""The textbook forms come out of general rules: the derived expressions, to the letter."""

import pytest
import sympy

from compiler.ir.scalar.choices import Select
from compiler.ir.scalar.conditions import Less
from compiler.ir.tensor.program import Program
from compiler.simplify.simplify import simplify, stabilise
from compiler.simplify.terms import is_contraction
from tests.simplify import programs
from tests.simplify.programs import formula_texts as formulas


def simplified(program: Program) -> dict[str, str]:
    return formulas(simplify(program, strict=True)[0])


def test_softmax_and_cross_entropy_become_probabilities_minus_one_hot():
    result, _ = simplify(programs.classifier(), strict=True)
    cotangent = result.definition("z.cotangent")
    assert programs.sympy_text(cotangent) == (
        "z.cotangent[b, c] += p[b, c]/batch_size[]  for b:batch, c:10; "
        "z.cotangent[b, label[b]] += -1/batch_size[]  for b:batch"
    )


def test_the_unfused_loss_becomes_a_shifted_log_sum_exp():
    found = simplified(programs.classifier())
    assert found["s.max"] == "z[b, k]"
    assert found["s.shifted"] == "s.shifted.rest[b] + 1"
    assert found["p"] == "exp(-s.max[b] + z[b, c])/s.shifted[b]"
    assert found["loss"] == "(log1p(s.shifted.rest[b]) + together(s.max[b] - z[b, label[b]]))/batch_size[]"


def test_the_maximum_is_never_differentiated():
    result, _ = simplify(programs.classifier(), strict=True)
    assert [d.name for d in result.definitions] == [
        "z",
        "s.max",
        "s.shifted.ties",
        "s.shifted.rest",
        "s.shifted",
        "p",
        "loss",
        "z.cotangent",
        "w.cotangent",
    ]


def test_inference_is_stabilised_without_gradients():
    found = formulas(stabilise(programs.classifier(with_gradients=False), strict=True)[0])
    with_gradients = simplified(programs.classifier())
    assert found == {name: with_gradients[name] for name in found}
    assert list(found) == ["z", "s.max", "s.shifted.ties", "s.shifted.rest", "s.shifted", "p", "loss"]


def test_the_second_derivative_is_found_from_the_first():
    """H·ẇ passes through p·(ż - Σ p·ż)/B, with Σ p·ż as a shifted sum over another."""
    found = simplified(programs.hessian_vector_product())
    assert found["s.tangent.shifted"] == "z.tangent[b, k]*exp(-s.max[b] + z[b, k])"
    assert found["z.cotangent.tangent"] == (
        "p[b, c]*(z.tangent[b, c] - s.tangent.shifted[b]/s.shifted[b])/batch_size[]"
    )


def test_softmax_alone():
    found = simplified(programs.softmax())
    assert found["s.cotangent.sum"] == "p.cotangent[b, c]*p[b, c]"
    assert found["z.cotangent"] == "p[b, c]*(p.cotangent[b, c] - s.cotangent.sum[b])"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (sympy.tanh, "y.cotangent[b, j]*(1 - y[b, j]**2)"),
        (programs.sigmoid, "y.cotangent[b, j]*y.exponential[b, j]/(y.exponential[b, j] + 1)**2"),
        (sympy.exp, "y.cotangent[b, j]*y[b, j]"),
        (programs.relu, "(0 if y[b, j] <= 0 else y.cotangent[b, j])"),
        (programs.leaky_relu, "y.cotangent[b, j]*(1 if y[b, j] > 0 else 1/100)"),
        (programs.elu, "y.cotangent[b, j]*(1 if x[b, j] > 0 else exp(x[b, j])/2)"),
        (lambda x: sympy.log(1 + sympy.exp(x)), "y.cotangent[b, j]/(1 + exp(-x[b, j]))"),
    ],
    ids=["tanh", "sigmoid", "exp", "relu", "leaky_relu", "elu", "softplus"],
)
def test_activation_in_terms_of_its_output(function, expected):
    assert simplified(programs.activation(function))["x.cotangent"] == expected


KEPT = {"y.exponential", "y.cotangent"}


def test_a_form_of_the_output_is_refused_where_it_has_lost_its_digits():
    """y*(1 - y), y + 1/2 and 1 - y**2 have none left where y is rounded to 1 or -1/2."""

    def tanh(x):
        return (sympy.exp(x) - sympy.exp(-x)) / (sympy.exp(x) + sympy.exp(-x))

    for function in (programs.sigmoid, programs.elu, tanh):
        result = simplify(programs.activation(function), strict=True)[0]
        (term,) = result.definition("x.cotangent").terms
        assert {access.tensor for _, access in term.reads} in ({"x", "y.cotangent"}, KEPT)


def test_a_negative_slope_keeps_the_mask_on_the_input():
    """With slope < 0 both cases are positive, so the output does not tell them apart."""

    def negative_slope(x):
        return Select(Less(0, x), x, -x / 2)

    found = simplified(programs.activation(negative_slope))
    assert "x[b, j] > 0" in found["x.cotangent"]


def test_silu_is_not_divided_by_its_input():
    """From y = x·σ(x) follows σ = y/x, which is 0/0 at 0."""
    result, _ = simplify(programs.activation(lambda x: x * programs.sigmoid(x)), strict=True)
    (term,) = result.definition("x.cotangent").terms
    divisors = {node.base for node in term.body.atoms(sympy.Pow) if node.exp.is_negative}
    assert divisors.isdisjoint(symbol for symbol, _ in term.reads)


def test_mean_squared_error():
    found = simplified(programs.mean_squared_error())
    assert found == {
        "loss": "(-t[b, k] + y[b, k])**2/(10*batch_size[])",
        "y.cotangent": "(-t[b, k] + y[b, k])/(5*batch_size[])",
    }


def test_log_sum_exp():
    found = simplified(programs.log_sum_exp())
    assert found["y"] == "s.max[b]/2 + log1p(s.shifted.rest[b])/2"
    assert found["z.cotangent"] == "y.cotangent[b]*exp(-s.max[b] + z[b, k])/(2*s.shifted[b])"


def test_batch_normalisation_has_three_terms_and_shares_the_parameters_gradients():
    found = simplified(programs.normalisation("bhwc", "c"))
    assert list(found) == ["mu", "v", "xhat", "y", "gamma.cotangent", "beta.cotangent", "x.cotangent"]
    assert found["x.cotangent"] == (
        "gamma[c]*(y.cotangent[b, h, w, c] - beta.cotangent[c]/(30*batch_size[])"
        " - gamma.cotangent[c]*xhat[b, h, w, c]/(30*batch_size[]))/sqrt(v[c] + 1/1000)"
    )


def test_layer_normalisation_has_three_terms():
    result, _ = simplify(programs.normalisation("bc", "b"), strict=True)
    (term,) = result.definition("x.cotangent").terms
    numerator, _ = term.body.as_numer_denom()
    assert len(sympy.Add.make_args(sympy.expand(numerator))) == 3
    assert {"x", "mu"}.isdisjoint(access.tensor for _, access in term.reads)
    assert sum(bool(t.reduction_axes) for d in result.definitions for t in d.terms) == 6


def test_contractions_and_windows_are_untouched():
    before = programs.convolution()
    after, _ = simplify(before, strict=True)
    for definition in after.definitions:
        old = before.definition(definition.name)
        if definition.operation != "sum" or any(map(is_contraction, old.terms)):
            assert definition == old
    mask = formulas(after)["z.cotangent"]
    assert mask == "(0 if y[b, h, w, o] <= 0 else y.cotangent[b, h, w, o])"
