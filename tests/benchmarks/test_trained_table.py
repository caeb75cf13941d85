"""What `benchmarks.trained` puts around a training: forms of data, the table, what counts as reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import trained
from benchmarks.trained import TASKS, Goal, Measured, Row, accuracy, bits, error_of_mean, main, render
from benchmarks.trained_data import (
    DIGITS,
    SMALLEST_CONTRAST,
    by_rows,
    coloured,
    described,
    entropies,
    in_colour,
    load_images,
    read_text,
    reconstructed,
    text_files,
)
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
    assert sorted(TASKS) == sorted(path.stem for path in (ROOT / "models").glob("*.py"))


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
