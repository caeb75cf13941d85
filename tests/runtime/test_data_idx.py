"""The IDX reader, on good files and on bad ones."""

import gzip
import hashlib
import struct
import tracemalloc

import numpy as np
import pytest

from runtime.data.idx import read_idx
from runtime.errors import DataError

IMAGES = struct.pack(">IIII", 0x803, 2, 3, 2) + bytes(range(12))


def write(path, raw):
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("pack", [bytes, lambda raw: gzip.compress(raw)], ids=["plain", "gzip"])
def test_reads_values_and_digest(tmp_path, pack):
    file = read_idx(write(tmp_path / "a", pack(IMAGES)), dimensions=3)
    np.testing.assert_array_equal(file.values, np.arange(12, dtype=np.uint8).reshape(2, 3, 2))
    assert file.values.flags.writeable
    assert file.sha256 == hashlib.sha256(IMAGES).hexdigest()


@pytest.mark.parametrize("pack", [bytes, lambda raw: gzip.compress(raw)], ids=["plain", "gzip"])
def test_truncation_at_every_byte_is_noticed(tmp_path, pack):
    raw = pack(IMAGES)
    for length in range(len(raw)):
        with pytest.raises(DataError, match="a is not the IDX file it should be") as caught:
            read_idx(write(tmp_path / "a", raw[:length]), dimensions=3)
        assert caught.value.expected and caught.value.advice


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">IIII", 0x801, 2, 3, 2) + bytes(12),
        struct.pack(">IIII", 0xD03, 2, 3, 2) + bytes(48),
        struct.pack("<IIII", 0x803, 2, 3, 2) + bytes(12),
        IMAGES + b"\0",
        gzip.compress(IMAGES) + b"trailing",
        b"<html>404 Not Found</html>",
        struct.pack(">IIII", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(12),
    ],
    ids=["labels", "floats", "little-endian", "longer", "gzip and more", "web page", "enormous"],
)
def test_other_files_are_refused(tmp_path, raw):
    with pytest.raises(DataError):
        read_idx(write(tmp_path / "a", raw), dimensions=3)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            read_idx(path, dimensions=3)


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(tmp_path):
    bomb = gzip.compress(struct.pack(">II", 0x801, 10) + bytes(50_000_000))
    path = write(tmp_path / "bomb", bomb)
    tracemalloc.start()
    with pytest.raises(DataError, match="more"):
        read_idx(path, dimensions=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    with pytest.raises(DataError, match="at most"):
        read_idx(write(tmp_path / "a", IMAGES), dimensions=3, maximum_bytes=11)


def test_random_bytes_never_do_worse_than_a_clear_error(tmp_path):
    random = np.random.default_rng(0)
    for good in (IMAGES, gzip.compress(IMAGES, mtime=0)):
        for _ in range(150):
            raw = bytearray(good)
            for position in random.integers(0, len(raw), 2):
                raw[position] = random.integers(0, 256)
            try:
                read_idx(write(tmp_path / "a", raw), dimensions=3)
            except DataError:
                continue
