"""How XLA is to compile what is run once: quickly. Its optimisations cost time and gain nothing here."""

from __future__ import annotations

import importlib.util
import mmap
from collections.abc import Iterator
from pathlib import Path

QUICK = {
    "xla_backend_optimization_level": "0",
    # Each fused loop is lowered through MLIR otherwise: three quarters of the time.
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}
"""Together an eighth of the processor time for the Hessian product of an attention, a fifth for an LSTM's."""


def quick_flags() -> list[str]:
    """The flags of `QUICK` that the installed XLA has; one that it does not know would end the process."""
    had = [name for name in QUICK if any(is_in(library, name) for library in _libraries())]
    return [f"--{name}={QUICK[name]}" for name in had]


def _libraries() -> Iterator[Path]:
    """The shared libraries of jaxlib, the largest first: one of them is XLA. jaxlib is not imported."""
    found = importlib.util.find_spec("jaxlib")
    folders = [] if found is None else found.submodule_search_locations or []
    files = [file for folder in folders for file in Path(folder).glob("*.so")]
    yield from sorted(files, key=lambda file: file.stat().st_size, reverse=True)


def is_in(file: Path, name: str) -> bool:
    """Whether a C string of a library is the name: one that XLA no longer has stands among reserved ones
    still, behind its length and without zeros around it."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"\0" + name.encode() + b"\0") >= 0
