"""Formulas in which an axis is a value, or decides a choice."""

from __future__ import annotations

from tests.language.formulas.tables import Row

SEQUENCE = {"x": (None, 5, 6)}

AXES = {
    "ramp": Row("y[b, t] = x[b, t] * t", {"x": (None, 5)}, (None, 5), lambda np, v: v["x"] * np.arange(5)),
    "distance": Row(
        "y[b, i] = sum[j](x[b, j] * exp(-abs(i - j)))",
        {"x": (None, 5)},
        (None, 5),
        lambda np, v: v["x"] @ np.exp(-abs(np.arange(5)[:, None] - np.arange(5))),
    ),
    "positional encoding": Row(
        "y[b, t, i] = x[b, t, i] + (sin(t / 100**(i / d)) if i % 2 == 0 else cos(t / 100**((i - 1) / d)))",
        SEQUENCE,
        (None, 5, 6),
        lambda np, v: v["x"] + _encoding(np, 5, 6, 100.0),
        {"d": 6},
    ),
    "scaled encoding": Row(
        "y[b, t, i] = gain[i] * x[b, t, i] * sin(t / 10000**(2*(i//2)/d)) + sum[j](w[j, i] * x[b, t, j])",
        {"x": (None, 5, 6), "gain": (6,), "w": (6, 6)},
        (None, 5, 6),
        lambda np, v: (
            v["gain"] * v["x"] * np.sin(np.arange(5)[:, None] / 10000.0 ** (2 * (np.arange(6) // 2) / 6))
            + v["x"] @ v["w"]
        ),
        {"d": 6},
    ),
    "causal mean": Row(
        "y[b, t, i] = sum[s](x[b, s, i] if s <= t else 0) / (t + 1)",
        SEQUENCE,
        (None, 5, 6),
        lambda np, v: np.cumsum(v["x"], axis=1) / (np.arange(5)[:, None] + 1),
    ),
    "causal attention": Row(
        """
        score[b, i, j] = sum[e](x[b, i, e] * x[b, j, e]) if j <= i else -1e9
        y[b, i, e] = sum[j](exp(score[b, i, j]) / sum[k](exp(score[b, i, k])) * x[b, j, e])
        """,
        SEQUENCE,
        (None, 5, 6),
        lambda np, v: _attention(np, v["x"]),
        draw=lambda rng, tensor, shape: rng.normal(scale=0.3, size=shape),
    ),
    "masked inside a function": Row(
        "y[b, i, j] = exp(x[b, i, j] if j <= i and not i == 3 else -20) + (j if i > 1 else x[b, j, i])",
        {"x": (None, 5, 5)},
        (None, 5, 5),
        lambda np, v: (
            np.exp(
                np.where((np.arange(5) <= np.arange(5)[:, None]) & (np.arange(5)[:, None] != 3), v["x"], -20)
            )
            + np.where(np.arange(5)[:, None] > 1, np.arange(5), v["x"].transpose(0, 2, 1))
        ),
    ),
    "difference that starts at one": Row(
        "y[b, t] = x[b, t] - (x[b, t - 1] if t >= 1 else 0)",
        {"x": (None, 6)},
        (None, 6),
        lambda np, v: np.diff(v["x"], axis=1, prepend=0),
    ),
    "largest before": Row(
        "y[b, t] = max[s](x[b, s] if s <= t else -100)",
        {"x": (None, 6)},
        (None, 6),
        lambda np, v: np.stack([v["x"][:, : t + 1].max(1) for t in range(6)], 1),
    ),
    "choice that no axis decides alone": Row(
        "y[b, t] = x[b, t] if t * x[b, t] > 1 or t == 2 else 2 * x[b, t]",
        {"x": (None, 6)},
        (None, 6),
        lambda np, v: np.where((np.arange(6) * v["x"] > 1) | (np.arange(6) == 2), v["x"], 2 * v["x"]),
    ),
    "not affine": Row(
        "y[b, i, j] = x[b, i, j] if i * j < 5 else 0",
        {"x": (None, 4, 5)},
        (None, 4, 5),
        lambda np, v: np.where(np.arange(4)[:, None] * np.arange(5) < 5, v["x"], 0),
    ),
    "one hot": Row(
        "y[b, c] = x[b, c] * (2 if label[b] == c else 0.5)",
        {"x": (None, 4), "label": (None,)},
        (None, 4),
        lambda np, v: v["x"] * np.where(v["label"][:, None] == np.arange(4), 2, 0.5),
        limits={"label": 4},
    ),
    "constants decide": Row(
        "y[b, i] = x[b, i] if d > 2 and d != 5 else 0",
        {"x": (None, 3)},
        (None, 3),
        lambda np, v: v["x"],
        {"d": 4},
    ),
}


def _encoding(np, length, channels, base):
    t, i = np.arange(length)[:, None], np.arange(channels)
    even = np.sin(t / base ** (i / channels))
    return np.where(i % 2 == 0, even, np.cos(t / base ** ((i - 1) / channels)))


def _attention(np, x):
    score = np.einsum("bie,bje->bij", x, x)
    score = np.where(np.arange(5)[:, None] >= np.arange(5), score, -1e9)
    weight = np.exp(score)
    return (weight / weight.sum(-1, keepdims=True)) @ x
