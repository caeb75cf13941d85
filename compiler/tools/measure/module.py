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


def random_batch(module: ModuleType, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels (batch, …), the same every time: integers below their limit, or reals from 0 to 1."""
    generator = np.random.default_rng(0)

    def draw(shape: tuple[int, ...], kind: str, limit: int | None) -> np.ndarray:
        if kind == "index":
            return generator.integers(limit, size=(batch, *shape), dtype=np.int32)
        return generator.random((batch, *shape)).astype(module.DTYPE)

    x = draw(module.INPUT_SHAPE, module.INPUT_KIND, module.INPUT_LIMIT)
    return x, draw(module.LABEL_SHAPE, module.LABEL_KIND, module.LABEL_LIMIT)
