"""Copies and pickles of a network: all of its state, none of its code, and only for the model it is of."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.toolchain.compile_file import Options
from runtime.modules import load_module
from tests.modules.borders import MODELS
from tests.modules.test_network import same_bits
from tests.workshop import compile_quickly, import_module


def _trained(module, seed: int = 3):
    net = module.Network(seed=seed, threads=1)
    net.learning_rate = 0.02
    rng = np.random.default_rng(0)
    x, y = _batch(module, rng)
    for _ in range(3):
        net.train_step(x, y)
    return net, x, y


def _batch(module, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    real, classes = module.INPUT_KIND == "real", module.LABEL_KIND == "index"
    x, y = rng.random((7, *module.INPUT_SHAPE)), rng.random((7, *module.LABEL_SHAPE))
    return x if real else (x * module.INPUT_LIMIT).astype(int), (y * module.LABEL_LIMIT).astype(
        int
    ) if classes else y


def _assert_equal(one, other) -> None:
    for kind in ("parameters", "state", "optimizer_state"):
        assert same_bits(dict(getattr(one, kind)), dict(getattr(other, kind))), kind
    for name in ("step", "seed", "learning_rate", "threads"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("how", [copy.deepcopy, copy.copy])
def test_a_copy_is_a_network_of_its_own(how, name: str, border) -> None:
    """copy.copy as well: with arrays in common and a step of its own it would be half a network."""
    net, x, y = _trained(import_module(border(name).module))
    other, third = how(net), copy.deepcopy([net, net])
    assert type(other) is type(net)
    assert third[0] is third[1]
    _assert_equal(other, net)
    # They go the same way, and apart from each other.
    losses = [net.train_step(x, y) for _ in range(3)]
    assert [other.train_step(x, y) for _ in range(3)] == losses
    _assert_equal(other, net)
    for array in other.parameters.values():
        array[...] = 0
    other.learning_rate, other.seed, other.step = 0.5, 9, 0
    assert [third[0].train_step(x, y) for _ in range(3)] == losses
    _assert_equal(third[0], net)


def test_a_copy_of_a_subclass_keeps_what_it_added(border) -> None:
    module = import_module(border("pixels").module)

    class Tagged(module.Network):
        def __init__(self, tag):
            super().__init__(seed=4)
            self.tag = tag
            self.itself = self

    net = Tagged(["a"])
    other = copy.deepcopy(net)
    assert type(other) is Tagged
    assert other.tag == ["a"]
    assert other.tag is not net.tag
    assert other.itself is other
    _assert_equal(other, net)


# Scripts: nothing of the project imports pickle, and another process must find the module by its name.
SAVE = '''
import io, pickle, sys
import numpy as np
import own
from generated import targets

seen = set()

class Watched(pickle.Unpickler):
    """Notes what a pickle names: that is all it can run."""

    def find_class(self, module, name):
        seen.add((module, name))
        return super().find_class(module, name)

net = own.Tagged("kept") if "own" in sys.argv else targets.Network(seed=5, threads=1)
x, y = np.random.default_rng(0).random((2, 7, 5)).astype("f4")
for _ in range(3):
    net.train_step(x, y[:, :2])
net.learning_rate = 0.025
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    data = pickle.dumps(net, protocol)
    open(f"net{protocol}.pickle", "wb").write(data)
    seen.clear()
    Watched(io.BytesIO(data)).load()
    ours = {name for name in seen if name[0].partition(".")[0] not in ("numpy", "_codecs")}
    assert ours - {("own", "Tagged")} == {("generated.targets", "_unpickled")}, ours
np.save("after.npy", [net.train_step(x, y[:, :2]), net.step, net.seed, net.learning_rate, net.threads])
'''

LOAD = """
import pickle
import numpy as np

for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    net = pickle.loads(open(f"net{protocol}.pickle", "rb").read())
    x, y = np.random.default_rng(0).random((2, 7, 5)).astype("f4")
    after = [net.train_step(x, y[:, :2]), net.step, net.seed, net.learning_rate, net.threads]
    assert after == np.load("after.npy").tolist(), after
print(type(net).__name__, getattr(net, "tag", None))
"""

OWN = """
from generated import targets

class Tagged(targets.Network):
    def __init__(self, tag):
        super().__init__(seed=5, threads=1)
        self.tag = tag
"""


def _run(script: str, folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", script, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert not check or result.returncode == 0, result.stderr
    return result


@pytest.fixture
def folder(border, tmp_path: Path) -> Path:
    """A user's folder with a built module in it."""
    shutil.copytree(border("targets").module.parent, tmp_path / "generated")
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def test_a_pickle_goes_on_in_another_process(folder: Path) -> None:
    """By every protocol: the same loss to the bit, and the state with it. No code is in the file."""
    _run(SAVE, folder)
    assert _run(LOAD, folder).stdout.split() == ["Network", "None"]
    _run(SAVE, folder, "own")
    assert _run(LOAD, folder).stdout.split() == ["Tagged", "kept"]


def test_a_pickle_of_another_model_is_refused(folder: Path, workshop: Path) -> None:
    _run(SAVE, folder)
    (folder / "targets.py").write_text(MODELS["targets"].replace("Dense(4)", "Dense(3)"))
    compile_quickly(folder / "targets.py", Options(folder / "generated", target="scalar"))
    message = _run(LOAD, folder, check=False).stderr.splitlines()[-1]
    assert message.startswith("ValueError: the pickled network is one of the model 'targets' with the hash ")
    assert "generated.targets" in message
    assert "compile the model that it was pickled from again" in message


def test_a_pickle_without_its_module_names_it(folder: Path) -> None:
    _run(SAVE, folder)
    for path in (folder / "generated").iterdir():
        path.unlink()
    assert "No module named 'generated.targets'" in _run(LOAD, folder, check=False).stderr


def test_a_module_that_has_no_name_cannot_be_pickled(border, tmp_path: Path) -> None:
    """Loaded by its file alone: nobody else could find it. A copy in this process needs no name."""
    net, _, _ = _trained(load_module(shutil.copy(border("pixels").module, tmp_path)))
    with pytest.raises(TypeError, match="from generated import pixels"):
        net.__reduce__()
    _assert_equal(copy.deepcopy(net), net)


def test_a_state_that_does_not_fit_changes_nothing(border) -> None:
    net, _, _ = _trained(import_module(border("pixels").module))
    kept = copy.deepcopy(net)
    state = {
        "parameters": {name: np.zeros_like(array) for name, array in net.parameters.items()},
        "state": {},
        "optimizer_state": {},
    }
    with pytest.raises(ValueError, match="optimizer_state"):
        net.__setstate__(state)
    _assert_equal(net, kept)


SPAWNED = """
import multiprocessing
import numpy as np
from generated import targets

def work(net):
    return net.predict(np.ones((2, 5), "f4")).tolist()

if __name__ == "__main__":
    net = targets.Network(seed=2, threads=1)
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(work, (net,)) == work(net), method
    print("the same")
"""


def test_a_network_is_sent_to_another_process(folder: Path) -> None:
    (folder / "send.py").write_text(SPAWNED)
    result = subprocess.run(
        [sys.executable, "send.py"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.stdout.strip() == "the same", result.stderr
