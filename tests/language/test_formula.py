"""The formula language: what definitions a text becomes, and what is said about a wrong one.

formula_errors.txt holds one wrong formula per paragraph, followed by its message;
`UPDATE_GOLDEN=1 pytest tests/language` writes the messages anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.verify import verify
from compiler.language.formula import Operand, compile_formula

GOLDEN = Path(__file__).parent / "formula_errors.txt"
TENSORS = {
    "x": Operand("x", (None, 4)),
    "kernel": Operand("kernel", (4, 5)),
    "label": Operand("label", (None,), "index", 4),
}


def compiled(text, shape=(None, 4), tensors=TENSORS, **constants):
    result = {"y": Operand("y", shape)}
    return compile_formula(text, operands=tensors, results=result, constants=constants, prefix="layer")


def printed(text, shape=(None, 4), tensors=TENSORS, **constants):
    """Each term as `tensor[target] operation body over axes`, the reads put into the body."""
    lines = []
    for definition in compiled(text, shape, tensors, **constants).definitions:
        for term in definition.terms:
            body = str(term.body)
            for symbol, access in reversed(term.reads):
                body = body.replace(str(symbol), str(access))
            target, axes = (", ".join(map(str, items)) for items in (term.target, term.axes))
            lines.append(f"{definition.name}[{target}] {definition.operation} {body} over {axes}")
    return lines


def message(text):
    with pytest.raises(ModelError) as caught:
        compiled(text, rate=0.5)
    return str(caught.value)


def paragraphs():
    """The wrong formulas with their messages, written anew first if that is asked for."""
    found = GOLDEN.read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    if os.environ.get("UPDATE_GOLDEN"):
        formulas = [paragraph.split("\n")[0] for paragraph in found]
        found = [f"{formula}\n{message(formula)}" for formula in formulas]
        GOLDEN.write_text("\n\n".join(found) + "\n", encoding="utf-8")
    return found


@pytest.mark.parametrize("paragraph", paragraphs(), ids=lambda text: text.splitlines()[0])
def test_error(paragraph):
    formula, _, expected = paragraph.partition("\n")
    assert message(formula) == expected


def test_error_in_a_later_line():
    text = """
        total[b] = sum[i](x[b, i])
        y[b, i] = (x[b, i] +
                   totl[b])
        """
    assert message(text).splitlines()[:3] == [
        "there is no tensor totl",
        "               totl[b])",
        "               ^^^^^^^",
    ]


def test_sum_and_bias_are_terms_of_one_definition():
    tensors = {**TENSORS, "bias": Operand("bias", (5,))}
    assert printed("y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]", (None, 5), tensors) == [
        "y[b, o] sum kernel[i, o]*x[b, i] over b:batch, o:5, i:4",
        "y[b, o] sum bias[o] over b:batch, o:5",
    ]


def test_softmax_has_a_stage():
    assert printed("y[..., c] = exp(x[..., c]) / sum[k](exp(x[..., k]))") == [
        "layer.sum1[b] sum exp(x[b, k]) over b:batch, k:4",
        "y[b, c] sum exp(x[b, c])/layer.sum1[b] over b:batch, c:4",
    ]


def test_equal_stages_are_shared():
    text = "y[b, i] = (x[b, i] - mean[j](x[b, j])) * (x[b, i] + mean[k](x[b, k])) * max[k](x[b, k])"
    names = [definition.name for definition in compiled(text).definitions]
    assert names == ["layer.mean1", "layer.max1", "y"]


def test_sum_that_lacks_an_axis_is_a_stage():
    assert printed("y[b, o] = sum[i](kernel[i, o] * sum[j](x[b, j]))", (None, 5)) == [
        "layer.sum1[b] sum x[b, j] over b:batch, j:4",
        "y[b, o] sum kernel[i, o]*layer.sum1[b] over b:batch, o:5, i:4",
    ]


def test_nested_sums_with_every_axis_are_one_term():
    tensors = {"x": Operand("x", (None, 6)), "kernel": Operand("kernel", (3, 2, 5))}
    assert printed("y[b, o] = sum[p](sum[q](kernel[p, q, o] * x[b, 2*p + q]))", (None, 5), tensors) == [
        "y[b, o] sum kernel[p, q, o]*x[b, 2*p + q] over b:batch, o:5, p:3, q:2",
    ]


def test_linear_parts_are_separated_and_constant_factors_move_in():
    text = "y[b, i] = 2 * (x[b, i] - sum[o](kernel[i, o] * x[b, i])) / 3 + 1"
    assert printed(text) == [
        "y[b, i] sum -2*kernel[i, o]*x[b, i]/3 over b:batch, i:4, o:5",
        "y[b, i] sum 2*x[b, i]/3 + 1 over b:batch, i:4",
    ]


def test_mean_over_the_batch_divides_by_its_size():
    text = "y[] = mean[b](-log(x[b, label[b]]))"
    assert printed(text, ()) == ["y[] sum -log(x[b, label[b]])/batch_size[] over b:batch"]
    assert printed("y[] = mean[...](x[...])", ()) == ["y[] sum x[b, i]/(4*batch_size[]) over b:batch, i:4"]


def test_max_of_a_window_is_a_max_definition():
    tensors = {"x": Operand("x", (None, 9))}
    assert printed("y[b, h] = max[p:2](pad(x, -inf)[b, stride*h + p])", (None, 5), tensors, stride=2) == [
        "y[b, h] max pad(x, -inf)[b, 2*h + p] over b:batch, h:5, p:2",
    ]


def test_pad_that_is_never_needed_disappears():
    assert printed("y[b, i] = pad(x, 0)[b, i]") == ["y[b, i] sum x[b, i] over b:batch, i:4"]


def test_elementwise_choices_are_cases():
    assert printed("y[b, i] = max(x[b, i], 0)") == ["y[b, i] sum max(x[b, i], 0) over b:batch, i:4"]
    for text in ("y[b, i] = abs(x[b, i])", "y[b, i] = sqrt(x[b, i]**2)"):
        assert printed(text) == ["y[b, i] sum abs(x[b, i]) over b:batch, i:4"]


def test_decimals_are_exact():
    assert printed("y[b, i] = 0.1 * x[b, i] + rate + 1e-3", rate=0.2) == [
        "y[b, i] sum x[b, i]/10 + 201/1000 over b:batch, i:4"
    ]


def test_each_uniform_is_a_tensor_of_its_own():
    result = compiled("y[b, i] = uniform[b, i] * uniform[b, i]")
    assert [operand.name for operand in result.random] == ["layer.uniform", "layer.uniform2"]
    assert {operand.shape for operand in result.random} == {(None, 4)}


def test_terms_by_accumulation():
    tensors = {"first": Operand("first", (None, 5)), "second": Operand("second", (None, 7))}
    assert printed("y[b, i] += first[b, i]   ;  y[b, i + 5] += second[b, i]", (None, 12), tensors) == [
        "y[b, i] sum first[b, i] over b:batch, i:5",
        "y[b, i + 5] sum second[b, i] over b:batch, i:7",
    ]


def test_scatter_by_label():
    assert printed("y[label[b], i] += x[b, i]", (4, 4)) == ["y[label[b], i] sum x[b, i] over b:batch, i:4"]


def test_let_stages_get_their_shape_from_the_left():
    text = "flat[b, ravel(i, j)] = kernel[i, j] * x[b, i]; y[b, i] = sum[k:3](flat[b, i + k])"
    result = compiled(text)
    assert [(d.name, d.shape) for d in result.definitions] == [("layer.flat", (None, 20)), ("y", (None, 4))]


USER_FORMULAS = {
    "locally connected": (
        "y[b, h, o] = sum[p, c](weight[h, p, c, o] * x[b, h + p, c])",
        {"x": (None, 6, 2), "weight": (4, 3, 2, 5)},
        (None, 4, 5),
        lambda x, weight: np.stack(
            [np.einsum("bpc,pco->bo", x[:, h : h + 3], weight[h]) for h in range(4)], 1
        ),
    ),
    "bilinear": (
        "y[b, o] = sum[i, j](weight[o, i, j] * x[b, i] * z[b, j])",
        {"x": (None, 3), "z": (None, 4), "weight": (2, 3, 4)},
        (None, 2),
        lambda x, z, weight: np.einsum("oij,bi,bj->bo", weight, x, z),
    ),
    "grouped convolution": (
        "y[b, h, ravel(g, o)] = sum[p, c](weight[p, g, c, o] * x[b, h + p, ravel(g, c)])",
        {"x": (None, 6, 4), "weight": (3, 2, 2, 3)},
        (None, 4, 6),
        lambda x, weight: np.stack(
            [np.einsum("bpgc,pgco->bgo", x[:, h : h + 3].reshape(-1, 3, 2, 2), weight) for h in range(4)], 1
        ).reshape(-1, 4, 6),
    ),
    "squared distance": (
        "y[b, o] = sum[i]((x[b, i] - center[o, i])**2)",
        {"x": (None, 3), "center": (4, 3)},
        (None, 4),
        lambda x, center: ((x[:, None] - center) ** 2).sum(-1),
    ),
    "log-sum-exp": (
        "y[b] = log(sum[i](exp(x[b, i])))",
        {"x": (None, 3)},
        (None,),
        lambda x: np.log(np.exp(x).sum(-1)),
    ),
    "root mean square norm": (
        "y[b, i] = gain[i] * x[b, i] / sqrt(mean[j](x[b, j]**2) + 0.001)",
        {"x": (None, 3), "gain": (3,)},
        (None, 3),
        lambda x, gain: gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.001),
    ),
    "batch norm": (
        """
        mean[c] = mean[b, t](x[b, t, c])
        variance[c] = mean[b, t]((x[b, t, c] - mean[c])**2)
        y[b, t, c] = (x[b, t, c] - mean[c]) / sqrt(variance[c] + 0.001)
        """,
        {"x": (None, 3, 2)},
        (None, 3, 2),
        lambda x: (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 0.001),
    ),
    "attention": (
        """
        score[b, q, k] = sum[e](x[b, q, e] * z[b, k, e]) / sqrt(3)
        weight[b, q, k] = exp(score[b, q, k]) / sum[j](exp(score[b, q, j]))
        y[b, q, e] = sum[k](weight[b, q, k] * z[b, k, e])
        """,
        {"x": (None, 4, 3), "z": (None, 5, 3)},
        (None, 4, 3),
        lambda x, z: np.asarray(
            (lambda s: (s / s.sum(-1, keepdims=True)) @ z)(np.exp(x @ z.transpose(0, 2, 1) / np.sqrt(3)))
        ),
    ),
    "up-sampling": (
        "y[b, h, c] = x[b, h // 2, c]",
        {"x": (None, 3, 2)},
        (None, 6, 2),
        lambda x: x.repeat(2, axis=1),
    ),
    "range of a window": (
        "y[b, h] = max[p:3](x[b, h + p]) - min[p:3](x[b, h + p])",
        {"x": (None, 6)},
        (None, 4),
        lambda x: np.stack([np.ptp(x[:, h : h + 3], axis=1) for h in range(4)], 1),
    ),
    "clipped": (
        "y[...] = min(max(x[...], -0.5), 0.5) if not (x[...] > 1 or x[...] < -1) and 0 < 1 else 2",
        {"x": (None, 6)},
        (None, 6),
        lambda x: np.where(np.abs(x) <= 1, np.clip(x, -0.5, 0.5), 2),
    ),
}


@pytest.mark.parametrize("name", USER_FORMULAS)
def test_user_formula(name):
    text, shapes, shape, expected = USER_FORMULAS[name]
    tensors = {key: Operand(key, value) for key, value in shapes.items()}
    definitions = compiled(text, shape, tensors).definitions
    random = np.random.default_rng(0)
    values = {
        key: random.normal(size=[2 if n is None else n for n in value]) for key, value in shapes.items()
    }
    given = [
        *(Tensor(key, value, "input") for key, value in shapes.items()),
        Tensor("batch_size", (), "batch_size"),
    ]
    program = Program(tuple(given), definitions, ("y",))
    verify(program)
    y = run(program, values)["y"]
    np.testing.assert_allclose(y, expected(**values), rtol=1e-12, atol=1e-12)
