"""What the examples of docs/formulas.md compute, in JAX: by name, the inputs' shapes and the result."""

from __future__ import annotations

from collections.abc import Callable

from tests.language.formulas.recurrences import RECURRENCES, Recurrence

Shapes = tuple[tuple[int, ...], ...]


def _locally_connected(np, v):
    x, kernel = v["x"], v["kernel"]
    return np.stack(
        [np.einsum("bpc,pco->bo", x[:, h : h + 3], kernel[h]) for h in range(kernel.shape[0])], axis=1
    )


def _grouped(np, v):
    x, kernel = v["x"], v["kernel"]
    groups, inner = kernel.shape[1:3]
    windows = np.stack([x[:, h : h + 3].reshape(-1, 3, groups, inner) for h in range(x.shape[1] - 2)], axis=1)
    return np.einsum("bhpgc,pgco->bhgo", windows, kernel).reshape(len(x), x.shape[1] - 2, -1)


def _attention(np, v):
    score = np.einsum("bte,bse->bts", v["query"], v["key"]) / np.sqrt(v["query"].shape[-1])
    t = np.arange(score.shape[-1])
    weight = np.exp(np.where(t <= t[:, None], score, -1e9))
    return (weight / weight.sum(-1, keepdims=True)) @ v["value"]


def _masked_attention(np, v):
    score = np.einsum("bte,bse->bts", v["query"], v["key"]) / np.sqrt(v["query"].shape[-1])
    weight = np.exp(score) * (np.arange(score.shape[-1]) < v["n"][:, None])[:, None]
    total = weight.sum(-1, keepdims=True)
    return weight / np.where(total > 0, total, 1) @ v["value"]


def _last_real(np, v):
    h, last = np.zeros_like(v["x"][:, 0]), np.zeros_like(v["x"][:, 0])
    for t in range(v["x"].shape[1]):
        h = np.tanh(v["x"][:, t] + h)
        last = np.where((v["n"] == t + 1)[:, None], h, last)
    return last


def _position(np, v):
    t, i = np.arange(v["x"].shape[1])[:, None], np.arange(v["x"].shape[2])
    angle = t / 10000.0 ** (2 * (i // 2) / v["x"].shape[2])
    return v["x"] + np.where(i % 2 == 0, np.sin(angle), np.cos(angle))


def _log_sum_exp(np, v):
    x = v["x"]
    windows = np.stack([x[:, p : x.shape[1] - 1 + p : 2] for p in range(2)])
    return np.log(np.exp(windows).sum(0))


def _range(np, v):
    windows = np.stack([v["x"][:, p : v["x"].shape[1] - 2 + p] for p in range(3)])
    return windows.max(0) - windows.min(0) + windows.mean(0)


VOCABULARIES: dict[str, dict[str, int]] = {
    "embedding": {"x": 65},
    "masked_attention": {"n": 5},
    "last_real": {"n": 5},
    **{name: recurrence.vocabulary for name, recurrence in RECURRENCES.items()},
}
"""Of the inputs that are integers."""
STEPS = 3
"""Of each recurrence."""


def _over_steps(recurrence: Recurrence, steps: int) -> Callable:
    return lambda np, v: recurrence.reference(np, v, steps)


def _squeeze_excite(np, v):
    inner = np.maximum(v["x"].mean((1, 2)) @ v["down"], 0)
    return v["x"] / (1 + np.exp(-(inner @ v["up"])))[:, None, None]


EXAMPLES: dict[str, tuple[Shapes, Callable]] = {
    "locally_connected": (((8, 3),), _locally_connected),
    "bilinear": (((3,), (4,)), lambda np, v: np.einsum("oij,bi,bj->bo", v["weight"], v["x1"], v["x2"])),
    "grouped_convolution": (((8, 6),), _grouped),
    "squared_distance": (((5,),), lambda np, v: ((v["x"][:, None] - v["center"]) ** 2).sum(-1)),
    "log_sum_exp_pooling": (((8, 3),), _log_sum_exp),
    "rms_norm": (
        ((4, 5),),
        lambda np, v: v["gain"] * v["x"] / np.sqrt((v["x"] ** 2).mean(-1, keepdims=True) + 0.001),
    ),
    "spread": (((8, 2),), _range),
    "causal_attention": (((4, 3), (4, 3), (4, 2)), _attention),
    "masked_attention": (((4, 3), (4, 3), (4, 2), ()), _masked_attention),
    "last_real": (((4, 3), ()), _last_real),
    "positional_encoding": (((5, 6),), _position),
    "product_of_experts": (
        ((4,),),
        lambda np, v: (1 / (1 + np.exp(-np.einsum("oki,bi->bok", v["w"], v["x"])))).prod(-1),
    ),
    "top_two": (((5, 2),), lambda np, v: -np.sort(-v["x"], axis=1)[:, :2]),
    "squeeze_excite": (((3, 2, 4),), _squeeze_excite),
    "inverse": (((3, 3),), lambda np, v: np.linalg.inv(v["x"])),
    "determinant": (((4, 4),), lambda np, v: np.linalg.det(v["x"])[:, None]),
    "reversal": (((5, 2),), lambda np, v: v["x"][:, ::-1]),
    "embedding": (((5,),), lambda np, v: v["table"][v["x"]]),
    "centred": (((4, 3),), lambda np, v: v["x"] - v["x"].mean((0, 1))),
    "swish": (((4, 3),), lambda np, v: v["x"] / (1 + np.exp(-v["beta"] * v["x"]))),
    "leaky": (((4, 3),), lambda np, v: np.where(v["x"] > 0, v["x"], 0.1 * v["x"])),
    "gated": (((4,), (4,)), lambda np, v: np.tanh(v["x1"]) / (1 + np.exp(-v["x2"]))),
    **{
        name: (recurrence.shapes(STEPS), _over_steps(recurrence, STEPS))
        for name, recurrence in RECURRENCES.items()
    },
}
