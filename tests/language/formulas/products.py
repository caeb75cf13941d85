"""Products over axes, at points where factors are 0 too."""

from __future__ import annotations

from tests.language.formulas.tables import Row


def with_zeros(rng, tensor, shape):
    """Gaussian factors; one of the first example is 0, and two of the second."""
    value = rng.normal(size=shape)
    if len(shape) == 2:
        value[0, 1] = 0
        value[1:2, 0] = value[1:2, -1] = 0
    return value


def _row(size: int) -> Row:
    text = "y[b] = prod[k](x[b, k])"
    return Row(text, {"x": (None, size)}, (None,), lambda np, v: v["x"].prod(1), draw=with_zeros)


PRODUCTS = {
    **{f"product of {size}": _row(size) for size in (2, 3, 4, 5, 7, 8, 13)},
    "product of one": Row(
        "y[b] = 2 * prod[k](x[b, k]) + 1", {"x": (None, 1)}, (None,), lambda np, v: 2 * v["x"][:, 0] + 1
    ),
    "product of a sum": Row(
        "y[b, o] = prod[i](1 + sum[j](w[o, i, j] * x[b, j]))",
        {"x": (None, 3), "w": (2, 4, 3)},
        (None, 2),
        lambda np, v: (1 + np.einsum("oij,bj->boi", v["w"], v["x"])).prod(-1),
    ),
    "product over two axes": Row(
        "y[b, c] = prod[h, w](x[b, h, w, c] + 0.5) / 2",
        {"x": (None, 3, 5, 2)},
        (None, 2),
        lambda np, v: (v["x"] + 0.5).prod((1, 2)) / 2,
    ),
    "product in a function": Row(
        "y[b, i] = x[b, i] * exp(-prod[k](x[b, k]**2)) - prod[k](x[b, k] if k != 1 else 1)",
        {"x": (None, 5)},
        (None, 5),
        lambda np, v: (
            v["x"] * np.exp(-(v["x"] ** 2).prod(1, keepdims=True))
            - v["x"][:, [0, 2, 3, 4]].prod(1, keepdims=True)
        ),
        draw=with_zeros,
    ),
    "sum of products": Row(
        "y[b] = sum[t](prod[k:3](x[b, t + k]))",
        {"x": (None, 7)},
        (None,),
        lambda np, v: sum(v["x"][:, t] * v["x"][:, t + 1] * v["x"][:, t + 2] for t in range(5)),
        draw=with_zeros,
    ),
    "factorial": Row(
        "y[b, i] = x[b, i] * prod[k:5](k + 1)", {"x": (None, 3)}, (None, 3), lambda np, v: 120 * v["x"]
    ),
}
