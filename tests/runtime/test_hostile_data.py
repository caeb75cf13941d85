"""Data files made to hurt: each is read, or refused as a DataError, in bounded time and memory."""

import gzip
import io
import os
import struct
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from runtime.data import load_arrays, load_mnist, load_text
from runtime.data.idx import read_idx
from runtime.errors import DataError

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
CASES = [200, pytest.param(10_000, marks=pytest.mark.long)]


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array))
    return buffer.getvalue()


GOOD = {name: npy(np.arange(8, dtype=np.float32)) for name in ("x_train", "y_train", "x_test", "y_test")}


def npz(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def header(text, version=(1, 0), body=b""):
    encoded = text if isinstance(text, bytes) else text.encode("latin-1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + length + encoded + body


def described(descr="'<f4'", shape="(8,)", more=""):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}{more}}}\n"


HEADERS = {
    "nothing": b"",
    "no magic": b"\x93NUMPX\x01\x00",
    "cut": GOOD["x_train"][:20],
    "version 9": header(described(), (9, 9), bytes(32)),
    "not a dictionary": header("[1, 2]\n"),
    "not Python": header("{'descr': \n"),
    "indented": header("  {\n 'descr'"),
    "an unfinished string": header("{'descr': '''\n"),
    "code": header("__import__('os').system('true')\n"),
    "nested": header("(" * 9000 + ")" * 9000, (2, 0)),
    "deep lists": header("[" * 5000, (2, 0)),
    "long": header(described(more=", 'x': " + "9" * 60_000)),
    "a large number": header(described(shape="(" + "9" * 5000 + ",)")),
    "negative": header(described(shape="(-1,)"), body=bytes(32)),
    "two negatives": header(described(shape="(-2, -4)"), body=bytes(32)),
    "truths": header(described(shape="(True,)"), body=bytes(32)),
    "floats": header(described(shape="(8.0,)"), body=bytes(32)),
    "no tuple": header(described(shape="8"), body=bytes(32)),
    "enormous": header(described(shape="(1000000000000000,)"), body=bytes(32)),
    "beyond 64 bits": header(described(shape="(4294967296, 4294967296, 4294967296)"), body=bytes(32)),
    "enormous and empty": header(described(shape="(0, 4294967296, 4294967296, 4294967296)")),
    "many axes": header(described(shape="(" + "1, " * 200 + ")"), body=bytes(4)),
    "objects": header(described(descr="'|O'"), body=bytes(64)),
    "fields": header(described(descr="[('a', '<f4'), ('b', '|O')]"), body=bytes(96)),
    "no type": header(described(descr="'odd'")),
    "a type of no bytes": header(described(descr="'|V0'")),
    "a text as type": header(described(descr="'<U1000000000'")),
    "a number as type": header(described(descr="3")),
    "not text": header(b"\xff\xfe\x00" * 10),
    "zero bytes": header("\0" * 100),
    "longer than announced": GOOD["x_train"] + b"\0",
    "shorter than announced": GOOD["x_train"][:-1],
    "bytes that are not UTF-8": header(b"{'descr': '\xff', }\n", (3, 0)),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_headers_of_arrays(tmp_path, name, compression):
    path = npz(tmp_path / "a.npz", GOOD | {"y_train": HEADERS[name]}, compression)
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        load_arrays(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(caught.value) and peak < 50_000_000


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_random_damage_to_archives(tmp_path, compression, cases):
    random = np.random.default_rng(compression)
    good = npz(tmp_path / "good.npz", GOOD, compression).read_bytes()
    read = 0
    for _ in range(cases):
        (tmp_path / "a.npz").write_bytes(damaged(random, good))
        try:
            load_arrays(tmp_path / "a.npz")
            read += 1
        except DataError:
            continue
    assert read < cases


@pytest.mark.parametrize("cases", CASES)
def test_random_headers(tmp_path, cases):
    """Damage inside the header of an array, in an archive that is whole."""
    random = np.random.default_rng(3)
    for _ in range(cases):
        content = damaged(random, GOOD["x_test"])
        try:
            load_arrays(npz(tmp_path / "a.npz", GOOD | {"x_test": content}))
        except DataError:
            continue


def damaged(random, good):
    """A copy with bytes changed, cut off, taken out or doubled."""
    raw = bytearray(good)
    for _ in range(random.integers(1, 4)):
        begin, end = sorted(random.integers(0, len(raw) + 1, 2))
        kind = random.integers(5)
        if kind < 3 and raw:
            raw[random.integers(len(raw))] = random.integers(256)
        elif kind == 3:
            del raw[begin : min(end, begin + 8)]
        else:
            raw[begin:begin] = raw[begin : min(end, begin + 8)]
    return bytes(raw)


def test_an_archive_that_unpacks_to_more_than_there_is(tmp_path, monkeypatch):
    """Asked of the machine, and found out before anything is unpacked."""
    ones = npy(np.zeros(4_000_000, np.uint8))
    path = npz(tmp_path / "a.npz", dict.fromkeys(GOOD, ones), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    load_arrays(path)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    with pytest.raises(DataError, match="does not fit in memory"):
        load_arrays(path)


def test_what_lies_in_an_archive_is_said(tmp_path):
    with pytest.raises(DataError) as caught:
        load_arrays(npz(tmp_path / "a.npz", {"x": GOOD["x_train"], "labels": GOOD["x_train"]}))
    assert "no x_train, y_train, x_test, y_test; there are x.npy, labels.npy" in str(caught.value)


@pytest.mark.parametrize("shape", [(0, 2**32 - 1, 2**32 - 1), (2**32 - 1, 0, 2**32 - 1), (0, 0, 0)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_headers_of_images_that_announce_nothing(tmp_path, shape, pack):
    raw = struct.pack(">IIII", 0x803, *shape)
    (tmp_path / "a").write_bytes(pack(raw))
    try:
        assert read_idx(tmp_path / "a", dimensions=3).values.shape == shape
    except DataError as error:
        assert "extents that an array can have" in str(error)


@pytest.mark.parametrize("cases", CASES)
def test_random_damage_to_images(tmp_path, cases):
    images = struct.pack(">IIII", 0x803, 2, 3, 2) + bytes(range(12))
    random = np.random.default_rng(1)
    for case in range(cases):
        good = images if case % 2 else gzip.compress(images, mtime=0)
        (tmp_path / "a").write_bytes(damaged(random, good))
        try:
            read_idx(tmp_path / "a", dimensions=3)
        except DataError:
            continue


@posix
def test_what_is_no_file_is_neither_opened_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "texts").mkdir()
    os.mkfifo(tmp_path / "texts" / "a.txt")
    (tmp_path / "folders").mkdir()
    (tmp_path / "folders" / "a.txt").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.txt").symlink_to("missing")
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "a.md").symlink_to("a.md")
    (tmp_path / "zeros.npz").symlink_to("/dev/zero")
    actions = [
        *((load_text, name, 8) for name in ("pipe.txt", "texts", "folders", "broken", "circle")),
        *((load_arrays, name) for name in ("pipe.npz", "zeros.npz", "texts", "missing.npz")),
        (load_text, "/dev/zero", 8),
        *((read_idx, name, 3) for name in ("pipe.txt", "/dev/zero", "texts")),
        *((load_mnist, name) for name in ("pipe.txt", "texts", "zeros.npz", "circle/a.md")),
    ]
    for function, name, *more in actions:
        caught = []

        def run(function=function, name=name, more=more, caught=caught):
            try:
                function(tmp_path / name, *more)
            except DataError as error:
                caught.append(str(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(10)
        assert caught, (function.__name__, name)


def test_texts(tmp_path, monkeypatch):
    """A byte order mark is no character, each end of a line is one, and the file that is no text is named."""
    text = "first line\nsecond\n" * 30
    (tmp_path / "plain.txt").write_bytes(text.encode())
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    plain, marked = (load_text(tmp_path / f"{name}.txt", 8) for name in ("plain", "marked"))
    np.testing.assert_array_equal(plain.x_train, marked.x_train)
    (tmp_path / "z.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"z\.txt is not a text in UTF-8"):
        load_text(tmp_path, 8)
    monkeypatch.setattr("runtime.data.text.MAXIMUM_BYTES", 100)
    with pytest.raises(DataError, match="too long a text"):
        load_text(tmp_path / "plain.txt", 8)


NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def contents(name):
    count = 3 if name.startswith("train") else 2
    if "images" in name:
        return struct.pack(">IIII", 0x803, count, 2, 2) + bytes(4 * count)
    return struct.pack(">II", 0x801, count) + bytes(count)


@pytest.mark.parametrize(
    "pattern",
    [
        "{dotted}",
        "{dotted}.gz",
        "{name}",
        "{name}.gz",
        "{name}/{name}",
        "{name}/{dotted}",
        "{dotted}/{dotted}",
    ],
)
def test_the_names_that_mnist_goes_by(tmp_path, pattern):
    """Kaggle's have a dot, and each lies in a folder of its own as well."""
    for name in NAMES:
        path = tmp_path / pattern.format(name=name, dotted=name.replace("-idx", ".idx"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(contents(name)) if path.suffix == ".gz" else contents(name))
    assert load_mnist(tmp_path).train_images.shape == (3, 2, 2, 1)


def test_an_error_lists_what_lies_in_the_folder(tmp_path):
    with pytest.raises(DataError, match="the folder is empty"):
        load_mnist(tmp_path)
    (tmp_path / "archive").mkdir()
    (tmp_path / "mnist.zip").write_bytes(b"")
    (tmp_path / NAMES[0]).write_bytes(contents(NAMES[0]))
    with pytest.raises(DataError) as caught:
        load_mnist(tmp_path)
    assert f"there are archive/, mnist.zip, {NAMES[0]}" in str(caught.value)
    assert f"no {', '.join(NAMES[1:])};" in str(caught.value)
    for number in range(30):
        (tmp_path / f"a{number:02}").write_bytes(b"")
    with pytest.raises(DataError, match="a19 and 13 more"):
        load_mnist(tmp_path)
    with pytest.raises(DataError, match=r"mnist\.zip is a file"):
        load_mnist(tmp_path / "mnist.zip")
