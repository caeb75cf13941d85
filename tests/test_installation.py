"""What an editable install puts on the path: the packages and nothing else of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("compiler", "runtime", "generated", "models", "tests", "benchmarks")

# In a user's folder with packages of the same names; `site` reads what the installation has put down.
USER = """
import importlib, site, sys
site.addsitedir(sys.argv[1])
import compiler, runtime
assert compiler.MARK == runtime.MARK == "the checkout's"
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
    assert _python(EMPTY, tmp_path, str(site), *FOLDERS) == "compiler runtime"


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
