"""A model compiled again while its module is in use, as in a notebook: the new one, or a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compiler.toolchain.compile_file import Options
from tests.workshop import ROOT, SMALL, compile_quickly

RATES = (0.01, 0.02)

# Each version stands ready in a folder of its own; the `shutil` lines do what `chainrule compile` does.
NOTEBOOK = """
import importlib, os, pathlib, shutil, sys, warnings

def compile_again(rate):
    pathlib.Path("generated").mkdir(exist_ok=True)
    for path in pathlib.Path(f"version{rate}").iterdir():
        shutil.copy(path, "generated/.new")
        os.replace("generated/.new", f"generated/{path.name}")

def rate_and_warnings(module):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return module.Network().learning_rate, [str(w.message) for w in caught]

compile_again(0.01)
from generated import small
assert small.reload() is small, "nothing was compiled since"
assert rate_and_warnings(small) == (0.01, [])
first, net = small, small.Network(seed=3)
parameters = {name: array.copy() for name, array in net.parameters.items()}

compile_again(0.02)
for attempt in (lambda: small, lambda: importlib.reload(small)):
    # An import again, or importlib.reload, gives the earlier module, and it says so.
    rate, messages = rate_and_warnings(attempt())
    assert rate == 0.01
    assert len(messages) == 1 and "small = small.reload()" in messages[0], messages
small = small.reload()
assert small is not first
assert rate_and_warnings(small) == (0.02, [])
assert small.__name__ == "generated.small" and small.__file__ == first.__file__
assert small.reload() is small

from generated import small as imported
assert imported is small is sys.modules["generated.small"]
from generated import small as again
assert again is small

# What was made of the earlier module stays and works.
net.train_step([[0.0] * 3], [[1, 0]])
assert net.learning_rate == 0.01 and type(net) is first.Network

# Twice more; from the newest and from the oldest.
compile_again(0.01)
assert rate_and_warnings(small.reload())[0] == 0.01
compile_again(0.02)
assert rate_and_warnings(first.reload())[0] == 0.02
assert first.reload() is not first
from generated import small
assert small is first.reload() and rate_and_warnings(small) == (0.02, [])

# A network of the new module is pickled under its name, and one of an earlier module is not.
assert small.Network().__reduce__()[0].__module__ == "generated.small"
try:
    net.__reduce__()
except TypeError as error:
    assert "compiled and loaded again" in str(error), error
else:
    raise AssertionError("pickled")
print("done")
"""

# By its file, as `chainrule train` and `python -m runtime` do it.
BY_FILE = """
import os, pathlib, shutil, sys
sys.path.append(sys.argv[1])
from runtime.modules import load_module

for rate in (0.01, 0.02, 0.01):
    pathlib.Path("generated").mkdir(exist_ok=True)
    for path in pathlib.Path(f"version{rate}").iterdir():
        shutil.copy(path, "generated/.new")
        os.replace("generated/.new", f"generated/{path.name}")
    module = load_module("generated/small")
    assert module.Network().learning_rate == rate, (rate, module.Network().learning_rate)
    assert load_module("generated/small") is module
    # The user's own small.py is not hidden by it.
    assert "small" not in sys.modules
from generated import small
assert load_module("generated/small") is small
assert small.Network().learning_rate == 0.01
assert "small" not in sys.modules
import small as own
assert own.NAME == "the user's"
print("done")
"""


@pytest.fixture(scope="module")
def versions(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same model built at two learning rates."""
    folder = tmp_path_factory.mktemp("versions")
    for rate in RATES:
        (folder / "small.py").write_text(SMALL.replace("0.1", str(rate)))
        compile_quickly(folder / "small.py", Options(folder / f"version{rate}", target="scalar"))
    (folder / "small.py").write_text('NAME = "the user\'s"\n')
    return folder


@pytest.mark.parametrize("script", [NOTEBOOK, BY_FILE], ids=["by name", "by file"])
def test_the_module_compiled_last(script: str, versions: Path, tmp_path: Path) -> None:
    for version in versions.iterdir():
        (tmp_path / version.name).symlink_to(version)
    command = [sys.executable, "-c", script, str(ROOT)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert result.stdout == "done\n", result.stderr
