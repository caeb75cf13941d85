"""Where MNIST comes from: a folder, the cache, a server, or the embedded digits."""

import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from runtime.cache_folder import cache_folder
from runtime.data import load_mnist, mnist
from runtime.data.download import DownloadFailed, download
from runtime.errors import DataError

REAL = os.environ.get("MNIST_DIR")


def idx(values):
    values = np.asarray(values, np.uint8)
    return struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def small(monkeypatch):
    """A miniature of MNIST, name -> uncompressed bytes, which the loader takes for the original."""
    files = {
        "train-images-idx3-ubyte": idx(np.arange(3 * 4).reshape(3, 2, 2)),
        "train-labels-idx1-ubyte": idx([7, 8, 9]),
        "t10k-images-idx3-ubyte": idx(np.arange(2 * 4).reshape(2, 2, 2)),
        "t10k-labels-idx1-ubyte": idx([1, 2]),
    }
    digests = {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}
    monkeypatch.setattr(mnist, "SHA256", digests)
    return files


def put(folder, files, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    return folder


def refuse_network(monkeypatch):
    def fail(*arguments, **options):
        pytest.fail("the network was used")

    monkeypatch.setattr(mnist, "download", fail)


@pytest.fixture
def server():
    """A web server on this machine: `pages` path -> bytes, `requests` the paths asked for, `url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            body = self.server.pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.pages, server.requests = {}, []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_given_folder(tmp_path, small, monkeypatch, suffix):
    refuse_network(monkeypatch)
    data = load_mnist(put(tmp_path / "data", small, suffix))
    assert data.train_images.shape == (3, 2, 2, 1) and data.train_images.dtype == np.uint8
    assert data.test_images.shape == (2, 2, 2, 1)
    assert data.train_labels.tolist() == [7, 8, 9] and data.test_labels.tolist() == [1, 2]
    assert data.is_mnist and "the original MNIST" in data.source and str(tmp_path / "data") in data.source
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "data"))
    assert load_mnist().is_mnist


def test_another_data_set_of_the_same_layout_says_so(tmp_path, small):
    small["train-labels-idx1-ubyte"] = idx([1, 1, 1])
    data = load_mnist(put(tmp_path / "data", small))
    assert not data.is_mnist and "NOT the original MNIST" in data.source


def test_a_given_folder_never_falls_back_silently(tmp_path, small, monkeypatch):
    refuse_network(monkeypatch)
    put(cache_folder() / "mnist", small)
    with pytest.raises(DataError, match="no such folder"):
        load_mnist(tmp_path / "missing")
    del small["t10k-labels-idx1-ubyte"]
    with pytest.raises(DataError, match="no t10k-labels-idx1-ubyte"):
        load_mnist(put(tmp_path / "data", small))
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="no such folder"):
        load_mnist()


def test_images_and_labels_that_do_not_belong_together(tmp_path, small):
    small["train-labels-idx1-ubyte"] = idx([7, 8])
    with pytest.raises(DataError, match="3 images and 2 labels"):
        load_mnist(put(tmp_path / "data", small))


def test_the_cache_is_used_without_network(small, monkeypatch):
    refuse_network(monkeypatch)
    put(cache_folder() / "mnist", small)
    assert load_mnist().is_mnist
    assert load_mnist(offline=True).is_mnist


def test_a_damaged_cache_is_an_error(small):
    put(cache_folder() / "mnist", small | {"t10k-labels-idx1-ubyte": idx([2, 1])})
    with pytest.raises(DataError, match="is damaged"):
        load_mnist()


def test_download_fills_the_cache_once(small, server, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (f"{server.url}absent/", f"{server.url}mnist/"))
    server.pages = {f"/mnist/{name}.gz": gzip.compress(raw) for name, raw in small.items()}
    messages = []
    assert load_mnist(report=messages.append).is_mnist
    assert len(messages) == 1 and len(server.requests) == 8
    kept = {path.name for path in (cache_folder() / "mnist").iterdir()}
    assert kept == {f"{name}.gz" for name in small}
    assert load_mnist(report=messages.append).is_mnist
    assert len(messages) == 1 and len(server.requests) == 8


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", gzip.compress(idx([1, 2, 3])), gzip.compress(bytes(2**27))],
    ids=["empty", "html", "wrong", "huge"],
)
def test_a_wrong_download_is_not_kept(small, server, monkeypatch, body):
    monkeypatch.setattr(mnist, "MIRRORS", (server.url,))
    server.pages = {f"/{name}.gz": body for name in small}
    data = load_mnist()
    assert not data.is_mnist and "could not be downloaded" in data.source
    assert not (cache_folder() / "mnist").exists()


def test_offline_and_nothing_here(monkeypatch):
    refuse_network(monkeypatch)
    data = load_mnist(offline=True)
    assert data.source.startswith("NOT MNIST") and not data.is_mnist
    assert data.train_images.shape == (1497, 28, 28, 1) and data.test_images.shape == (300, 28, 28, 1)


def test_a_server_that_never_answers_costs_little_time(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/a", f"{server.url}a"]
        server.pages = {"/a": gzip.compress(b"body")}
        started = time.monotonic()
        body = download(urls, hashlib.sha256(b"body").hexdigest(), 100, connect_seconds=1.0)
        assert gzip.decompress(body) == b"body"
        with pytest.raises(DownloadFailed, match="no answer within"):
            download(urls[:1] * 2, "0", 100, connect_seconds=0.4)
        assert time.monotonic() - started < 3


def test_a_server_that_stalls_or_floods(server):
    server.pages = {"/a": bytes(1000)}
    with pytest.raises(DownloadFailed, match="more than 100 bytes"):
        download([f"{server.url}a"], "0", 100)
    with pytest.raises(DownloadFailed, match="too slow"):
        download([f"{server.url}a"], "0", 10_000, whole_seconds=0.0)


def test_cache_folder_by_custom(monkeypatch):
    """What the system's custom is, platformdirs knows; only our own variable goes before it."""
    for name in ("CHAINRULE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == platformdirs.user_cache_path("chainrule", appauthor=False)
    monkeypatch.setenv("CHAINRULE_CACHE", "/c")
    assert cache_folder() == Path("/c")


@pytest.mark.skipif(not REAL, reason="MNIST_DIR is not set")
def test_the_real_mnist():
    data = load_mnist(REAL)
    assert data.is_mnist
    assert data.train_images.shape == (60000, 28, 28, 1) and data.test_images.shape == (10000, 28, 28, 1)
    assert data.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
