"""The normalisations over one example as rows of the table."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.language.layers import GroupNormalization, LayerNormalization, RMSNormalization
from tests.derive.case_builders import jnp, layer_case
from tests.derive.cases import Case, made_once


@made_once
def normalization_cases() -> Iterator[Case]:
    yield layer_case("layer_normalization", LayerNormalization(), jnp(_layer), (6,))
    layer = LayerNormalization(1e-3, center=False, scale=False)
    yield layer_case("layer_normalization-plain", layer, jnp(_layer), (3, 5))
    yield layer_case("rms_normalization", RMSNormalization(1e-3), jnp(_root_mean_square), (3, 5))
    for groups in (1, 2, 4):
        reference = jnp(lambda np, v, groups=groups: _group(np, v, groups))
        yield layer_case(f"group_normalization{groups}", GroupNormalization(groups), reference, (3, 2, 4))
    reference = jnp(lambda np, v: _group(np, v, 2))
    yield layer_case("group_normalization-on-rows", GroupNormalization(2, center=False), reference, (3, 6))


def _layer(np, v):
    return _standardised(np, v["x"], -1) * v.get("gamma", 1) + v.get("beta", 0)


def _group(np, v, groups):
    x = v["x"]
    parts = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    return _standardised(np, parts, axes).reshape(x.shape) * v.get("gamma", 1) + v.get("beta", 0)


def _standardised(np, x, axes):
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-3)


def _root_mean_square(np, v):
    return v["x"] / np.sqrt((v["x"] ** 2).mean(-1, keepdims=True) + 1e-3) * v["gamma"]
