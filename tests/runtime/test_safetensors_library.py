"""Our lines for the safetensors format beside the library of that name: what one writes, the other reads."""

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import WeightsError
from runtime.safetensors import DTYPES, load_file, save_file

library = pytest.importorskip("safetensors.numpy")
from safetensors import safe_open  # noqa: E402

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: numpy_strategies.arrays(
        DTYPES[name], numpy_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    )
)


@settings(max_examples=25, deadline=None)
@given(
    tensors=st.dictionaries(TEXT.filter(lambda name: name != "__metadata__"), ARRAYS, min_size=1, max_size=5),
    metadata=st.dictionaries(TEXT, TEXT, max_size=4),
)
def test_each_reads_what_the_other_has_written(tmp_path_factory, tensors, metadata):
    folder = tmp_path_factory.getbasetemp()
    tensors = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    save_file(folder / "ours", tensors, metadata)
    library.save_file(tensors, folder / "theirs", metadata or None)
    with safe_open(folder / "ours", framework="numpy") as file:
        assert (file.metadata() or {}) == metadata
    ours, theirs = load_file(folder / "theirs"), library.load_file(folder / "ours")
    assert ours.metadata == metadata
    for found in (ours.tensors, theirs):
        assert found.keys() == tensors.keys()
        for name, array in tensors.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()


def test_what_the_library_writes_otherwise(tmp_path):
    """Why it does not write: should it learn this, this fails, and docs/training.md has a reason less."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    for name, save in (("ours", save_file), ("theirs", lambda path, given: library.save_file(given, path))):
        path = tmp_path / name
        path.write_bytes(b"older")
        path.chmod(0o644)
        save(path, {"array": array})
        as_it_was = path.stat().st_mode & 0o777 == 0o644
        same = (load_file(path).tensors["array"] == array).all()
        assert (as_it_was, same) == ((True, True) if name == "ours" else (False, False))


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}',
        b'{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}',
    ],
    ids=["a name twice", "a truth value of 5"],
)
def test_what_the_library_reads_and_we_refuse(tmp_path, header):
    """Where two readers could see two things in a file; should the library refuse them, this fails."""
    content = len(header).to_bytes(8, "little") + header + b"\x05\x01"
    assert library.load(content)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(WeightsError):
        load_file(tmp_path / "file")
