"""How much of each layer's value and derivatives single precision keeps: `chainrule check --numerics`.

A layer is cut out of its model, with short loops where that changes nothing, and its programs are run twice
in the interpreter: as they are compiled (simplified, in stable form), every operation rounded to float32, and
as the formula says it, in extended precision (80 bits on x86, whose exponents reach 10^4932). Its inputs are
rows of one value and rows of random values, from 0 to the end of the range, of both signs.

What is compared: the value, the vector-Jacobian product with a random cotangent, and the derivative of that
along random tangents (a Hessian-vector product). An error is relative to the element's own size, or to a
thousandth of the largest one of its example, or of the cotangent: what sums cancel to, next to others, no
precision keeps. And an element counts only where the right value is certain: where both programs agree in
extended precision. A formula may cancel so much that this too has no digit left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from compiler.derive.jvp import jvp
from compiler.derive.vjp import vjp
from compiler.frontend.lower import LoweredModel
from compiler.ir.affine.domain import sizes
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.interpreter import concrete_shape, run
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.ir.tensor.program import Definition, Program, Tensor
from compiler.ir.tensor.prune import needed_for, part_of
from compiler.simplify.shrink import shrink
from compiler.simplify.simplify import simplify, stabilise

Arrays = Mapping[str, np.ndarray]
MAGNITUDES = (0.0, 1e-4, 0.5, 3.0, 8.0, 15.0, 25.0, 44.0, 60.0, 88.0, 95.0)
"""Where exponentials, their squares and their products reach the ends of float32 from inside, and usual
sizes."""
QUANTITIES = ("value", "VJP", "HVP")
NEGLIGIBLE = 1e-3
ROUNDING = 1e-5
"""Errors above this are said with the input at which they occur: a hundred units in the last place."""
LOOSE = 1e-4
"""Errors above this are named in the verdict too."""
AGREEMENT = 1e-6
BEHIND = " > "
"""Between the names of two layers, the second of which reads the first."""
MOST_POINTS = 2**21
"""Points of one term's domain that are evaluated at once: a tenth of a gigabyte in extended precision."""


@dataclass(frozen=True)
class Worst:
    """The largest error of one quantity of one layer, and the input at which it occurs."""

    error: float
    """Relative; inf where what is found is no finite number though the right one is."""
    tensor: str
    """What is wrong there: the output, or what is differentiated by."""
    found: float
    right: float
    inputs: tuple[float, float]
    """The least and the greatest value among the layer's inputs in that example."""


@dataclass(frozen=True)
class LayerNumerics:
    """The worst of each quantity of one layer; None where nothing has that derivative."""

    layer: str
    worst: Mapping[str, Worst | None]


@dataclass(frozen=True)
class NumericsReport:
    """The worst errors of every layer of a model, over inputs from -reach to reach."""

    model: str
    reach: float
    layers: tuple[LayerNumerics, ...]

    @property
    def passed(self) -> bool:
        """Whether every quantity of every layer is finite wherever the right one is."""
        return all(w is None or np.isfinite(w.error) for row in self.layers for w in row.worst.values())

    def __str__(self) -> str:
        width = max(len("layer"), *(len(row.layer) for row in self.layers))
        lines = [
            f"{self.model}: float32 against extended precision, inputs from {-self.reach:g} to {self.reach:g}"
        ]
        lines += ["", f"{'layer':<{width}}" + "".join(f"  {quantity:>8}" for quantity in QUANTITIES)]
        for row in self.layers:
            cells = ("-" if w is None else f"{w.error:.1e}" for w in row.worst.values())
            lines.append(f"{row.layer:<{width}}" + "".join(f"  {cell:>8}" for cell in cells))
        lines += ["", *self._notable()]
        lines.append(self._verdict())
        return "\n".join(lines)

    def _verdict(self) -> str:
        if not self.passed:
            return "FAILED: not finite"
        loose = [
            f"{row.layer} ({quantity})"
            for row in self.layers
            for quantity, worst in row.worst.items()
            if worst is not None and worst.error > LOOSE
        ]
        finite = "passed: finite wherever the right value is"
        return f"{finite}, but loose, off by more than {LOOSE:g}: {', '.join(loose)}" if loose else finite

    def _notable(self) -> Iterator[str]:
        """A line for each quantity of each layer that is off by more than rounding."""
        for row in self.layers:
            for quantity, worst in row.worst.items():
                if worst is None or worst.error <= ROUNDING:
                    continue
                low, high = worst.inputs
                place = f"inputs of {low:.6g}" if low == high else f"inputs from {low:.6g} to {high:.6g}"
                yield (
                    f"{row.layer}: {quantity} off by {worst.error:.1e} at {place}: {worst.tensor} is "
                    f"{worst.found:.6g}, right is {worst.right:.6g}"
                )


def numerics_report(model: LoweredModel, *, reach: float, seed: int = 0) -> NumericsReport:
    """The report of a model that is not compiled for it. `reach` is positive."""
    return NumericsReport(model.name, reach, tuple(layer_numerics(model, reach=reach, seed=seed)))


def layer_numerics(model: LoweredModel, *, reach: float, seed: int = 0) -> Iterator[LayerNumerics]:
    """Measure each layer of a model, the loss last, over inputs from -reach to reach."""
    training = needed_for(model.training, model.total)
    for origins in (*_origins(training), *_neighbours(training)):
        worst: dict[str, Worst | None] = dict.fromkeys(QUANTITIES)
        for program in _part(training, origins):
            for quantity, found in _measure(program, reach, seed).items():
                old = worst[quantity]
                worst[quantity] = found if old is None or found.error > old.error else old
        yield LayerNumerics(BEHIND.join(origin or model.name for origin in origins), worst)


def _origins(training: Program) -> tuple[tuple[str, ...], ...]:
    """Each layer by itself, in order, the loss last."""
    return tuple((name,) for name in dict.fromkeys(d.origin for d in training.definitions))


def _neighbours(training: Program) -> tuple[tuple[str, ...], ...]:
    """Each layer with one that reads it: what is right apart can be wrong together, and is compiled so."""
    of = {d.name: d.origin for d in training.definitions}
    pairs = ((of[name], d.origin) for d in training.definitions for name in d.tensors if name in of)
    return tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))


def _part(training: Program, origins: tuple[str, ...]) -> Iterator[Program]:
    """The programs of some layers, one for each tensor that others read of the last: what they read is an
    input."""
    own = {d.name: d for d in training.definitions if d.origin in origins}
    elsewhere = {name for d in training.definitions if d.name not in own for name in d.tensors}
    for result in own:
        if own[result].origin != origins[-1]:
            continue
        if result not in elsewhere and result not in training.outputs:
            continue
        given = dict.fromkeys(name for d in own.values() for name in d.tensors if name not in own)
        inputs = tuple(_as_input(training[name]) for name in given)
        yield shrink(part_of(inputs, own.values(), (result,)))


def _as_input(entry: Tensor | Definition) -> Tensor:
    if isinstance(entry, Tensor):
        return entry
    limit = None
    if entry.dtype == "index":
        limit = prod(sizes(entry.terms[0].reduction_axes))
    return Tensor(entry.name, entry.shape, "input", entry.dtype, limit)


def _measure(program: Program, reach: float, seed: int) -> dict[str, Worst]:
    """The worst error of every quantity over all examples, a few at a time."""
    (output,) = program.outputs
    wrt = tuple(t.name for t in program.inputs if t.dtype == "real" and t.kind in ("input", "parameter"))
    pairs: dict[str, tuple[Program, Program, tuple[str, ...]]] = {
        "value": (program, stabilise(program)[0], (output,))
    }
    if wrt:
        pullback, _ = vjp(program, output, wrt, seed="input")
        cotangents = pullback.outputs[-len(wrt) :]
        second, _ = jvp(pullback, wrt, cotangents)
        products = second.outputs[-len(wrt) :]
        pairs["VJP"] = (pullback, simplify(pullback)[0], cotangents)
        pairs["HVP"] = (second, simplify(second)[0], products)
    worst: dict[str, Worst] = {}
    rng = np.random.default_rng(seed + 1)
    for given in _examples(program, reach, seed):
        batch = next((v.shape[0] for n, v in given.items() if has_batch(program.shape(n))), 1)
        for quantity, (plain, compiled, names) in pairs.items():
            # Ones would hide what cancels among them: a softmax's derivatives along ones are all 0.
            seeds = {
                t.name: _single(rng.uniform(0.5, 1.5, concrete_shape(t.shape, batch)))
                for t in plain.inputs
                if t.name not in program
            }
            right = run(plain, {**given, **seeds}, batch=batch, dtype=np.longdouble)
            again = run(compiled, {**given, **seeds}, batch=batch, dtype=np.longdouble)
            found = run(compiled, {**given, **seeds}, batch=batch, dtype=np.float32)
            for name in names:
                batched = has_batch(plain.shape(name))
                judged = _representable(right[name]) & _certain(right[name], again[name])
                if batched and has_batch(plain.shape(output)):
                    # Where the value itself is no float32, nobody asks for its derivative.
                    exists = _representable(right[output]).reshape(batch, -1).all(axis=1)
                    judged &= exists.reshape(-1, *[1] * (judged.ndim - 1))
                floor = 0.0 if quantity == "value" else NEGLIGIBLE
                here = _worst(
                    name, found[name], right[name], judged, batched, floor, _extremes(program, given)
                )
                if here is not None and (quantity not in worst or here.error > worst[quantity].error):
                    worst[quantity] = here
    return worst


def _representable(right: np.ndarray) -> np.ndarray:
    size, single = np.abs(right), np.finfo(np.float32)
    normal = (size >= float(single.tiny)) | (size == 0)
    return np.isfinite(right) & (size <= float(single.max)) & normal


def _certain(right: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Where two ways of computing agree; where one has no finite value, the other is asked alone."""
    with np.errstate(all="ignore"):
        agree = np.abs(again - right) <= AGREEMENT * np.abs(right)
    return agree | ~np.isfinite(again)


def _extremes(program: Program, given: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each example's inputs."""
    names = [t.name for t in program.inputs if t.kind == "input" and t.dtype == "real" and has_batch(t.shape)]
    if not names:
        return np.zeros(1), np.zeros(1)
    rows = np.concatenate([given[name].reshape(given[name].shape[0], -1) for name in names], axis=1)
    return rows.min(axis=1), rows.max(axis=1)


def _examples(program: Program, reach: float, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Inputs of as many examples as memory allows at once, parameters and states the same for all."""
    rng = np.random.default_rng(seed)
    rows = [sign * m for m in MAGNITUDES if m < reach for sign in (1, -1)] + [reach, -reach]
    spread = [True] * len(rows) + [False] * len(rows)
    sizes = np.array(rows + rows)
    kept = {t.name: _parameter(rng, t) for t in program.inputs if t.kind in ("parameter", "state")}
    whole = {t.name: _rows(rng, t, sizes, np.array(spread)) for t in program.inputs if _is_drawn(t)}
    batched = [t.name for t in program.inputs if t.name in whole and has_batch(t.shape)]
    # A loss is one number for all examples: each is judged by itself.
    together = has_batch(program.shape(*program.outputs))
    step = max(1, MOST_POINTS // max(1, _points(program))) if together else 1
    for start in range(0, len(sizes) if batched else 1, step):
        part = {n: v[start : start + step] if n in batched else v for n, v in whole.items()}
        yield {**kept, **part}


def _is_drawn(tensor: Tensor) -> bool:
    return tensor.kind not in ("parameter", "state", "random", "iota", *SCALAR_KINDS)


def _parameter(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    """A parameter is near 0 as most start, a state (a running mean or variance) near 1. In float32."""
    size = concrete_shape(tensor.shape, 1)
    values = rng.normal(0, 0.5, size) if tensor.kind == "parameter" else rng.uniform(0.5, 1.5, size)
    return _single(values)


def _single(values: np.ndarray) -> np.ndarray:
    """Values that both precisions start from."""
    return values.astype(np.float32).astype(np.float64)


def _rows(rng: np.random.Generator, tensor: Tensor, sizes: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """A row for each size: all elements of it, or random ones up to it; integers below their limit."""
    shape = concrete_shape(tensor.shape, len(sizes))
    if tensor.dtype == "index":
        return rng.integers(0, tensor.limit or 1, shape)
    if not has_batch(tensor.shape):
        return _single(rng.uniform(-1, 1, shape))
    places = [slice(None) if extent is None else None for extent in tensor.shape]
    factor = np.where(spread[tuple(places)], rng.uniform(-1, 1, shape), 1.0)
    return _single(sizes[tuple(places)] * factor)


def _points(program: Program) -> int:
    """Points of the largest term's domain for one example."""
    domains = [[a.extent or 1 for a in t.axes] for d in program.definitions for t in d.terms]
    return max((int(np.prod(domain, dtype=np.int64)) for domain in domains), default=1)


def _worst(
    name: str,
    found: np.ndarray,
    right: np.ndarray,
    judged: np.ndarray,
    batched: bool,
    floor: float,
    extremes: tuple[np.ndarray, np.ndarray],
) -> Worst | None:
    """Where `found` is furthest from `right` among the elements that are judged; None where none is."""
    if not judged.any():
        return None
    size = np.where(judged, np.abs(right), 0)
    largest = np.max(size, axis=tuple(range(1, right.ndim)) if batched else None, keepdims=True)
    scale = np.maximum(np.maximum(size, NEGLIGIBLE * largest), floor)
    with np.errstate(all="ignore"):
        error = np.abs(found.astype(right.dtype) - right) / np.where(scale == 0, 1, scale)
    error = np.where(judged, np.where(np.isfinite(found), error, np.inf), -1)
    at = np.unravel_index(int(np.argmax(error)), error.shape)
    example = at[0] if batched and len(extremes[0]) > 1 else slice(None)
    inputs = float(np.min(extremes[0][example])), float(np.max(extremes[1][example]))
    return Worst(float(error[at]), name, float(found[at]), float(right[at]), inputs)
