"""`assert_gradients`: passes, or raises with a report that says what is wrong and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from compiler.tools.testing.frameworks import (
    Differentiable,
    framework_of,
    in_jax,
    in_numpy,
    in_torch,
    parameters_of,
)
from compiler.tools.testing.rungs import measure


def assert_gradients(
    function: Callable[..., Any],
    *inputs: Any,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    wrt: str | Iterable[str] = (),
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
) -> None:
    """Raise AssertionError, with a report, unless derivatives are right.

        assert_gradients(function, x, w)                      PyTorch tensors, or JAX arrays
        assert_gradients(module, x)                           by a module's parameters, too
        assert_gradients(function, x, w, vjp=my_vjp)          NumPy: my_vjp(x, w, y_bar) is (x_bar, w_bar)
        assert_gradients(my_vjp, "y[o] = sum[i](w[i, o]*x[i])")     my_vjp(w, x, y_bar), of a formula

    A function of arrays is measured by finite differences, by Taylor's remainder, and where it has a forward
    mode (`jvp(*inputs, *tangents)`, or JAX's) by the adjoint identity, in float64 at the given point: choose
    one without a kink near by. A derivative of a formula is compared with the one that the rules derive; the
    report then says which index is wrong. It takes what the formula reads, in the order in which it reads
    it, and the cotangent of the result, unless the result is one number. `wrt` and `sizes` are those of
    `chainrule.derive`.

    Raises ValueError for derivatives of a wrong number or shape, ModelError for a formula that cannot be
    read.
    """
    __tracebackhide__ = True
    if len(inputs) == 1 and isinstance(inputs[0], str):
        report = _of_formula(function, inputs[0], wrt, sizes, seed)
    else:
        report = _of_function(function, inputs, vjp, jvp, seed)
    if report:
        raise AssertionError(report)


def _of_function(
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    vjp: Callable[..., Any] | None,
    jvp: Callable[..., Any] | None,
    seed: int,
) -> str:
    names = _names(len(inputs))
    for name, x in zip(names, inputs, strict=True):
        if isinstance(x, dict):
            raise ValueError(f"{name} is a dict: inputs are arrays, one by one")
    arrays = {n: np.array(_plain(x), dtype=np.float64) for n, x in zip(names, inputs, strict=True)}
    arrays |= {n: np.array(_plain(p), dtype=np.float64) for n, p in parameters_of(function).items()}
    differentiable = _differentiable(function, inputs, vjp, jvp)
    measured = tuple(measure(differentiable, tuple(arrays), tuple(arrays.values()), seed))
    if all(row.passed for row in measured):
        return ""
    name = getattr(function, "__name__", type(function).__name__)
    return "\n".join([f"the derivatives of {name} are wrong", *map(str, measured)])


def _differentiable(
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    vjp: Callable[..., Any] | None,
    jvp: Callable[..., Any] | None,
) -> Differentiable:
    framework = framework_of(inputs)
    if vjp is not None:
        return in_numpy(function, vjp, jvp)
    if framework == "numpy":
        raise ValueError("a NumPy function has no derivative of its own: give it, vjp=my_vjp")
    return in_torch(function, len(inputs)) if framework == "torch" else in_jax(function)


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _names(number: int) -> list[str]:
    return ["x"] if number == 1 else [f"x{k}" for k in range(1, number + 1)]


def _of_formula(
    function: Callable[..., Any],
    formula: str,
    wrt: str | Iterable[str],
    sizes: Mapping[str, int] | None,
    seed: int,
) -> str:
    from compiler.tools.derive.problem import question
    from compiler.tools.testing.against_formula import findings

    names = tuple(n.strip() for n in (wrt.split(",") if isinstance(wrt, str) else wrt) if n.strip())
    asked = question(formula, wrt=names, sizes=sizes)
    rows = list(findings(function, asked, seed))
    if not any(wrong for _, wrong, _ in rows):
        return ""
    lines = [f"the derivative of {asked.formula} is wrong"]
    for tensor, wrong, right in rows:
        lines.append(f"    by {tensor}: {wrong or 'right'}")
        if wrong:
            lines += [f"        {line}" for line in right]
    return "\n".join(lines)
