"""The safetensors reader and writer: round trips, and files made to hurt."""

import json
import os
import struct
import tracemalloc

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import WeightsError
from runtime.safetensors import DTYPES, MAXIMUM_HEADER_BYTES, load_file, save_file

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: numpy_strategies.arrays(
        DTYPES[name].newbyteorder("="),
        numpy_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)


@settings(max_examples=100, deadline=None)
@given(
    tensors=st.dictionaries(TEXT.filter(lambda name: name != "__metadata__"), ARRAYS, max_size=5),
    metadata=st.dictionaries(TEXT, TEXT, max_size=4),
)
def test_what_is_written_is_read(tmp_path_factory, tensors, metadata):
    path = tmp_path_factory.getbasetemp() / "round_trip.safetensors"
    save_file(path, tensors, metadata)
    back = load_file(path)
    assert back.metadata == metadata
    assert back.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        found = back.tensors[name]
        assert (
            found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()
        )
        assert found.flags.writeable and found.flags.aligned


def test_layout_is_that_of_the_specification(tmp_path):
    path = tmp_path / "a"
    save_file(path, {"b": np.array([1, 2], np.uint8), "a": np.array([[1.5]], np.float32)}, {"k": "v"})
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    assert length % 8 == 0
    assert json.loads(raw[8 : 8 + length]) == {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]},
        "b": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]},
    }
    assert raw[8 + length :] == struct.pack("<f", 1.5) + b"\x01\x02"


def test_same_arrays_same_bytes_and_any_memory_layout(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    save_file(tmp_path / "a", {"x": array, "y": array.T})
    save_file(tmp_path / "b", {"y": np.ascontiguousarray(array.T), "x": array.astype(">f4")})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    np.testing.assert_array_equal(load_file(tmp_path / "a").tensors["y"], array.T)


@pytest.mark.parametrize(
    "tensors, metadata",
    [
        ({"x": np.array([1j])}, {}),
        ({"x": np.array(["text"])}, {}),
        ({"x": np.array([None])}, {}),
        ({"__metadata__": np.zeros(1)}, {}),
        ({"\ud800": np.zeros(1)}, {}),
        ({"x": np.zeros(1)}, {"k": "\udfff"}),
        ({"x": np.zeros(1)}, {"k": 1}),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, tensors, metadata):
    with pytest.raises(WeightsError):
        save_file(tmp_path / "a", tensors, metadata)
    assert list(tmp_path.iterdir()) == []


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def file_of(header, data=b"\0" * 4):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


HOSTILE = {
    "empty file": b"",
    "header longer than file": struct.pack("<Q", 100) + b"{}",
    "huge header length": struct.pack("<Q", 2**64 - 1) + b"{}",
    "header over the limit": struct.pack("<Q", MAXIMUM_HEADER_BYTES + 1) + b"{}",
    "not JSON": file_of(b"{nonsense}", b""),
    "does not start with a brace": file_of(b" {}", b""),
    "not an object": file_of(b"[]", b""),
    "not UTF-8": file_of(b'{"\xff": 1}', b""),
    "deep nesting": file_of(b'{"a":' + b"[" * 100_000, b""),
    "NaN": file_of(b'{"a": NaN}', b""),
    "duplicate name": file_of(b'{"a": 1, "a": 2}', b""),
    "duplicate key in an entry": file_of(
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
    ),
    "trailing bytes": file_of({"a": entry()}, b"\0" * 5),
    "missing bytes": file_of({"a": entry()}, b"\0" * 3),
    "bytes but no arrays": file_of({}, b"\0"),
    "hole": file_of({"a": entry(), "b": entry(offsets=(8, 12))}, b"\0" * 12),
    "hole at the start": file_of({"a": entry(offsets=(4, 8))}, b"\0" * 8),
    "overlap": file_of({"a": entry(), "b": entry(offsets=(2, 6))}, b"\0" * 6),
    "same bytes twice": file_of({"a": entry(), "b": entry()}),
    "reversed offsets": file_of({"a": entry(offsets=(4, 0))}),
    "negative offset": file_of({"a": entry(offsets=(-4, 0))}),
    "fractional offset": file_of({"a": entry(offsets=(0, 4.0))}),
    "three offsets": file_of({"a": entry(offsets=(0, 4, 4))}),
    "shape and length differ": file_of({"a": entry(shape=(2,))}),
    "negative extent": file_of({"a": entry(shape=(-1,))}),
    "boolean extent": file_of({"a": entry(shape=(True,))}),
    "overflowing shape": file_of({"a": entry(shape=(2**62, 2**62, 2**62))}),
    "overflowing empty shape": file_of({"a": entry(shape=(0, 2**62, 2**62), offsets=(0, 0))}, b""),
    "too many dimensions": file_of({"a": entry(shape=(1,) * 65)}),
    "enormous number": file_of(b'{"a":{"dtype":"U8","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}'),
    "unknown dtype": file_of({"a": entry(dtype="F31")}),
    "dtype that is a list": file_of({"a": entry(dtype=["F32"])}),
    "old key for offsets": file_of({"a": {"dtype": "F32", "shape": [1], "offsets": [0, 4]}}),
    "additional key": file_of({"a": entry() | {"more": 1}}),
    "entry that is a number": file_of({"a": 1}),
    "metadata that is a list": file_of({"__metadata__": [], "a": entry()}),
    "metadata with a number": file_of({"__metadata__": {"k": 1}, "a": entry()}),
    "half of a surrogate pair": file_of({"\ud800": entry()}),
    "boolean that is neither": file_of({"a": entry(dtype="BOOL", shape=(4,))}, b"\0\1\2\1"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(tmp_path, kind):
    path = tmp_path / "hostile"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(WeightsError, match="hostile"):
        load_file(path)


@pytest.mark.parametrize("kind", ["hole", "hole at the start", "overlap", "same bytes twice"])
def test_holes_and_overlaps_are_named(tmp_path, kind):
    (tmp_path / "a").write_bytes(HOSTILE[kind])
    with pytest.raises(WeightsError, match="a hole" if "hole" in kind else "an overlap"):
        load_file(tmp_path / "a")


def test_a_valid_file_made_by_the_same_hands_is_accepted(tmp_path):
    (tmp_path / "a").write_bytes(file_of({"a": entry(), "b": entry(shape=(0, 3), offsets=(4, 4))}))
    assert load_file(tmp_path / "a").tensors["b"].shape == (0, 3)


def test_truncation_at_every_byte_is_noticed(tmp_path):
    path = tmp_path / "a"
    save_file(path, {"x": np.arange(5, dtype=np.float32), "flag": np.array(True)}, {"k": "v"})
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(WeightsError):
            load_file(path)


def test_random_damage_is_refused_or_harmless(tmp_path):
    path = tmp_path / "a"
    save_file(path, {"x": np.arange(5, dtype=np.float32), "y": np.zeros((2, 3), np.uint8)}, {"k": "v"})
    good = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(800):
        raw = bytearray(good)
        for position in random.integers(0, len(raw), random.integers(1, 4)):
            raw[position] = random.integers(0, 256)
        path.write_bytes(raw)
        try:
            tensors = load_file(path).tensors
        except WeightsError:
            continue
        assert sum(array.nbytes for array in tensors.values()) <= len(raw)


def test_random_bytes_are_refused(tmp_path):
    random = np.random.default_rng(1)
    for _ in range(300):
        size = int(random.integers(0, 200))
        raw = struct.pack("<Q", random.integers(0, 250)) + b"{" + random.bytes(size)
        (tmp_path / "a").write_bytes(raw)
        with pytest.raises(WeightsError):
            load_file(tmp_path / "a")


def test_a_lying_file_costs_no_memory(tmp_path):
    (tmp_path / "a").write_bytes(file_of({"a": entry(shape=(2**40,), offsets=(0, 2**42))}))
    tracemalloc.start()
    with pytest.raises(WeightsError):
        load_file(tmp_path / "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.skipif(os.name == "nt", reason="no named pipes in the file system")
def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing"):
        with pytest.raises(WeightsError):
            load_file(tmp_path / name)
