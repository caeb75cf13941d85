"""What `benchmarks.trained` puts around a training: forms of data, the table, what counts as reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import trained
from benchmarks.taking_turns import take_turns
from benchmarks.trained import TASKS, Goal, Row, main, render
from benchmarks.trained_data import (
    DIGITS,
    NEAR,
    SMALLEST_CONTRAST,
    SPOTS,
    by_rows,
    coloured,
    described,
    entropies,
    in_colour,
    load_images,
    on_a_ring,
    on_a_rod,
    read_text,
    reconstructed,
    text_files,
)
from benchmarks.trained_measures import Measured, accuracy, bits, error_of_mean, miss, spread
from runtime.data import Arrays
from runtime.data.text import VOCABULARY, decode

ROOT = Path(__file__).resolve().parents[2]


def some_images(count: int = 6) -> Arrays:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 28, 28, 1)).astype(np.uint8)
    y = (np.arange(count) % 10).astype(np.uint8)
    return described("noise", x[:-2], y[:-2], x[-2:], y[-2:])


def row(value: float, goal: float, measure=accuracy) -> Row:
    return Row("mlp", 101_770, "noise", Goal(3, goal), measure, Measured(value, f"{value:g} found"), 12.4)


def test_every_model_has_a_task() -> None:
    trained_models = [name for task in TASKS for name in (task, *TASKS[task].others)]
    assert sorted(trained_models) == sorted(path.stem for path in (ROOT / "models").glob("*.py"))


@pytest.mark.parametrize(
    ("measure", "good", "bad"), [(accuracy, 97.5, 96.9), (error_of_mean, 96.0, 97.1), (bits, 97.0, 98.0)]
)
def test_a_result_is_reached_from_its_own_side(measure, good: float, bad: float) -> None:
    assert row(good, 97, measure).reached
    assert not row(bad, 97, measure).reached
    assert not row(float("nan"), 97, measure).reached


def test_the_table_says_what_was_not_reached() -> None:
    lines = render([row(98.25, 97), row(90.5, 97)]).splitlines()
    assert lines[2] == "| mlp | 101,770 | noise | 3 | 98.25 found | at least 97 % | reached | 12 |"
    assert lines[3] == "| mlp | 101,770 | noise | 3 | 90.5 found | at least 97 % | NOT REACHED | 12 |"
    assert len({line.count("|") for line in lines}) == 1


def test_model_files_are_listed(capsys: pytest.CaptureFixture) -> None:
    assert main(["--models", "lstm,mlp", "--list-models"]) == 0
    assert capsys.readouterr().out.split() == ["models/lstm.py", "models/mlp.py"]


def test_what_is_trained_together_is_compiled_together(capsys: pytest.CaptureFixture) -> None:
    assert main(["--models", "gan", "--list-models"]) == 0
    found = capsys.readouterr().out.splitlines()
    assert found == ["models/gan.py --modes pullback", "models/gan_discriminator.py"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--models", "lstn"], "unknown: lstn; known: mlp"), (["--models", "lstm", "--write"], "all models")],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_model_that_is_not_compiled() -> None:
    with pytest.raises(SystemExit, match=r"chainrule compile models/nothing\.py"):
        trained.find_module("nothing")


def test_without_mnist_the_digits_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    kind, images = load_images()
    assert kind == DIGITS
    assert images.source == "embedded digits, 1,497 for training and 300 for testing"
    assert (len(images.x_train), len(images.x_test)) == (1497, 300)


def test_digits_in_the_forms_of_the_models() -> None:
    images = some_images()
    own = reconstructed(images)
    np.testing.assert_array_equal(own.y_test, images.x_test / np.float32(255))
    rows = by_rows(images)
    assert (rows.x_train.shape, rows.x_test.shape, rows.x_train.dtype) == ((4, 8, 8), (2, 8, 8), np.uint8)
    # The first of its four rows and columns that are not the edge are the image's first two.
    assert rows.x_train[0, 0, 0] == round(images.x_train[0, :2, :2].sum() / 16)
    colours = in_colour(images)
    assert (colours.x_train.shape, colours.x_test.dtype) == ((4, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(colours.y_test, images.y_test)
    np.testing.assert_array_equal(colours.x_train, in_colour(images).x_train)


def test_a_coloured_digit_is_where_its_ink_is() -> None:
    bars = np.zeros((40, 28, 28, 1), np.uint8)
    bars[:, 3:9, 5:8] = 255
    x = coloured(bars, np.random.default_rng(1)).astype(int)
    places = set()
    for image in x:
        ground = image[0, 0]
        ink = (image != ground).any(axis=-1)
        assert ink.sum() == 18
        top, left = np.argwhere(ink)[0] - (3, 5)
        assert ink[top + 3 : top + 9, left + 5 : left + 8].all()
        assert (np.abs(image[ink] - ground) >= SMALLEST_CONTRAST).all()
        places.add((top, left))
    assert len(places) > 10 and {place for both in places for place in both} == set(range(5))


def test_text_is_split_within_each_file(tmp_path: Path) -> None:
    for name, text in {
        "docs/a.md": "ab" * 100,
        "compiler/ir/b.py": "xy" * 100,
        "docs/models.md": "?",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [file.name for file in text_files(tmp_path)] == ["b.py", "a.md"]
    data = read_text(tmp_path, 8)
    assert decode(data.x_train[0]) == "xyxyxyxy" and decode(data.y_train[0]) == "yxyxyxyx"
    # 180 characters of each, windows of 9 at every fourth; 20 of each, windows that share no prediction.
    assert (len(data.x_train), len(data.x_test)) == (2 * 43, 2 * 2)
    assert "360 characters and 40 for testing" in data.source


def test_entropies_are_those_of_the_counts() -> None:
    x = np.tile(np.array([[0, 1, 2, 3]], np.int32), (50_000, 1))
    data = Arrays(x, np.roll(x, -1, axis=1), x[:1], np.roll(x[:1], -1, axis=1), "")
    alone, after = entropies(data)
    assert alone == pytest.approx(2, abs=0.01)
    assert 0 < after < 0.01 + VOCABULARY / 50_000 * 2


class Answering:
    """A network of one shape of inputs that answers as it is told."""

    def __init__(self, input_shape: tuple[int, ...], answer=None):
        self.input_shape, self.answer = input_shape, answer

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.answer(x)


def test_points_of_half_of_the_spots_are_half_of_the_result() -> None:
    data = on_a_ring(Answering((8,)))
    nearest = np.linalg.norm(data.x_train[:, None] - SPOTS, axis=-1)
    assert (np.bincount(nearest.argmin(axis=1)) == len(data.x_train) // 8).all()
    assert (nearest.min(axis=1) > NEAR).mean() < 1e-3
    answers = {
        100: lambda x: SPOTS[np.arange(len(x)) % 8],
        50: lambda x: SPOTS[np.arange(len(x)) % 4],
        25: lambda x: SPOTS[np.arange(len(x)) % 2 * 4] * (1 - 0.9 * NEAR),
        0: lambda x: 0 * SPOTS[np.arange(len(x)) % 8],
    }
    for share, answer in answers.items():
        assert spread(Answering((8,), answer), None, data).value == pytest.approx(share, abs=0.1)


def test_the_temperature_of_a_rod_keeps_its_law() -> None:
    data = on_a_rod(Answering((2,)))
    assert (data.x_train.shape, data.y_train) == ((20_000, 2), None)
    right = data.y_test.reshape(101, 101)
    np.testing.assert_allclose(right[:, [0, -1]], 0, atol=1e-6)
    by_time = np.gradient(right, 0.01, axis=0)
    twice = np.gradient(np.gradient(right, 0.01, axis=1), 0.01, axis=1)
    assert np.abs(by_time - 0.1 * twice)[2:-2, 2:-2].max() < 2e-3
    assert miss(Answering((2,), lambda x: data.y_test + 0.25 * (x[:, :1] > 0.99)), None, data).value == 0.25


class Maker:
    """A generator of one number a point, noise and a shift that is its parameter."""

    seed, learning_rate = 0, 0.1

    def __init__(self) -> None:
        self.shift = 0.0

    def predict(self, noise: np.ndarray) -> np.ndarray:
        return noise + np.float32(self.shift)

    def vjp(self, noise: np.ndarray, cotangent: np.ndarray) -> tuple:
        return self.predict(noise), {"shift": cotangent.sum()}

    def apply_gradients(self, gradients: dict) -> None:
        self.shift -= self.learning_rate * gradients["shift"]


class Judge:
    """Takes what is close to the real mean that it has last seen for real."""

    learning_rate = 0.1

    def __init__(self) -> None:
        self.mean, self.rates = 0.0, []

    def train_step(self, x: np.ndarray, y: np.ndarray) -> float:
        assert x.shape == (16, 1) and y.ravel().tolist() == [1] * 8 + [0] * 8
        self.mean = x[:8].mean()
        self.rates.append(self.learning_rate)
        return 0.0

    def value_and_grad(self, x: np.ndarray, y: np.ndarray, inputs: bool) -> tuple:
        assert inputs and (y == 1).all()
        apart = x.mean() - self.mean
        return apart**2, {"input": np.full(x.shape, 2 * apart / len(x))}


def test_a_generator_learns_from_what_the_other_says_of_its_points() -> None:
    maker, judge = Maker(), Judge()
    real = np.random.default_rng(1).normal(3, 0.1, (20, 1)).astype(np.float32)
    take_turns(maker, judge, real, (1,), epochs=50, batch_size=8)
    assert maker.shift == pytest.approx(3, abs=0.4)
    # Two whole batches an epoch, at rates that fall to nothing.
    np.testing.assert_allclose(judge.rates, np.repeat(0.1 * (1 - np.arange(50) / 50), 2))
