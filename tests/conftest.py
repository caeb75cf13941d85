"""What all tests share: the machine they compile for, JAX in float64 as the independent oracle, reproducible
random programs, and the processor time that it all took."""

from __future__ import annotations

import gc
import importlib
import os
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from tests.machines import MODELS, disguise, native
from tests.quick_jax import quick_flags

pytest_plugins = ("tests.workshop",)

# SymPy reads this when it is first imported. Of each of its functions it keeps the last 1,000 results, and
# tests ask again for more than that.
os.environ["SYMPY_CACHE_SIZE"] = "10000"

# JAX reads these when it is first imported.
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {' '.join(quick_flags())}".strip()

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


NATIVE_FOLDERS = tuple(
    Path(__file__).parent / name for name in ("modules", "toolchain", "tools", "test_chainrule.py")
)
"""Their tests, and those of one file, build modules as users build them."""

ANY_PROCESSOR = {
    "modules": (
        *("added_entry_point", "copies", "diagnosis", "every_dtype", "example_states"),
        *(
            "filled_labels_and_freezing",
            "halves",
            "hostile_names",
            "metrics",
            "mpi",
            "npz_dtypes",
            "parameters",
        ),
        *("penalties", "phases", "products", "reload", "sequences", "settings", "several", "state"),
        *("tokens", "weights_of_examples", "zoo"),
    ),
    "toolchain": ("cache", "concurrent_writes", "processes"),
    "tools": (
        *("check_domains", "check_numerics", "derive", "derive_domains", "derive_newcomers", "derive_page"),
        *("derive_shapes", "explain_browser", "explain_example", "explained", "latex_compiles", "replay"),
    ),
    "testing": ("assert_gradients",),
}
"""Files of these folders that build nothing, or for named targets alone: they never ask which `native` is."""

PROCESSOR_TIME = "processor seconds"
SPENT = pytest.StashKey[float]()
"""What this process had spent when the last report was made."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine",
        choices=["native", *MODELS],
        default="native",
        help="what `native` is to mean: this processor, or a machine model of tests/machines.py",
    )
    parser.addoption("--costs", type=int, default=0, metavar="N", help="list the N tests that took longest")


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(50_000, 20, 20)
    # What was measured of this processor lies in its user's cache: no test compiles by that.
    cache = tempfile.TemporaryDirectory(prefix="chainrule-cache-")
    config.add_cleanup(cache.cleanup)
    os.environ["CHAINRULE_CACHE"] = cache.name
    # The workers of xdist inherit the environment in which their parent has changed the compiler.
    if config.option.machine != "native" and not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="chainrule-compiler-")
        config.add_cleanup(folder.cleanup)
        disguise(config.option.machine, Path(folder.name))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what compiles for `native`: modules built as users build them, files that ask for the model."""
    for item in items:
        if compiles_for_native(item):
            item.add_marker(pytest.mark.native)


def compiles_for_native(item: pytest.Item) -> bool:
    if getattr(item.module, "native", None) is native:
        return True
    if not any(map(item.path.is_relative_to, NATIVE_FOLDERS)):
        return False
    elsewhere = item.path.stem.removeprefix("test_") in ANY_PROCESSOR.get(item.path.parent.name, ())
    return not elsewhere or not {"built", "compiled", "hurried"}.isdisjoint(item.fixturenames)


def pytest_collection_finish() -> None:
    """What the tests stand on is there for good: the collector of cycles need not go through it each time."""
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    return f"machine: {config.option.machine}"


def processor_seconds() -> float:
    """Of this process, and of the children that it has waited for: C compilers, commands under test."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Each report says what processor time went by since the one before; the first, since the start."""
    report = yield
    now = processor_seconds()
    report.user_properties.append((PROCESSOR_TIME, now - item.config.stash.get(SPENT, 0.0)))
    item.config.stash[SPENT] = now
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """How many random cases were examined and what the tests took, of all workers together."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [(r.nodeid, *p) for r in reports if hasattr(r, "user_properties") for p in r.user_properties]
    # What a test has recorded stands in the report of its end as well.
    cases = {test: n for test, name, n in properties if name == "random cases"}
    if cases:
        terminalreporter.write_line(f"random cases examined: {sum(cases.values()):,}, all without a failure")
    seconds: Counter[str] = Counter()
    for test, name, value in properties:
        if name == PROCESSOR_TIME:
            seconds[test] += value
    terminalreporter.write_line(f"processor time: {sum(seconds.values()) / 60:.1f} minutes")
    for test, value in seconds.most_common(terminalreporter.config.option.costs):
        terminalreporter.write_line(f"{value:7.1f} s  {test}")
