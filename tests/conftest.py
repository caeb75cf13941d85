"""What all tests share: JAX in float64 as the independent oracle, and reproducible random programs."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest
from hypothesis import settings

# JAX reads these when it is first imported. Its compiler's optimisations cost time and gain nothing here.
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()

# The same examples every time: a red test is red for everyone. CHAINRULE_FUZZ widens the search.
settings.register_profile("reproducible", derandomize=True, deadline=None, database=None)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def jax() -> ModuleType:
    """The module `jax`; a test that asks for it is skipped where there is none, except in CI."""
    try:
        return importlib.import_module("jax")
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("jax is missing, and CI must compare with it")
        pytest.skip("jax, the independent oracle, is not installed")


def pytest_terminal_summary(terminalreporter) -> None:
    """How many random cases were examined, of all workers together."""
    reports = terminalreporter.stats.get("passed", [])
    cases = [n for report in reports for name, n in report.user_properties if name == "random cases"]
    if cases:
        terminalreporter.write_line(f"random cases examined: {sum(cases):,}, all without a failure")
