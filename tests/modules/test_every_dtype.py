"""Every dtype in every layout at every door: the bits of the plain array, or an error that says why."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.workshop import import_module

BATCH, ROWS = 6, 9
DTYPES = [
    *np.typecodes["All"].replace("M", "").replace("m", ""),
    "M8[s]",
    "m8[s]",
    [("a", "f4"), ("b", "i4")],
    *([np.dtypes.StringDType()] if hasattr(np.dtypes, "StringDType") else []),
]


class Own(np.ndarray):
    """A subclass that changes nothing."""


def _misaligned(array: np.ndarray) -> np.ndarray:
    room = np.zeros(array.nbytes + 1, np.uint8)[1:]
    if array.dtype.hasobject or array.dtype.char == "T":
        return array
    result = room.view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def _read_only(array: np.ndarray) -> np.ndarray:
    result = array.copy()
    result.flags.writeable = False
    return result


def _masked(array: np.ndarray) -> np.ndarray:
    result = np.ma.masked_array(array)
    result[0] = np.ma.masked
    return result


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "plain": lambda a: a,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "Fortran order": lambda a: np.asfortranarray(a),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "read-only": _read_only,
    "misaligned": _misaligned,
    "one for all": lambda a: np.broadcast_to(a[:1], a.shape),
    "subclass": lambda a: a.view(Own),
    "nothing masked": lambda a: np.ma.masked_array(a),
    "masked": _masked,
    "list of masked": lambda a: list(_masked(a)) if a.ndim > 1 else [np.ma.masked] * len(a),
    "list": lambda a: a.tolist(),
    "list of arrays": lambda a: list(a),
    "memoryview": lambda a: a.data if a.dtype.isnative and a.dtype.char in "bBhHiIlLqQfd?" else a,
    "empty": lambda a: a[:0],
    "no values": lambda a: a[..., :0],
    "an axis more": lambda a: a[None],
    "one of them": lambda a: a[0],
    "zero-dimensional": lambda a: a.reshape(-1)[0],
}


@dataclass(frozen=True)
class Argument:
    """One thing that is given to a call: what it is by the documentation, and plain values of it."""

    name: str
    kinds: str
    """The kinds of dtypes that are taken."""
    values: np.ndarray


def _calls(module: ModuleType, rows: bool) -> dict[str, tuple[tuple[str, ...], Callable[..., Any]]]:
    """Every public method by name: which arguments it has, and the call."""
    real = module.INPUT_KIND == "real"
    calls = {
        "train_step": (("x", "y"), lambda n, a: n.train_step(a["x"], a["y"])),
        "value_and_grad": (("x", "y"), lambda n, a: n.value_and_grad(a["x"], a["y"])),
        "predict": (("x",), lambda n, a: n.predict(a["x"])),
        "evaluate": (("x", "y"), lambda n, a: n.evaluate(a["x"], a["y"])),
        "jvp": (("x", "y", "tangent"), lambda n, a: n.jvp(a["x"], a["y"], {"dense_1.bias": a["tangent"]})),
        "hvp": (("x", "y", "tangent"), lambda n, a: n.hvp(a["x"], a["y"], {"dense_1.bias": a["tangent"]})),
    }
    if real:
        calls |= {
            "input gradient": (("x", "y"), lambda n, a: n.value_and_grad(a["x"], a["y"], inputs=True)),
            "input jvp": (("x", "y", "along"), lambda n, a: n.jvp(a["x"], a["y"], {"input": a["along"]})),
            "input hvp": (("x", "y", "along"), lambda n, a: n.hvp(a["x"], a["y"], {"input": a["along"]})),
        }
    if "per_example" in module.MODES:
        calls["per_example"] = (("x", "y"), lambda n, a: n.per_example_gradients(a["x"], a["y"]))
    if rows:
        calls = {
            "train_step, rows": (
                ("x", "y", "rows"),
                lambda n, a: n.train_step(a["x"], a["y"], rows=a["rows"]),
            ),
            "value_and_grad, rows": (
                ("x", "y", "rows"),
                lambda n, a: n.value_and_grad(a["x"], a["y"], inputs=real, rows=a["rows"]),
            ),
        }
    return calls


def _arguments(module: ModuleType, rng: np.random.Generator, count: int) -> dict[str, Argument]:
    real, classes = module.INPUT_KIND == "real", module.LABEL_KIND == "index"

    def bits(*shape: int) -> np.ndarray:
        return rng.integers(0, 2, shape)

    return {
        "x": Argument("x", "f1" if real else "iu", bits(count, *module.INPUT_SHAPE)),
        "y": Argument("y", "iu" if classes else "fiu", bits(count, *module.LABEL_SHAPE)),
        "rows": Argument("rows", "iu", bits(BATCH)),
        "tangent": Argument("tangents['dense_1.bias']", "fiu", bits(*_bias_shape(module))),
        "along": Argument("tangents['input']", "fiu", bits(count, *module.INPUT_SHAPE)),
    }


def _bias_shape(module: ModuleType) -> tuple[int, ...]:
    return module.Network().parameters["dense_1.bias"].shape


def _made(values: np.ndarray, dtype: Any, layout: str) -> Any:
    """The values as this dtype and layout has them; zeros where a dtype cannot hold numbers."""
    try:
        array = values.astype(dtype)
    except (TypeError, ValueError):
        array = np.zeros(values.shape, dtype)
    try:
        return LAYOUTS[layout](array)
    except (TypeError, ValueError):  # text has no byte order, and some structures no mask
        return array


def _taken(argument: Argument, given: Any, none: bool = False) -> tuple[type[Exception], ...] | np.ndarray:
    """What the documentation says: the errors of which one is raised, or the plain array that is meant.

    With `none`, no example at all is taken too."""
    parts = given if isinstance(given, list) else [given]
    if any(np.ma.is_masked(part) for part in parts if not np.ma.getmaskarray(part).dtype.names):
        return (ValueError,)
    array = np.asarray(given)
    wanted = argument.values.shape
    if array.shape != wanted and not (none and array.shape == (0, *wanted[1:])):
        return (ValueError, TypeError)
    kind = "1" if "1" in argument.kinds and array.dtype == np.uint8 else array.dtype.kind
    if kind not in argument.kinds:
        return (TypeError,)
    plain = np.uint8 if kind == "1" else np.int64 if "f" not in argument.kinds else np.float32
    return np.array(array, dtype=plain, order="C")


def _bits(result: Any) -> Any:
    """Whatever a method returns, to compare."""
    if isinstance(result, dict):
        return {name: array.tobytes() for name, array in result.items()}
    if isinstance(result, tuple):
        return tuple(map(_bits, result))
    return result.tobytes() if isinstance(result, np.ndarray) else result


def _check(module: ModuleType, label: str, call: Callable, given: dict[str, Any], arguments: dict) -> None:
    """One call with these arguments against the same one with plain arrays; the bits of networks included."""
    none = label.startswith("predict")
    taken = {name: _taken(arguments[name], value, none) for name, value in given.items()}
    errors = [kinds for kinds in taken.values() if isinstance(kinds, tuple)]
    ours, theirs = (module.Network(seed=3, threads=1) for _ in range(2))
    before = {name: _snapshot(value) for name, value in given.items()}
    if errors:
        with pytest.raises(tuple({kind for kinds in errors for kind in kinds})) as caught:
            call(ours, given)
        assert any(str(caught.value).startswith(name) for name in _names(given, arguments)), (
            label,
            caught.value,
        )
    else:
        assert _bits(call(ours, given)) == _bits(call(theirs, taken)), label
    assert {name: _snapshot(value) for name, value in given.items()} == before, f"{label}: written to"
    assert _everything(ours) == _everything(theirs), label


def _names(given: dict[str, Any], arguments: dict[str, Argument]) -> list[str]:
    """How a message about one of these may begin."""
    return [f"{arguments[name].name}: " for name in given] + ["x and y: "]


def _snapshot(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value)


def _everything(net: Any) -> Any:
    return net.step, *(_bits(dict(arrays)) for arrays in (net.parameters, net.state, net.optimizer_state))


@pytest.fixture(autouse=True)
def conversions_may_warn() -> Iterator[None]:
    """NumPy does of some that it drops an imaginary part, or that a masked element becomes NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


every_model = pytest.mark.parametrize("name", ["pixels", "letters", "targets"])
with_and_without_rows = pytest.mark.parametrize("rows", [False, True], ids=["batch", "rows"])


def _one_argument(module: ModuleType, rows: bool, layouts: int) -> int:
    """Each argument of each method in turn, of every dtype in some layouts, the others plain; the calls."""
    arguments = _arguments(module, np.random.default_rng(0), ROWS if rows else BATCH)
    cases, turn = 0, cycle(LAYOUTS)
    for method, (names, call) in _calls(module, rows).items():
        plain = {n: _taken(arguments[n], arguments[n].values.astype(_plain(arguments[n]))) for n in names}
        for changed in names:
            for dtype in DTYPES:
                for layout in islice(turn, layouts):
                    given = plain | {changed: _made(arguments[changed].values, dtype, layout)}
                    _check(module, f"{method}({changed}: {dtype}, {layout})", call, given, arguments)
                    cases += 1
    return cases


@every_model
@with_and_without_rows
def test_one_argument_of_every_dtype(name: str, rows: bool, border, record_property) -> None:
    """Each in one layout; they take turns."""
    record_property("random cases", _one_argument(import_module(border(name).module), rows, 1))


@pytest.mark.long
@every_model
@with_and_without_rows
def test_one_argument_of_every_dtype_in_every_layout(name: str, rows: bool, border, record_property) -> None:
    record_property("random cases", _one_argument(import_module(border(name).module), rows, len(LAYOUTS)))


def _plain(argument: Argument) -> type:
    return np.float32 if "f" in argument.kinds else np.int64


def _random_calls(border, count: int) -> None:
    rng = np.random.default_rng(1)
    modules = [import_module(border(name).module) for name in ("pixels", "letters", "targets")]
    for _ in range(count):
        module, rows = modules[rng.integers(3)], bool(rng.integers(2))
        calls = _calls(module, rows)
        method = list(calls)[rng.integers(len(calls))]
        names, call = calls[method]
        arguments = _arguments(module, rng, ROWS if rows else BATCH)
        given, label = {}, method
        for name in names:
            # Mostly something that is taken: a call with three arguments would else always be refused.
            good = rng.random() < 0.8
            dtype = (
                rng.choice(list("efd" if "f" in arguments[name].kinds else "bhilqBHILQ"))
                if good
                else DTYPES[rng.integers(len(DTYPES))]
            )
            layout = rng.choice(list(LAYOUTS)[:9] if good else list(LAYOUTS))
            given[name] = _made(arguments[name].values, dtype, layout)
            label += f", {name}: {dtype}, {layout}"
        _check(module, label, call, given, arguments)


def test_arguments_of_different_kinds_together(border, record_property) -> None:
    _random_calls(border, 200)
    record_property("random cases", 200)


@pytest.mark.long
def test_more_arguments_of_different_kinds_together(border, record_property) -> None:
    _random_calls(border, 10_000)
    record_property("random cases", 10_000)
