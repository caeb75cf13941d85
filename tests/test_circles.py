"""Imports run one way, within rooms too: a module may not stand on one that stands on it.

Every import counts, in a function and under TYPE_CHECKING too: what needs another module only later, or only
to be read, cannot be understood without it either. What Python does by itself, to run the `__init__.py` of
the packages around a module, does not count: the module uses nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.test_architecture import OBEDIENT, Source, find_imports, own_sources, plant, read_sources

FOLDERS = ("chainrule/", "compiler/", "runtime/")


def circles(sources: Iterable[Source]) -> Iterator[frozenset[str]]:
    """The largest sets of modules each of which stands on all others."""
    modules = {source.module: source for source in sources if source.path.startswith(FOLDERS)}
    stands_on = {}
    for name, source in modules.items():
        targets = (entry.target for entry in find_imports(source))
        nearest = (t if t in modules else t.rpartition(".")[0] for t in targets)
        stands_on[name] = {t for t in nearest if t in modules}
    reached = {name: _reachable(stands_on, name) for name in modules}
    for name in modules:
        circle = frozenset(other for other in reached[name] if name in reached[other])
        if circle and name == min(circle):
            yield circle


def _reachable(edges: Mapping[str, set[str]], start: str) -> set[str]:
    """What can be got to from `start` in one step or more."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_import_runs_in_a_circle() -> None:
    found = [", ".join(sorted(circle)) for circle in circles(own_sources())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "back",
    [
        "from compiler.plan.a import c",
        "from . import a",
        "def later():\n    import compiler.plan.a",
        "if TYPE_CHECKING:\n    from compiler.plan.a import c",
        "from compiler.plan import c",
    ],
)
def test_a_circle_of_imports_is_found(tmp_path: Path, back: str) -> None:
    """Within a room, wherever the import stands; whoever stands beside the circle is not named."""
    planted = {
        "compiler/plan/__init__.py": "from compiler.plan.a import c\n",
        "compiler/plan/a.py": "from compiler.plan import b\n",
        "compiler/plan/b.py": back + "\n",
        "compiler/plan/beside.py": "from compiler.plan import a\n",
    }
    (circle,) = circles(read_sources(plant(tmp_path, OBEDIENT | planted)))
    assert {"compiler.plan.a", "compiler.plan.b"} <= circle and "compiler.plan.beside" not in circle


def test_two_circles_are_two(tmp_path: Path) -> None:
    planted = {
        "runtime/a.py": "from runtime import b\n",
        "runtime/b.py": "from runtime.a import x\n",
        "compiler/plan/c.py": "from compiler.plan import d\nfrom runtime import a\n",
        "compiler/plan/d.py": "from compiler.plan import e\n",
        "compiler/plan/e.py": "from compiler.plan import c\n",
    }
    found = {
        frozenset(name.rpartition(".")[2] for name in circle)
        for circle in circles(read_sources(plant(tmp_path, planted)))
    }
    assert found == {frozenset("ab"), frozenset("cde")}


def test_an_obedient_tree_has_none(tmp_path: Path) -> None:
    assert list(circles(read_sources(plant(tmp_path, OBEDIENT)))) == []
