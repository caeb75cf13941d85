"""Every function of the formula language, at points where all are defined."""

from __future__ import annotations

from tests.language.formulas.tables import Row


def inside(rng, tensor, shape):
    """Between 0.1 and 0.9."""
    return rng.uniform(0.1, 0.9, size=shape)


def _erf(x):
    import jax

    return jax.scipy.special.erf(x)


FUNCTIONS = {
    "exponentials": Row(
        "y[b, i] = exp(x[b, i]) * log(x[b, i]) + sqrt(x[b, i]) * tanh(x[b, i]) + erf(x[b, i])",
        {"x": (None, 5)},
        (None, 5),
        lambda np, v: np.exp(v["x"]) * np.log(v["x"]) + np.sqrt(v["x"]) * np.tanh(v["x"]) + _erf(v["x"]),
        draw=inside,
    ),
    "angles": Row(
        """
        u[b, i] = x[b, i]
        y[b, i] = sin(u[b, i]) * tan(u[b, i]) + cos(u[b, i]) * asin(u[b, i]) - acos(u[b, i]) * atan(u[b, i])
        """,
        {"x": (None, 5)},
        (None, 5),
        lambda np, v: (
            np.sin(v["x"]) * np.tan(v["x"])
            + np.cos(v["x"]) * np.arcsin(v["x"])
            - np.arccos(v["x"]) * np.arctan(v["x"])
        ),
        draw=inside,
    ),
    "hyperbolas": Row(
        "y[b, i] = sinh(x[b, i]) / cosh(2 * x[b, i]) + x[b, i]**0.3",
        {"x": (None, 5)},
        (None, 5),
        lambda np, v: np.sinh(v["x"]) / np.cosh(2 * v["x"]) + v["x"] ** 0.3,
        draw=inside,
    ),
}
