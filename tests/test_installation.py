"""What an editable install puts on the path: the packages and nothing else of the checkout."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("chainrule", "compiler", "runtime", "generated", "models", "tests", "benchmarks")

# In a user's folder with packages of the same names; `site` reads what the installation has put down.
USER = """
import importlib, site, sys
site.addsitedir(sys.argv[1])
import chainrule, compiler, runtime
assert chainrule.MARK == compiler.MARK == runtime.MARK == "the checkout's"
for name in ("generated", "models", "tests", "benchmarks"):
    module = importlib.import_module(f"{name}.mnist")
    assert module.MARK == "the user's", module.__file__
    try:
        importlib.import_module(f"{name}.only_there")
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{name} of the checkout is on the path")
print("done")
"""

# Where the user has nothing of these names, nothing is found.
EMPTY = """
import importlib.util, site, sys
site.addsitedir(sys.argv[1])
print(*[name for name in sys.argv[2:] if importlib.util.find_spec(name)])
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's folders with the files that decide about installing, and a module in each."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    for name in FOLDERS:
        (root / name).mkdir()
        if (ROOT / name / "__init__.py").exists():
            (root / name / "__init__.py").write_text('MARK = "the checkout\'s"\n')
        for module in ("mnist", "only_there"):
            (root / name / f"{module}.py").write_text('MARK = "the checkout\'s"\n')
    return root


@pytest.fixture(scope="module")
def site(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install --editable` puts into site-packages."""
    dist, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "setup.py", "-q", "editable_wheel", "--dist-dir", str(dist)]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


# What a user does who has the wheel and no checkout.
WHEEL = """
import sys
from pathlib import Path
import numpy as np
import chainrule, compiler
from chainrule import SGD, CrossEntropy, Dense, Input, Sequential, Softmax
assert Path(chainrule.__file__).is_relative_to(sys.prefix), chainrule.__file__
assert Path(compiler.__file__).is_relative_to(sys.prefix), compiler.__file__
layers = [Input(4), Dense(3), Softmax()]
module = chainrule.compile(Sequential(layers, loss=CrossEntropy(), optimizer=SGD(0.1)), target="scalar")
print(f"{module.Network(seed=0).train_step(np.zeros((2, 4)), np.zeros(2, int)):.4f}")
module = chainrule.compile("small.py", target="scalar")
print(module.Network(seed=0).predict(np.zeros((2, 4))).shape)
from generated import model, small
"""
SMALL = """
from chainrule import SGD, CrossEntropy, Dense, Input, Sequential, Softmax
model = Sequential([Input(4), Dense(5), Softmax()], loss=CrossEntropy(), optimizer=SGD(0.1))
"""


@pytest.mark.long
def test_the_wheel_works_in_an_empty_folder(tmp_path: Path) -> None:
    """Built from the sources alone, installed into an environment of its own, away from every checkout."""
    sources, dist, folder = tmp_path / "sources", tmp_path / "dist", tmp_path / "empty"
    folder.mkdir()
    for name in ("chainrule", "compiler", "runtime"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    # As if an earlier installation had left something there.
    (sources / "chainrule.egg-info").mkdir()
    _run(sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(dist), cwd=sources)
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"chainrule", "compiler", "runtime"}
    assert {f"{top}/py.typed" for top in ("chainrule", "compiler", "runtime")} <= set(names)
    assert "chainrule/__init__.pyi" in names
    environment = tmp_path / "environment"
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment), cwd=folder)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    # What it depends on is taken from here; an installation of the checkout is not, for that needs a .pth.
    dependencies = {str(Path(importlib.util.find_spec(name).origin).parents[1]) for name in DEPENDENCIES}
    (site / "dependencies.pth").write_text("\n".join(sorted(dependencies)) + "\n")
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index",
         "--force-reinstall", str(wheel), cwd=folder)  # fmt: skip
    (folder / "small.py").write_text(SMALL)
    assert _run(str(python), "-c", WHEEL, cwd=folder).split() == ["1.0986", "(2,", "5)"]
    for command in ("chainrule", "compile"):
        text = _run(str(environment / "bin" / command), "--help", cwd=folder)
        assert "model" in text
    said = _run(
        str(environment / "bin" / "chainrule"), "compile", "small.py", "--target", "scalar", cwd=folder
    )
    assert "small" in said
    assert sorted(path.name for path in folder.iterdir()) == ["generated", "small.py"]


DEPENDENCIES = ("sympy", "mpmath", "numpy", "Cython", "jinja2", "platformdirs", "rich")


def _run(*command: str, cwd: Path) -> str:
    """What a command says, run by somebody whose path knows nothing of this checkout."""
    surroundings = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    surroundings["CHAINRULE_CACHE"] = str(cwd.parent / "cache")
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=surroundings)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def _python(script: str, folder: Path, *arguments: str) -> str:
    """A Python that has no installation of its own, in this folder."""
    command = [sys.executable, "-E", "-S", "-c", script, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_user_gets_their_own_modules(site: Path, tmp_path: Path) -> None:
    """The folder that `chainrule compile` makes is no regular package: such a one elsewhere would win."""
    for name in ("generated", "models", "tests", "benchmarks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mnist.py").write_text('MARK = "the user\'s"\n')
    assert _python(USER, tmp_path, str(site)) == "done"


def test_nothing_else_of_the_checkout_is_on_the_path(site: Path, tmp_path: Path) -> None:
    assert _python(EMPTY, tmp_path, str(site), *FOLDERS) == "chainrule compiler runtime"


def test_the_root_of_the_checkout_goes_on_working(site: Path, checkout: Path) -> None:
    assert _python(EMPTY, checkout, str(site), *FOLDERS) == " ".join(FOLDERS)
    script = "from generated import mnist; print(mnist.MARK)"
    assert _python(script, checkout) == "the checkout's"


def test_a_checkout_on_the_path_hides_no_module_of_the_user(checkout: Path, tmp_path: Path) -> None:
    """With PYTHONPATH too: `generated` is no regular package there either."""
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "mnist.py").write_text('MARK = "the user\'s"\n')
    script = f"import sys; sys.path.append({str(checkout)!r}); from generated import mnist; print(mnist.MARK)"
    assert _python(script, tmp_path) == "the user's"
