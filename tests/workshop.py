"""Models built into modules once for all tests, through a cache that the workers of one run share."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from compiler.module_source import ModuleSource
from compiler.toolchain import build as build_module
from compiler.toolchain import compile_file as compile_module
from compiler.toolchain.build import compile_shared, extension_suffix, find_toolchain, translate
from compiler.toolchain.compile_file import Compiled, Options, compile_file
from tests.modules.borders import MODELS, MODES

ROOT = Path(__file__).parents[1]

TINY = '''"""The MNIST network in miniature."""

from compiler import Adam, Conv2D, CrossEntropy, Dense, Dropout, Flatten, Input, MaxPool2D, ReLU
from compiler import Sequential, Softmax

model = Sequential(
    [
        Input(12, 12, 1),
        Conv2D(3, 3),
        ReLU(),
        MaxPool2D(2),
        Conv2D(4, 3),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
        Dropout(0.5),
        Dense(3),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-2),
)
'''

SMALL = """from compiler import SGD, Dense, Input, MeanSquaredError, Sequential

model = Sequential([Input(3), Dense(2)], loss=MeanSquaredError(), optimizer=SGD(0.1))
"""
"""A model that builds as fast as any."""

EAGER = ("-DTEAM_ALONE=0", "-DTEAM_WAKES=0", "-DTEAM_LOSS=1000000000000")
"""Flags of a module that shares out all that it can, however little it is and however busy the machine."""

Built = Callable[..., ModuleType]

EVERY_MODE = ("jvp", "hvp", "per_example")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for models and modules of the whole run; CHAINRULE_CACHE is in it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CACHE", str(folder / "chainrule-cache"))
        yield folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a model by name: one of the repository's, or "tiny", "small"."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny.py").write_text(TINY)
    (folder / "small.py").write_text(SMALL)
    own = {path.stem: path for path in folder.iterdir()}
    return lambda name: own.get(name, ROOT / "models" / f"{name}.py")


@pytest.fixture(scope="session")
def compiled(workshop: Path, models: Callable[[str], Path], tmp_path_factory) -> Callable[..., Compiled]:
    """Compile a model by name, once. In float64 one module with every mode serves all tests."""

    @cache
    def once(name: str, dtype: str, modes: tuple[str, ...]) -> Compiled:
        label = "-".join([name, dtype, *modes])
        out = tmp_path_factory.mktemp(label)
        # One worker builds, the others wait for its entry in the cache.
        with (workshop / f"{label}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            options = Options(out, dtype=dtype, modes=modes)
            if dtype == "float32" and modes == ("vjp",):
                return compile_file(models(name), options)  # as users do
            # Bits are compared: multiplications and additions are to be fused, as theirs are.
            return compile_quickly(models(name), options, "-O1")

    def compile_(name: str, dtype: str = "float32", modes: tuple[str, ...] | None = None) -> Compiled:
        return once(name, dtype, modes or (("vjp",) if dtype == "float32" else EVERY_MODE))

    return compile_


@pytest.fixture(scope="session")
def built(compiled: Callable[..., Compiled]) -> Built:
    """The imported module of a model by name."""

    once = cache(import_module)
    return lambda *arguments: once(compiled(*arguments).module)


@pytest.fixture(scope="session")
def border(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Compiled]:
    """Build a model of tests/modules/borders.py by name, once, into a folder of its own called generated."""

    @cache
    def build(name: str) -> Compiled:
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.py").write_text(MODELS[name])
        options = Options(folder / "generated", target="scalar", modes=MODES[name])
        with (workshop / f"border-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return compile_quickly(folder / f"{name}.py", options)

    return build


def compile_quickly(path: Path, options: Options, level: str = "-O0") -> Compiled:
    """As `compile_file`, where what is tested is what the code means, not what the C compiler makes of it.

    Its -O3 takes as long as everything else together, -O0 a sixth of that.
    """
    with quickly(level):
        return compile_file(path, options)


@contextmanager
def quickly(level: str = "-O0") -> Iterator[None]:
    """What is compiled in this process meanwhile, by commands too, is not optimised.

    The flags are part of the key in the cache. Work is shared out wherever it can be, so that a test with two
    threads is one.
    """
    quick = (level, *build_module.OPTIMISATION[1:], *EAGER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "OPTIMISATION", quick)
        patch.setattr(compile_module, "OPTIMISATION", quick)
        yield


def module_of(source: ModuleSource, folder: Path) -> ModuleType:
    """The module of a text, built in a hurry: what is tested is what it means."""
    path = folder / "model.pyx"
    path.write_text(source.text)
    shared = path.with_name(f"model{extension_suffix()}")
    compile_shared(translate(path), shared, find_toolchain(), source.settings.target.flags, level="-O0")
    return import_module(shared)


@pytest.fixture
def hurried(workshop: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> None:
    """A C compiler that does not optimise, for commands whose module is built and hardly run."""
    script = workshop / "cc-in-a-hurry"
    if not script.exists():
        # Its name is part of a module's key: one for all tests, and never half written.
        new = tmp_path_factory.mktemp("hurry") / "cc"
        new.write_text(HURRIED.format(command=shlex.join(find_toolchain().command)))
        new.chmod(0o755)
        new.replace(script)
    monkeypatch.setenv("CC", shlex.quote(str(script)))


HURRIED = """#!/bin/sh
# {command}, and what was asked to be optimised is not.
for argument do
    shift
    case "$argument" in -O?) set -- "$@" -O0 ;; *) set -- "$@" "$argument" ;; esac
done
exec {command} "$@"
"""


def import_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.name.split(".")[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
