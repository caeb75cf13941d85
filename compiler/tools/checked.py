"""A model that is compiled in double precision, with every mode, and checked by the four rungs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from compiler.frontend.isolation import printing_to_stderr
from compiler.toolchain.compile_file import Options, Progress, compile_file
from compiler.tools.check import check_file
from compiler.tools.check.report import Report
from runtime.modules import load_module


def checked(path: Path, target: str, batch: int, seed: int, progress: Progress) -> Report:
    """What the rungs find; the module is in a folder of its own, which is gone afterwards. Raises
    ModelError."""
    with printing_to_stderr():
        with tempfile.TemporaryDirectory() as folder:
            options = Options(Path(folder), target, "float64", modes=("jvp", "hvp"))
            network = load_module(compile_file(path, options, progress).module).Network(seed=0)
        return check_file(path, network, batch=batch, seed=seed)
