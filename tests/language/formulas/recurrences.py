"""Recurrences in JAX: what the examples of the page compute, by name, for any number of steps.

Written as plain loops over the steps, so that each element is computed as the formula says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from compiler.language.layers import Formula
from tests.derive.cases import Case, layer_program

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Recurrence:
    """What an example computes in JAX, of inputs whose shapes depend on the number of steps.

    `sizes` and `constants` say which of the example's depend on it, and how much they are more than it."""

    reference: Callable
    shapes: Callable[[int], Shapes] = lambda steps: ((steps, 3),)
    sizes: dict[str, int] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    vocabulary: dict[str, int] = field(default_factory=dict)
    least: int = 1
    """Of fewer steps nothing comes out: two labels are not said in one."""

    def of(self, example: Formula, steps: int) -> Formula:
        """The example for so many steps."""
        sizes = {name: steps + more for name, more in self.sizes.items()}
        constants = {name: steps + more for name, more in self.constants.items()}
        return replace(
            example, sizes={**example.sizes, **sizes}, constants={**example.constants, **constants}
        )

    def case(self, name: str, example: Formula, steps: int) -> Case:
        """The example over so many steps, differentiated by all real tensors that it is given."""
        layer, shapes = self.of(example, steps), self.shapes(steps)
        described = layer.forward(*shapes)
        names = described.input_names(len(shapes))
        return Case(
            f"{name}, {steps} steps",
            lambda: layer_program(layer, *shapes, vocabulary=self.vocabulary),
            "y",
            (*(n for n in names if n not in self.vocabulary), *described.parameters),
            lambda jax, v: self.reference(jax.numpy, v, steps),
            lambda rng, tensor, shape: rng.normal(scale=0.7, size=shape),
        )


def _scan(np, step, start, rows):
    """The states after each row, stacked as the second axis."""
    states = []
    for row in rows:
        start = step(start, row)
        states.append(start)
    return np.stack(states, axis=1)


def _rows(x):
    return [x[:, t] for t in range(x.shape[1])]


def _log_sum_exp(np, values):
    top = values[0]
    for value in values[1:]:
        top = np.maximum(top, value)
    return top + np.log(sum(np.exp(value - top) for value in values))


def _selective(np, v, steps):
    x = v["x"]
    rate = np.log1p(np.exp(np.einsum("bti,ic->btc", x, v["to_rate"])))
    write = np.einsum("bti,in->btn", x, v["to_write"])
    read = np.einsum("bti,in->btn", x, v["to_read"])
    state, outputs = np.zeros((*x[:, 0].shape, write.shape[-1])), []
    for t in range(x.shape[1]):
        keep = np.exp(-rate[:, t, :, None] * np.exp(v["decay"]))
        state = keep * state + (rate[:, t] * x[:, t])[..., None] * write[:, t, None]
        outputs.append(np.einsum("bn,bcn->bc", read[:, t], state))
    return np.stack(outputs, axis=1)


def _linear_attention(np, v, steps):
    x = v["x"]
    query, key, value = (np.einsum("bti,ie->bte", x, v[name]) for name in ("wq", "wk", "wv"))
    state, outputs = np.zeros((len(x), key.shape[-1], value.shape[-1])), []
    for t in range(x.shape[1]):
        state = state + key[:, t, :, None] * value[:, t, None]
        outputs.append(np.einsum("be,bev->bv", query[:, t], state))
    return np.stack(outputs, axis=1)


def _hidden_markov(np, v, steps):
    from_each = _log_sum_exp_over

    def step(a, emit):
        before = v["start"] if a is None else from_each(np, a[:, :, None] + v["move"], 1)
        return before + emit

    return from_each(np, _scan(np, step, None, _rows(v["x"])), 2)


def _log_sum_exp_over(np, x, axis):
    top = x.max(axis, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis, keepdims=True))).squeeze(axis)


def _viterbi(np, v, steps):
    def step(a, emit):
        before = v["start"] if a is None else (a[:, :, None] + v["move"]).max(1)
        return before + emit

    return _scan(np, step, None, _rows(v["x"])).max(2)


def _grid(np, rows, columns, element):
    """The last element of a table whose elements are made of those above, left and above left."""
    table = {}
    for i in range(rows):
        for j in range(columns):
            table[i, j] = element(table, i, j)
    return table[rows - 1, columns - 1]


def _distances(np, v):
    return ((v["x1"][:, :, None] - v["x2"][:, None]) ** 2).sum(-1)


def _soft_dtw(np, v, steps):
    d = _distances(np, v)

    def element(table, i, j):
        near = [table[p] for p in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if p in table]
        return d[:, i, j] - (_log_sum_exp(np, [-n for n in near]) if near else 0)

    return _grid(np, d.shape[1], d.shape[2], element)[:, None]


def _soft_edit(np, v, steps):
    d, gap = _distances(np, v), v["gap"][0]

    def element(table, i, j):
        up = table.get((i - 1, j), (j + 1) * gap) + gap
        left = table.get((i, j - 1), (i + 1) * gap) + gap
        both = table.get((i - 1, j - 1), (i + j) * gap) + d[:, i, j]
        return -_log_sum_exp(np, [-up, -left, -both])

    return _grid(np, d.shape[1], d.shape[2], element)[:, None]


def _affine_gaps(np, v, steps):
    d, (opened, extended) = _distances(np, v), v["gap"]
    batch, rows, columns = d.shape
    none = np.full(batch, 1e3)
    up, left, r = {}, {}, {}
    for i in range(rows):
        for j in range(columns):
            above, before, corner = (i - 1, j), (i, j - 1), (i - 1, j - 1)
            up[i, j] = -_log_sum_exp(np, [-r[above] - opened, -up[above] - extended]) if i else none
            left[i, j] = -_log_sum_exp(np, [-r[before] - opened, -left[before] - extended]) if j else none
            both = d[:, i, j] + (r[corner] if i and j else (i + j) * extended)
            r[i, j] = -_log_sum_exp(np, [-up[i, j], -left[i, j], -both])
    return r[rows - 1, columns - 1][:, None]


def _ctc(np, v, steps):
    x, target = v["x"], v["target"]
    p = x - _log_sum_exp_over(np, x, 2)[:, :, None]
    labels, none = target.shape[1], -1e9
    rows = range(len(x))
    a = {}
    for t in range(steps):
        for s in range(2 * labels + 1):
            emit = p[:, t, -1] if s % 2 == 0 else np.stack([p[b, t, target[b, s // 2]] for b in rows])
            from_start = 0.0 if s <= 1 else none
            ways = [from_start] if t == 0 else [a[t - 1, s]]
            if t and s:
                ways.append(a[t - 1, s - 1])
            if t and s >= 3 and s % 2:
                jumps = target[:, s // 2] != target[:, s // 2 - 1]
                ways.append(np.where(jumps, a[t - 1, s - 2], none))
            a[t, s] = emit + _log_sum_exp(np, ways)
    return -_log_sum_exp(np, [a[steps - 1, 2 * labels], a[steps - 1, 2 * labels - 1]])[:, None]


def _kalman(np, v, steps):
    f, h = v["f"], v["h"]
    noise = 0.1 * np.eye(len(h))
    mean, spread, means = np.zeros((len(v["x"]), len(h))), None, []
    for t in range(v["x"].shape[1]):
        spread = noise if spread is None else f @ spread @ f.T + noise
        gain = spread @ h / (h @ spread @ h + 1)
        mean = mean @ f.T
        mean = mean + gain * (v["x"][:, t] - mean @ h)[:, None]
        spread = spread - gain[:, None] * (h @ spread)
        means.append(mean)
    return np.stack(means, axis=1)


def _slope(np, w, y):
    return np.tanh(y @ w)


def _euler(np, v, steps):
    return _scan(np, lambda y, _: y + 0.1 * _slope(np, v["w"], y), v["x"], range(steps))


def _runge_kutta(np, v, steps):
    def step(y, _):
        k1 = _slope(np, v["w"], y)
        k2 = _slope(np, v["w"], y + 0.05 * k1)
        k3 = _slope(np, v["w"], y + 0.05 * k2)
        k4 = _slope(np, v["w"], y + 0.1 * k3)
        return y + 0.1 * (k1 + 2 * k2 + 2 * k3 + k4) / 6

    return _scan(np, step, v["x"], range(steps))


def _descent(np, v, steps):
    def step(z, _):
        return z - 0.1 * (z @ v["a"].T - v["x"]) @ v["a"]

    return _scan(np, step, np.zeros((len(v["x"]), v["a"].shape[1])), range(steps))


def _recurrent(np, v, steps):
    start = np.zeros((len(v["x"]), len(v["r"])))
    return _scan(np, lambda h, x: np.tanh(x @ v["w"] + h @ v["r"] + v["bias"]), start, _rows(v["x"]))


def _from_first(step):
    """A scan over the rows of x that begins with the first of them."""

    def reference(np, v, steps):
        return _scan(np, lambda y, x: x if y is None else step(np, y, x), None, _rows(v["x"]))

    return reference


def _two(steps: int) -> Shapes:
    return (steps, 2), (3, 2)


def _start(steps: int) -> Shapes:
    return ((3,),)


RECURRENCES: dict[str, Recurrence] = {
    "cumulative_sum": Recurrence(lambda np, v, steps: np.cumsum(v["x"], axis=1)),
    "sum_of_the_rest": Recurrence(
        lambda np, v, steps: np.cumsum(v["x"][:, ::-1], axis=1)[:, ::-1],
    ),
    "cumulative_product": Recurrence(_from_first(lambda np, y, x: x * y)),
    "cumulative_max": Recurrence(_from_first(lambda np, y, x: np.maximum(x, y))),
    "cumulative_log_sum_exp": Recurrence(_from_first(lambda np, y, x: np.logaddexp(x, y))),
    "online_log_sum_exp": Recurrence(_from_first(lambda np, y, x: np.logaddexp(x, y))),
    "moving_average": Recurrence(_from_first(lambda np, y, x: 0.1 * x + 0.9 * y)),
    "recurrent_network": Recurrence(_recurrent),
    "linear_attention": Recurrence(_linear_attention),
    "selective_state_space": Recurrence(_selective),
    "hidden_markov": Recurrence(_hidden_markov),
    "viterbi": Recurrence(_viterbi),
    "ctc": Recurrence(
        _ctc, lambda steps: ((steps, 4), (2,)), constants={"last": -1}, vocabulary={"target": 3}, least=2
    ),
    "soft_dtw": Recurrence(_soft_dtw, _two, constants={"last": -1}),
    "edit_distance": Recurrence(_soft_edit, _two, constants={"last": -1}),
    "affine_gaps": Recurrence(_affine_gaps, _two, constants={"last": -1}),
    "kalman": Recurrence(_kalman, lambda steps: ((steps,),), {"t": 0}),
    "euler": Recurrence(_euler, _start, {"t": 0}),
    "runge_kutta": Recurrence(_runge_kutta, _start, {"t": 0}),
    "gradient_descent": Recurrence(_descent, _start, {"t": 0}),
}
