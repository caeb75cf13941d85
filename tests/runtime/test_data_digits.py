"""The embedded digits, the order of samples, and arrays from .npz files."""

import hashlib
import io
import zipfile

import numpy as np
import pytest

from runtime.data.arrays import load_arrays
from runtime.data.digits import FOLDER, load_digits, scale_up
from runtime.data.idx import read_idx
from runtime.errors import DataError
from runtime.shuffle import permutation


def test_the_embedded_files_are_those_of_the_readme():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, dimensions in (("digits-images-idx3-ubyte.gz", 3), ("digits-labels-idx1-ubyte.gz", 1)):
        assert read_idx(FOLDER / name, dimensions).sha256 in text
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 60_000


def test_digits_are_always_the_same():
    images, labels = load_digits()
    assert images.shape == (1797, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (1797,) and labels.dtype == np.uint8
    assert images.max() == 255 and images.min() == 0
    assert np.bincount(labels[-300:]).min() >= 20, "all digits are in the test part"
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "d7da230e7412cfd403019c8c127e83f5e9a3818ad95a898543a4d643bdfd3ba9"


def test_scaling_is_bilinear():
    random = np.random.default_rng(0)
    small = random.integers(0, 17, (3, 8, 8)).astype(np.uint8)
    position = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    rows = np.stack([[np.interp(position, np.arange(8), row) for row in image] for image in small])
    both = np.stack([[np.interp(position, np.arange(8), column) for column in image.T] for image in rows])
    np.testing.assert_allclose(scale_up(small, 28), both.transpose(0, 2, 1) * 255 / 16, atol=0.501)
    assert (scale_up(np.full((1, 8, 8), 16, np.uint8), 28) == 255).all()


def test_permutation_is_a_function_of_seed_and_epoch():
    order = permutation(1000, seed=3, epoch=2)
    assert sorted(order.tolist()) == list(range(1000))
    np.testing.assert_array_equal(order, permutation(1000, seed=3, epoch=2))
    assert (order != permutation(1000, seed=3, epoch=3)).mean() > 0.9
    assert (order != permutation(1000, seed=4, epoch=2)).mean() > 0.9
    assert permutation(8, seed=0, epoch=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert permutation(0, seed=0, epoch=0).size == 0
    assert permutation(3, seed=-1, epoch=2**70).size == 3


ARRAYS = {
    "x_train": np.zeros((4, 3), np.float32),
    "y_train": np.zeros(4, np.int64),
    "x_test": np.zeros((2, 3), np.float32),
    "y_test": np.zeros(2, np.int64),
}


def save(path, **changes):
    np.savez(path, **{name: array for name, array in (ARRAYS | changes).items() if array is not None})
    return path


def test_arrays_from_a_file(tmp_path):
    arrays = load_arrays(save(tmp_path / "a.npz"))
    assert arrays.x_train.shape == (4, 3) and arrays.y_test.shape == (2,)
    assert "4 training and 2 test samples" in arrays.source


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"y_test": None}, "no y_test"),
        ({"y_train": np.zeros(3, np.int64)}, r"x_train and y_train .*\n.*\n.* 4 in x_train and 3 in y_train"),
        ({"x_train": np.array([{"a": 1}] * 4)}, "pickle"),
        ({"x_train": np.array(["a"] * 4)}, "cannot be trained on"),
        ({"x_train": np.float32(1)}, "cannot be trained on"),
    ],
)
def test_arrays_that_do_not_do(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        load_arrays(save(tmp_path / "a.npz", **changes))


def test_files_that_are_not_archives(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("text.npz", "empty.npz", "single.npy", "missing.npz", "."):
        with pytest.raises(DataError):
            load_arrays(tmp_path / name)


def test_damaged_archives_are_refused_or_harmless(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    good = (tmp_path / "a.npz").read_bytes()
    random = np.random.default_rng(0)
    for attempt in range(300):
        raw = bytearray(good[: random.integers(0, len(good))] if attempt % 3 == 0 else good)
        for position in random.integers(0, max(len(raw), 1), 3):
            raw[position : position + 1] = random.bytes(1)
        (tmp_path / "b.npz").write_bytes(raw)
        try:
            load_arrays(tmp_path / "b.npz")
        except DataError:
            continue


def test_an_archive_that_lies_about_a_shape(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(DataError):
        load_arrays(tmp_path / "a.npz")
