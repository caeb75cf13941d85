"""Builds a model with instruments, loads it, and makes a batch for it."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from compiler.errors import CompilerBug
from compiler.toolchain.compile_file import Options, compile_file


@dataclass(frozen=True)
class Instrumented:
    """A loaded module, and the facts of its summary."""

    module: ModuleType
    facts: dict[str, Any]


@contextmanager
def instrumented(path: Path, options: Options) -> Iterator[Instrumented]:
    """The model's module with instruments, in a folder that is gone afterwards; built through the cache."""
    with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
        compiled = compile_file(path, replace(options, out=Path(folder)))
        yield Instrumented(load_module(compiled.module), compiled.facts)


def load_module(path: Path) -> ModuleType:
    """Import a built module from where it is."""
    spec = importlib.util.spec_from_file_location(path.name.split(".")[0], path)
    if spec is None or spec.loader is None:
        raise CompilerBug(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_batch(module: ModuleType, batch: int) -> tuple[Any, Any]:
    """Inputs and labels (batch, …), the same every time: integers below their limit, or reals from 0 to 1.

    Where there are several of them, by their names; None where a model has no labels.
    """
    generator = np.random.default_rng(0)

    def draw(constant: str) -> np.ndarray:
        shape, kind, limit = (getattr(module, f"{constant}_{what}") for what in ("SHAPE", "KIND", "LIMIT"))
        if kind == "index":
            return generator.integers(limit, size=(batch, *shape), dtype=np.int32)
        if kind == "bool":
            return generator.random((batch, *shape)) < 0.5
        return generator.random((batch, *shape)).astype(module.DTYPE)

    found = []
    for names in (getattr(module, "INPUTS", {"": "INPUT"}), getattr(module, "LABELS", {"": "LABEL"})):
        arrays = {key: draw(constant) for key, constant in names.items()}
        found.append(arrays if len(arrays) > 1 else next(iter(arrays.values()), None))
    return found[0], found[1]
