"""`chainrule.compile(model)`: from a model, in memory or in a file, to its imported module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from types import ModuleType

import numpy as np
from numpy.typing import DTypeLike

from compiler.errors import ModelError, Problem
from compiler.language.description import Model
from compiler.machine.elements import DTYPES
from compiler.modes import checked_modes
from compiler.toolchain.built import built_module
from compiler.toolchain.compile_file import Options


def compile(
    model: Model | str | Path,
    *,
    out: str | Path = "generated",
    target: str = "native",
    dtype: DTypeLike = "float32",
    modes: str | Iterable[str] | None = (),
    without: str | Iterable[str] | None = (),
    force: bool = False,
) -> ModuleType:
    """Compile a model, or the model file at a path, and import the module: `compile(model).Network(seed=0)`.

    The options are those of `chainrule compile`: the folder for the module, the target, "float32", "float64"
    (NumPy's dtypes too) or "bfloat16" (numbers in float32, factors of large products rounded), what the
    module offers besides training ("jvp,hvp" or a list), passes to leave out, and
    whether to build again though nothing has changed. A model without a name is called like its file, or
    "model". What was compiled before comes from the cache. What is returned is always the module of this
    model, whatever was imported from its place before.

    Raises ModelError with every problem of the model or of an option, and where the folder cannot be made,
    ToolchainError where there is no C
    compiler and nothing in the cache, OSError where nothing can be written.
    """
    if not isinstance(model, Model | str | PurePath):
        found = type(model).__name__
        raise ModelError(Problem("this is no model", expected="a Model, or the path of a file", found=found))
    options = Options(
        Path(out),
        target,
        _real(dtype),
        force,
        _switches(_names("without", without)),
        checked_modes(_names("modes", modes)),
    )
    return built_module(model, options)


def _real(dtype: DTypeLike) -> str:
    """The name of a dtype, however NumPy lets one say it. Raises ModelError for one that no module has."""
    try:
        name = dtype if dtype in DTYPES else np.dtype(dtype).name if dtype is not None else "None"
    except TypeError:
        name = repr(dtype)
    if name not in DTYPES:
        raise ModelError(Problem("unknown dtype", expected=", ".join(DTYPES), found=str(name)))
    return str(name)


def _switches(names: list[str]) -> frozenset[str]:
    if not names:
        return frozenset()
    # The table of passes stands on SymPy, which takes half a second to import.
    from compiler.pipeline import parse_switches

    return parse_switches(",".join(names))


def _names(option: str, given: str | Iterable[str] | None) -> list[str]:
    """Names from a text with commas, or from a list; None is none. Raises ModelError for anything else."""
    names = given.split(",") if isinstance(given, str) else () if given is None else given
    names = list(names) if isinstance(names, Iterable) else [given]
    if not all(isinstance(name, str) for name in names):
        expected = 'a list of names, or a text such as "jvp,hvp"'
        raise ModelError(Problem(f"{option} makes no sense", expected=expected, found=repr(given)))
    return [name.strip() for name in names if name.strip()]
