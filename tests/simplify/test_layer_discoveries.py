"""What is found from the formulas of the layers as they stand: normalisations, activations, losses."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.derive.vjp import vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program
from compiler.language.layers import (
    BatchNormalization,
    GroupNormalization,
    Layer,
    LayerNormalization,
    RMSNormalization,
)
from compiler.simplify.simplify import simplify
from tests.derive.cases import layer_program
from tests.simplify.programs import formula_texts


def pullback(layer: Layer, *shape: int) -> Program:
    """Cotangents of the input and all parameters, simplified; the self-check must agree."""
    forward = layer_program(layer, shape)
    wrt = [tensor.name for tensor in forward.inputs if tensor.kind in ("input", "parameter")]
    return simplify(vjp(forward, "y", wrt, seed="input")[0], strict=True)[0]


def found(layer: Layer, *shape: int) -> dict[str, str]:
    return formula_texts(pullback(layer, *shape))


def test_layer_normalization_has_three_terms() -> None:
    texts = found(LayerNormalization(), 6)
    assert texts["variance.cotangent.sum"] == "normalized.cotangent[b, c]*normalized[b, c]"
    assert texts["mean.cotangent.sum"] == "3*normalized.cotangent[b, c]"
    assert texts["x.cotangent"] == (
        "(-mean.cotangent.sum[b]/18 + normalized.cotangent[b, c]"
        " - normalized[b, c]*variance.cotangent.sum[b]/6)/sqrt(variance[b] + 1/1000)"
    )
    assert texts["gamma.cotangent"] == "normalized[b, c]*y.cotangent[b, c]"


def test_rms_normalization_has_two_terms() -> None:
    texts = found(RMSNormalization(1e-3), 6)
    assert texts["x.cotangent"] == (
        "(gamma[c]*y.cotangent[b, c] - square.cotangent.sum[b]*x[b, c]/(6*(square[b] + 1/1000)))"
        "/sqrt(square[b] + 1/1000)"
    )


def test_group_normalization_has_three_terms_over_the_digits_of_a_channel() -> None:
    texts = found(GroupNormalization(2), 5, 6, 4)
    assert texts["x.cotangent"] == (
        "(-mean.cotangent.sum[b, g]/1800 + normalized.cotangent[b, h, w, g, k]"
        " - normalized[b, h, w, g, k]*variance.cotangent.sum[b, g]/60)/sqrt(variance[b, g] + 1/1000)"
    )


def test_batch_normalization_shares_the_sums_of_its_parameters() -> None:
    texts = found(BatchNormalization(), 5, 6, 4)
    assert texts["x.cotangent"] == (
        "gamma[c]*(y.cotangent[b, h, w, c] - beta.cotangent[c]/(30*batch_size[])"
        " - gamma.cotangent[c]*normalized[b, h, w, c]/(30*batch_size[]))/sqrt(variance[c] + 1/1000)"
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(LayerNormalization(), (8,)), (GroupNormalization(2), (3, 2, 4)), (BatchNormalization(), (3, 4))],
    ids=["layer", "group", "batch"],
)
def test_a_large_mean_costs_no_digits(layer: Layer, shape: tuple[int, ...]) -> None:
    """x - mean is never expanded: far from 0 the gradient is what it is near 0."""
    program = pullback(layer, *shape)
    rng = np.random.default_rng(0)
    given = {
        tensor.name: rng.normal(size=[3 if n is None else n for n in tensor.shape])
        for tensor in program.inputs
        if tensor.name != "batch_size"
    }
    near, far = (run(program, {**given, "x": given["x"] + mean}) for mean in (0.0, 1e6))
    for name in program.outputs:
        np.testing.assert_allclose(far[name], near[name], atol=1e-8, err_msg=name)
