"""`chainrule check`: what a compiled model computes, on the four rungs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.tools.check.numerics import NumericsReport, numerics_report
from compiler.tools.check.report import Report
from compiler.tools.check.rungs import check


def check_file(path: Path, network: Any, *, batch: int, seed: int) -> Report:
    """Check a float64 network, compiled from the model file at `path` with the modes jvp and hvp.

    Its parameters are changed. The rung of JAX is left out where JAX is not installed. Raises ModelError.
    """
    return check(lower(load_model(path)), network, installed_jax(), batch=batch, seed=seed)


def check_numerics(path: Path, *, reach: float, seed: int) -> NumericsReport:
    """The worst float32 error of each layer of the model file at `path`. Raises ModelError."""
    return numerics_report(lower(load_model(path)), reach=reach, seed=seed)


def installed_jax() -> ModuleType | None:
    """The module `jax` in float64 on the processor, None where it is not installed."""
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    return jax
