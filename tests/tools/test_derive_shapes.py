"""Nobody says how large the tensors of `chainrule derive` are: every read of a formula is inside of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from compiler.errors import ModelError
from compiler.language.formula.infer import infer_shapes
from compiler.tools.derive import sizes as sizing
from compiler.tools.derive.problem import question


@pytest.mark.parametrize(
    ("formula", "sizes", "shapes", "result"),
    [
        ("y[t] = x[t+1] - x[t]", {}, {"x": (4,)}, (3,)),
        ("y[t] = x[t] - x[t+1]", {}, {"x": (4,)}, (3,)),
        ("y[t] = x[t+1] - x[t]", {"t": 5}, {"x": (6,)}, (5,)),
        ("y[b, t] = pad(x, 0)[b, t-1]*k + x[b, t]", {}, {"x": (None, 3), "k": ()}, (None, 3)),
        ("y[b, t] = pad(x, 0)[b, t-1]*k + x[b, t]", {"t": 5}, {"x": (None, 5), "k": ()}, (None, 5)),
        ("y[t] = pad(x, 0)[t+1] + x[t]", {"t": 5}, {"x": (5,)}, (5,)),
        ("y[i, j] = x[i+1, j] + x[i, j+2]", {"i": 2, "j": 3}, {"x": (3, 5)}, (2, 3)),
        ("y[t] = x[2*t] + x[t]", {"t": 4}, {"x": (7,)}, (4,)),
        ("y[t] = sum[k](x[t+k]*w[k])", {"t": 5}, {"x": (7,), "w": (3,)}, (5,)),
        ("y[t] = sum[k](x[t+k]*w[k]) + x[t+6]", {"t": 5, "k": 2}, {"x": (11,), "w": (2,)}, (5,)),
        ("y[t] = (x[t-1] if t >= 1 else 0) + x[t]", {"t": 5}, {"x": (5,)}, (5,)),
        ("y[t] = x[t+1] if t < 2 else x[t]", {"t": 5}, {"x": (5,)}, (5,)),
        ("y[t] = x[t] if t >= 1 else x[t+5]", {"t": 3}, {"x": (6,)}, (3,)),
        ("y[t] = x[t] + (x[t+1] if z[t] > 0 else 0)", {"t": 3}, {"x": (4,), "z": (3,)}, (3,)),
        (
            "s[b, i] = tanh(x[b, i]); y[b, h] = s[b, 2*h]*v[h]",
            {"i": 5},
            {"x": (None, 5), "v": (3,)},
            (None, 3),
        ),
    ],
)
def test_shapes_hold_every_read(formula: str, sizes: dict, shapes: dict, result: tuple) -> None:
    """Sizes that nobody gave were made for the first read alone, and the others refused."""
    program = question(formula, sizes=sizes).program
    assert {t.name: t.shape for t in program.inputs if t.kind == "input"} == shapes
    assert program.shape("y") == result


@pytest.mark.parametrize("seed", range(12))
def test_windows_of_random_shifts_are_inside(seed: int) -> None:
    """The size that the farthest read needs, whatever the order, in two dimensions and under strides."""
    rng = np.random.default_rng(seed)
    sizes = {"i": int(rng.integers(1, 6)), "j": int(rng.integers(1, 6)), "k": int(rng.integers(1, 4))}
    reads, needed = [], [0, 0]
    for _ in range(rng.integers(1, 5)):
        strides, shifts = rng.integers(1, 4, 2), rng.integers(0, 5, 2)
        window = int(rng.integers(0, 2))
        indices = [f"{s}*{a} + {d}" for s, a, d in zip(strides, "ij", shifts, strict=True)]
        last = [s * (sizes[a] - 1) + d for s, a, d in zip(strides, "ij", shifts, strict=True)]
        read = f"x[{indices[0]}, {indices[1]}]"
        if window:
            read = f"sum[k](x[{indices[0]} + k, {indices[1]}]*w[k])"
            last[0] += sizes["k"] - 1
        reads.append(read)
        needed = [max(old, int(new) + 1) for old, new in zip(needed, last, strict=True)]
    formula = f"y[i, j] = {' + '.join(reads)}"
    given = sizes if "w[k]" in formula else {a: sizes[a] for a in "ij"}
    program = question(formula, sizes=given).program
    assert program.shape("x") == tuple(needed)
    assert program.shape("y") == (sizes["i"], sizes["j"])


def test_a_difference_is_derived() -> None:
    derived = chainrule.derive("y[t] = x[t+1] - x[t]", modes="vjp,jvp")
    assert derived.check().passed
    names: dict = {}
    exec(derived.numpy, names)
    np.testing.assert_array_equal(names["forward"](np.array([1.0, 4.0, 9.0, 16.0])), [3, 5, 7])
    np.testing.assert_array_equal(names["vjp"](np.zeros(4), np.array([1.0, 10.0, 100.0])), [-1, -9, -90, 100])


def test_a_read_below_0_is_refused_with_a_choice() -> None:
    """A smaller extent, which was advised, does not keep it from there."""
    with pytest.raises(ModelError) as raised:
        question("y[t] = x[t-1]", sizes={"t": 5})
    (problem,) = raised.value.problems
    assert problem.found == "-1 to 3"
    assert problem.advice == "pad(x, 0)[…], or a choice: … if t-1 >= 0 else 0"
    for formula in ("y[t] = pad(x, 0)[t-1]", "y[t] = x[t-1] if t-1 >= 0 else 0"):
        assert question(formula, sizes={"t": 5}).program.shape("y") == (5,)


def test_shapes_are_inferred_again_only_where_a_size_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read of an axis had them inferred once more, though nothing new was known."""
    asked: list[int] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        asked.append(1)
        return infer_shapes(*arguments, **named)

    monkeypatch.setattr(sizing, "infer_shapes", counted)
    question("y[i, j] = x[i, j]*x[i, j]*x[i, j]*z[i, j] + x[i, j]/z[i, j]")
    assert len(asked) <= 3
