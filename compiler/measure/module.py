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

from compiler.compile_file import Options, compile_file
from compiler.errors import CompilerBug


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


def random_batch(module: ModuleType, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (batch, …) in the module's dtype, uniform from 0 to 1, and labels: the same every time."""
    generator = np.random.default_rng(0)
    x = generator.random((batch, *module.INPUT_SHAPE)).astype(module.DTYPE)
    shape = (batch, *module.LABEL_SHAPE)
    if module.LABEL_KIND == "index":
        return x, generator.integers(module.LABEL_LIMIT, size=shape)
    return x, generator.random(shape).astype(module.DTYPE)
