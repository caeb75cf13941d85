"""Settings for all runtime tests: no test reaches the network, or touches the user's own cache or data."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for fake_network, whatever the import mode of pytest


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr("runtime.data.mnist.MIRRORS", ("http://127.0.0.1:9/",))  # nobody listens there
