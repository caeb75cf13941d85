"""Recurrences as formulas: values and derivatives against JAX for several lengths; what has no order."""

from __future__ import annotations

import pytest

from compiler.errors import ModelError
from compiler.ir.tensor.circles import circles
from compiler.ir.tensor.program import Program
from compiler.ir.tensor.verify import verify
from compiler.language.layers import Formula
from compiler.simplify.simplify import simplify
from tests.derive.cases import Case, interpret, layer_program
from tests.derive.rungs import Finding, errors_by_mode
from tests.language.formulas.recurrences import RECURRENCES
from tests.language.formulas.test_documentation import LAYERS

every_recurrence = pytest.mark.parametrize("name", RECURRENCES)


def case_of(name: str, steps: int) -> Case:
    recurrence = RECURRENCES[name]
    return recurrence.case(name, LAYERS[name], max(steps, recurrence.least))


def simplified(program: Program) -> Program:
    verify(program)
    program, _ = simplify(program, strict=True)
    verify(program)
    return program


def worst(found: dict[str, Finding]) -> float:
    return max(finding.error for finding in found.values())


@pytest.mark.parametrize(
    "name", ["cumulative_product", "sum_of_the_rest", "viterbi", "recurrent_network", "online_log_sum_exp"]
)
def test_simplified_derivatives_of_some_are_those_of_jax(name: str, jax) -> None:
    """VJP, JVP and HVP; the first two of all of them are looked at where the page is."""
    found = errors_by_mode(case_of(name, 2), interpret, jax, prepare=simplified)
    assert worst(found) < 1e-12, found


@pytest.mark.long
@pytest.mark.parametrize("steps", [1, 2, 5])
@every_recurrence
def test_simplified_derivatives_are_those_of_jax(name: str, steps: int, jax) -> None:
    case = case_of(name, steps)
    for prepare in (lambda program: program, simplified):
        found = errors_by_mode(case, interpret, jax, prepare=prepare)
        assert worst(found) < 1e-9, found


def program_of(formula: str, *shapes: tuple[int, ...], **options) -> Program:
    return layer_program(Formula(formula, **options), *shapes)


def test_the_steps_of_several_equations() -> None:
    """A stage may read one that is defined later, and what stands between them may be in no circle."""
    program = program_of(
        """
        gate[b, t, u] = 1 / (1 + exp(-x[b, t, u] - (h[b, t - 1, u] if t >= 1 else 0)))
        twice[b, t, u] = 2 * x[b, t, u]
        late[b, t, u] = gate[b, t, u] + 1
        h[b, t, u] = gate[b, t, u] * twice[b, t, u]
        y[b, t, u] = h[b, t, u] * late[b, t, u]
        """,
        (4, 3),
    )
    (circle,) = circles(program)
    assert circle.body == ("gate", "h")
    assert [d.name for d in program.definitions] == ["twice", "gate", "h", "late", "y"]


def test_a_reduction_behind_a_choice_is_computed_where_it_is_chosen() -> None:
    program = program_of("y[b, t, s] = (max[r](y[b, t - 1, r]) if t >= 1 else 0) + x[b, t, s]", (4, 3))
    verify(program)
    maximum = next(d for d in program.definitions if d.operation == "max")
    assert [str(guard) for guard in maximum.terms[0].guards] == ["t - 1 >= 0"]


def test_of_one_step_nothing_is_carried() -> None:
    program = program_of("y[b, t, c] = x[b, t, c] + (y[b, t - 1, c] if t >= 1 else 0)", (1, 3))
    assert not program.circle_of


@pytest.mark.parametrize(
    ("formula", "culprit"),
    [
        ("y[b, t, c] = x[b, t, c] + y[b, t, c]", "y[b, t, c]"),
        (
            "y[b, t, c] = x[b, t, c] + (y[b, t - 1, c] if t >= 1 else 0) + (y[b, t + 1, c] if t < 3 else 0)",
            "y[b, t + 1, c]",
        ),
        ("s[b, t] = sum[c](y[b, t, c]); y[b, t, c] = x[b, t, c] - s[b, t]", "y[b, t, c]"),
        ("y[b, t, c] = x[b, t, c] + sum[s](y[b, s, c])", "y[b, s, c]"),
    ],
)
def test_what_has_no_order_is_an_error_at_the_read(formula: str, culprit: str) -> None:
    with pytest.raises(ModelError, match="no order of steps") as error:
        program_of(formula, (4, 3))
    message = str(error.value)
    assert "does not go back" in message
    _, text, carets, *_ = message.splitlines()
    assert culprit in text[carets.index("^") - 1 : carets.rindex("^") + 2]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            "m[t, c] = mean[b](y[b, t - 1, c]) if t >= 1 else 0; y[b, t, c] = x[b, t, c] - m[t, c]",
            "through a sum over the batch",
        ),
        ("y[b, t, c] = x[b, t, c] + y[b, t - 1, c]", "can leave y"),
        ("h[b, t, c] = z[b, t, c]; z[b, t, c] = x[b, t, c]; y[b, t, c] = h[b, t, c]", "no tensor z"),
        ("h[t, c] = h[t - 1, c] if t >= 1 else 0; y[b, c] = x[b, 0, c] + h[0, c]", "how far t goes"),
    ],
)
def test_other_mistakes(formula: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        program_of(formula, (4, 3))


PLACES = {
    "bare": "y[b, t, c] = x[b, t, c] + {}",
    "a factor of a sum": "y[b, t, c] += x[b, t, k] * {}",
    "a choice": "y[b, t, c] = {} if t >= 1 else x[b, t, c]",
    "a condition": "y[b, t, c] = x[b, t, c] if {} > 0 else 0",
    "a sum": "y[b, t, c] = x[b, t, c] + sum[k: 2]({})",
    "a max": "y[b, t, c] = max[k: 2](x[b, t, c] * {})",
    "a product": "y[b, t, c] = x[b, t, c] * prod[k: 2]({})",
    "a second term": "y[b, t, c] += x[b, t, c]; y[b, t, c] += {}",
    "two statements": "y[b, t, c] = x[b, t, c] + pad(z, 0)[b, t - 1, c]; z[b, t, c] = {}",
    "two statements, the reader first": "z[b, t, c] = {}; y[b, t, c] = x[b, t, c] + pad(z, 0)[b, t - 1, c]",
    "after the circle": "y[b, t, c] = x[b, t, c] + pad(y, 0)[b, t - 1, c]; z[b, t, c] = {}",
}


@pytest.mark.parametrize("read", ["y", "pad(y, 0)"])
@pytest.mark.parametrize("indices", ["b", "b, t - 1", "b, t", "b, t - 1, c, 0", "b, t, c, c"])
@pytest.mark.parametrize("place", PLACES)
def test_a_wrong_number_of_indices(place: str, indices: str, read: str) -> None:
    """Wherever a tensor reads itself, the error points at the read."""
    culprit = f"{read}[{indices}]"
    with pytest.raises(ModelError, match="y has the wrong number of indices") as error:
        program_of(PLACES[place].format(culprit), (4, 3))
    _, text, carets, expected, found = str(error.value).splitlines()
    assert culprit in text[carets.index("^") - 1 : carets.rindex("^") + 2]
    assert "3" in expected
    assert found.split() == ["found:", str(indices.count(",") + 1)]


def test_left_sides_of_several_ranks() -> None:
    with pytest.raises(ModelError, match="y has the wrong number of indices"):
        program_of("y[b, t] += x[b, t]; y[b] += pad(y, 0)[b, t - 1]", (4,))


@pytest.mark.parametrize(
    "read",
    [
        "pad(m, 0)[b, t - 1, c]",
        "(m[b, t - 1, c] if t >= 1 else 0)",
        "pad(m, 0)[b, t + 1, c]",
        "sum[s: 2](m[b, s, c])",
        "m[b, 0, c]",
    ],
)
def test_what_reads_a_circle_says_nothing_of_its_size(read: str) -> None:
    """It may need a part alone: how large the tensor is stands on its left side."""
    circle = "m[b, t, c] = x[b, t, c] + pad(m, 0)[b, t - 1, c]"
    program = program_of(f"{circle}; y[b, t, c] = x[b, t, c] * {read}", (4, 3))
    assert [d.shape for d in program.definitions if d.name.endswith("m")] == [(None, 4, 3)]
    assert program.shape("y") == (None, 4, 3)
