"""A tensor, a stage or an axis may have any name that an emitted text uses for something else."""

from __future__ import annotations

import io
import keyword
import math
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from compiler.emit.arrays.backend import BACKENDS
from compiler.emit.arrays.loops import RESERVED
from compiler.language.formula.scope import RESERVED as REFUSED_OF_ALL
from compiler.language.formula.syntax import FUNCTION_NAMES
from compiler.tools.derive.code import cython_text_of, jax_code, numpy_text, torch_code
from compiler.tools.derive.derivation import derive_modes
from compiler.tools.derive.problem import Question, question
from tests.emit.arrays.examples import compiled
from tests.emit.arrays.test_loops import built

FORMULA = """
{s0}[b, {a0}] = tanh({i0}[b, {a0}])·{i1}[{a0}]
{s1}[b] = max[{a1}]({s0}[b, {a1}]·{i2}[{a1}])
{s2}[b, {a2}] = pad({s0}, 0)[b, {a2} - 1]·{i2}[{a2}]·{a2} + {i3}
{s3}[b, {a3}] = {s2}[b, {a3}] + (0.5·{s3}[b, {a3} - 1] if {a3} >= 1 else 0)
y[b] = {s1}[b]/{i3} + sum[{a3}]({s3}[b, {a3}]·{i1}[{a3}])
"""
"""What a text declares is in that of this: a winner's place, a read outside, a loop over steps, a number."""
REFUSED = (*REFUSED_OF_ALL, *FUNCTION_NAMES)
KINDS = ("i", "s", "a")
POSITIONS = [f"{kind}{number}" for number in range(4) for kind in KINDS]
NEUTRAL = {position: f"{position}_neutral" for position in POSITIONS}
VALUES = {
    "i0": np.array([[0.3, -0.7, 0.4], [0.8, 0.5, -0.6]]),
    "i1": np.array([0.9, -0.4, 1.3]),
    "i2": np.array([-1.1, 0.7, 0.2]),
    "i3": 1.7,
}
SEED = np.array([0.6, -1.2])
TURNS = pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.long) for turn in range(1, len(KINDS)))]
)
"""Each word is of one kind, and of the next."""


def asked(names: dict[str, str]) -> Question:
    sizes = {names[f"a{number}"]: 3 for number in range(4)}
    return question(FORMULA.format(**names).strip(), sizes=sizes)


def words(text: str) -> set[str]:
    """The names in a text that are no attribute, and are not the formula's own."""
    found, before = set(), ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and before != ".":
            found.add(token.string)
        before = token.string
    return {w for w in found if "neutral" not in w and not keyword.iskeyword(w)} - {
        "b",
        "y",
        "y_bar",
        *REFUSED,
    }


def renamed(
    text: Callable[[Question], str], reserved: frozenset[str], turn: int
) -> Iterator[tuple[Question, dict]]:
    """Questions in which every word is an input, a stage or an axis, and the place of each."""
    every = sorted(words(text(asked(NEUTRAL))) | reserved - set(REFUSED))
    assert len(every) > 10
    every += [f"other{number}" for number in range(-len(every) % len(POSITIONS))]
    for start in range(0, len(every), len(POSITIONS)):
        some = every[start : start + len(POSITIONS)]
        names = dict(zip(POSITIONS, some[turn:] + some[:turn], strict=True))
        yield asked(names), names


def given(ask: Question, names: dict[str, str]) -> dict[str, Any]:
    """The arguments of a function, in its order."""
    by_name = {names[position]: value for position, value in VALUES.items()}
    return {t.name: by_name[t.name] for t in ask.program.inputs if t.name in by_name}


def in_numpy(ask: Question) -> str:
    return numpy_text(ask, derive_modes(ask, ["vjp"]))


def in_cython(ask: Question) -> str:
    return cython_text_of(ask, derive_modes(ask, ["vjp"]))


@pytest.fixture(scope="module")
def right() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The value, and the cotangent of each input by its position."""
    ask = asked(NEUTRAL)
    functions, arguments = compiled(in_numpy(ask)), given(ask, NEUTRAL)
    found = dict(zip(ask.wrt, functions["vjp"](*arguments.values(), SEED), strict=True))
    return functions["forward"](*arguments.values()), {p: found[NEUTRAL[p]] for p in VALUES}


def compare(right: Any, ask: Question, names: dict[str, str], value: Any, cotangents: Any, text: str) -> None:
    np.testing.assert_allclose(value, right[0], rtol=1e-12, err_msg=text)
    found = dict(zip(ask.wrt, cotangents, strict=True))
    for position, expected in right[1].items():
        np.testing.assert_allclose(found[names[position]], expected, rtol=1e-12, err_msg=text)


@TURNS
def test_names_of_a_text_of_numpy(turn: int, right: Any) -> None:
    for ask, names in renamed(in_numpy, BACKENDS["numpy"].reserved, turn):
        text, arguments = in_numpy(ask), given(ask, names).values()
        functions = compiled(text)
        value, found = functions["forward"](*arguments), functions["vjp"](*arguments, SEED)
        compare(right, ask, names, value, found, text)


@TURNS
def test_names_of_a_text_of_jax(turn: int, right: Any, jax: ModuleType) -> None:
    for ask, names in renamed(jax_code, BACKENDS["jax"].reserved, turn):
        text = jax_code(ask)
        value, pull = jax.vjp(compiled(text)["formula"], *map(jax.numpy.asarray, given(ask, names).values()))
        compare(right, ask, names, value, pull(jax.numpy.asarray(SEED)), text)


@TURNS
def test_names_of_a_text_of_torch(turn: int, right: Any) -> None:
    torch = pytest.importorskip("torch")
    for ask, names in renamed(torch_code, BACKENDS["torch"].reserved, turn):
        text = torch_code(ask)
        tensors = [
            torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in given(ask, names).values()
        ]
        value = compiled(text)["formula"](*tensors)
        value.backward(torch.tensor(SEED))
        compare(right, ask, names, value.detach(), [t.grad for t in tensors], text)


@TURNS
def test_names_of_a_text_of_cython(turn: int, right: Any, tmp_path: Path) -> None:
    every = [(*one, in_cython(one[0])) for one in renamed(in_cython, RESERVED, turn)]
    module = built([text for *_, text in every], tmp_path, "-O0")
    for number, (ask, names, text) in enumerate(every):
        arguments = given(ask, names).values()
        value = getattr(module, f"forward{number}")(*arguments)
        compare(right, ask, names, value, getattr(module, f"vjp{number}")(*arguments, SEED), text)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_a_text_declares_what_is_reserved_alone(name: str) -> None:
    """What a text without a tensor of that name calls something is in the table of its library."""
    texts = {"numpy": in_numpy, "torch": torch_code, "jax": jax_code}
    text = texts[name](asked(NEUTRAL))
    code = text[text.index("def forward" if name == "numpy" else "class " if name == "torch" else "@jax.") :]
    declared = {w for w in words(code) if w.split("_")[0] not in ("check", "formula", "over", "part", "step")}
    functions = {"forward", "backward", "vjp", "Formula", "ctx", "saved", "staticmethod", "defvjp"}
    assert declared - functions - {"axis", "dim"} <= BACKENDS[name].reserved


def test_a_number_of_python_is_one_of_the_library() -> None:
    """Python's own power of a negative number is complex; its division by zero and overflow raise."""
    with np.errstate(all="ignore"):
        for formula, at, expected in (
            ("y = x^(1/3)", -8.0, math.nan),
            ("y = x^(-2)", 0.0, math.inf),
            ("y = 1/x", 0, math.inf),
            ("y = x²", 1e200, math.inf),
            ("y = x^(-2)", 2, 0.25),
        ):
            functions = compiled(in_numpy(question(formula)))
            np.testing.assert_equal(float(functions["forward"](at)), expected, formula)
            assert np.isrealobj(functions["gradient"](at)), formula
    assert "asarray" not in in_numpy(question("y = exp(x)·z"))
