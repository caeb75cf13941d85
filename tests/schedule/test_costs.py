"""Prices are made of numbers of the machine alone: sources are read for numbers that stand elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import pytest

from compiler.ir.tensor.parser import parse_program
from compiler.machine.costs import Costs
from compiler.machine.registry import all_targets
from compiler.schedule.choosing import schedule_of
from compiler.schedule.context import context_of
from compiler.schedule.schedule import Schedule
from compiler.schedule.settings import Settings
from compiler.schedule.strategies.register_tile import RegisterTile
from tests.harness import at_once
from tests.machines import TARGETS

COMPILER = Path(__file__).resolve().parents[2] / "compiler"
ROOMS = ("passes", "schedule", "plan")
BESIDE = ("driver.py", "facts.py", "pipeline.py", "pricing.py")

NO_COSTS = {
    # Roundings of a long sum.
    "schedule/blocks.py": {"BLOCK", "GROUP", "SHORT_LANE", "SHORT_LIST", "SHORT_BATCH"},
    "schedule/settings.py": {"LONGEST_BATCH"},  # roundings
    "schedule/compaction.py": {"LARGEST_LIST", "MOST_BUCKETS"},  # what a stack holds
    "schedule/panels.py": {"EXAMPLES"},  # what a panel has room for
    "schedule/nonzero.py": {"LONGEST_LIST"},  # the same
    "schedule/contraction.py": {"FACTORS"},  # what is tried; the price decides
    "schedule/diagonals.py": {"WEIGHTS"},  # what is tried
    "schedule/diagonal_costs.py": {"SAMPLES"},  # where points are counted
    "schedule/elements.py": {"SMALL_LIMIT"},  # what a byte holds
    "schedule/header.py": {"TERMS_SHOWN"},  # how long a comment is
    "plan/whole.py": {"LANES", "LANE_TILES", "PARTS", "TYPICAL_BATCH"},  # whose sums are added up, by whom
    "plan/tiling.py": {"LARGEST_TILE"},  # every lane has a tile
    "plan/memory.py": {"ALIGNMENT"},
    "plan/storage.py": {"ARENA_ALIGNMENT"},
    "plan/joining.py": {"MOST_READS", "MOST_TERMS"},  # how large a term may become
    "passes/gather/invert.py": {"MOST_APART"},  # how many choices are compared
    "passes/gather/gather.py": {"WINNER_LIMIT", "PHASE_LIMIT"},  # how long a text may become
    "passes/winograd/choice.py": {"LARGEST_ERROR_RATIO"},  # rounding
    "passes/winograd/match.py": {"LONGEST_FILTER"},  # the same
    "passes/winograd/form.py": {"MOST_DIRECTIONS"},  # a cube has no more
    "passes/winograd/transforms.py": {"POINTS", "LARGEST"},  # what transforms are made of
    "pipeline.py": {"PASSES"},  # the table
    "pricing.py": {"TYPICAL_TILE"},  # what is compared
}
"""Numbers that have names and are no costs, by the file that they stand in."""
PRICING = ("cycles", "cost", "pays", "cheapest")
"""A function with such a word in its name computes a price."""


def numbers(node: ast.AST) -> Iterator[ast.Constant]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and type(inner.value) in (int, float):
            yield inner


def stray_costs(path: str, text: str) -> Iterator[str]:
    """Numbers that a price could be made of: named ones, fractions, and those in the function of a price."""
    tree = ast.parse(text)
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = {t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)}
            if any(numbers(statement.value)) and not names <= NO_COSTS.get(path, set()):
                yield f"{path}:{statement.lineno}: {', '.join(sorted(names))}"
    for number in numbers(tree):
        if isinstance(number.value, float) and number.value not in (0.0, 1.0):
            yield f"{path}:{number.lineno}: {number.value}"
    for function in ast.walk(tree):
        priced = isinstance(function, ast.FunctionDef) and any(word in function.name for word in PRICING)
        for number in numbers(function) if priced else ():
            if number.value not in (0, 1):
                yield f"{path}:{number.lineno}: {number.value} in {function.name}"


def test_no_cost_stands_elsewhere() -> None:
    paths = [path for room in ROOMS for path in sorted((COMPILER / room).rglob("*.py"))]
    paths += [COMPILER / name for name in BESIDE]
    found = {p.relative_to(COMPILER).as_posix(): p.read_text(encoding="utf-8") for p in paths}
    assert [message for path, text in found.items() for message in stray_costs(path, text)] == []
    assert NO_COSTS.keys() <= found.keys()


@pytest.mark.parametrize(
    "text",
    [
        "STORE_CYCLES = 3\n",
        "LOAD, STORE = 1, 2\n",
        "SHARE: float = 1 / 8\n",
        "def f(points):\n    return points * 0.25\n",
        "def _cycles(points):\n    return 4 * points\n",
    ],
)
def test_a_planted_cost_is_found(text: str) -> None:
    assert len(list(stray_costs("schedule/loops.py", text))) >= 1


def test_every_cost_says_what_it_is() -> None:
    """Behind each field stands what it is, with its unit, and how it was measured."""
    tree = ast.parse((COMPILER / "machine/costs.py").read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    pairs = pairwise(body)
    named = [n for n, after in pairs if isinstance(n, ast.AnnAssign) and docstring(after)]
    assert [node.target.id for node in named] == [field.name for field in fields(Costs)]


def docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


PROGRAM = parse_program("""
input x: (batch, 30, 8) real
input label: (batch, 30) index < 9
parameter k: (8, 40) real
y: (batch, 30, 40) real = sum of "y"
    for b:batch, h:30, o:40, c:8: [b, h, o] += k[c, o]*x[b, h, c]
z: (batch, 9) real = sum of "z"
    for b:batch, h:30: [b, label[b, h]] += x[b, h, 0]
w: (8, 40) real = sum of "w"
    for b:batch, h:30, o:40, c:8: [c, o] += x[b, h, c]*y[b, h, o]
outputs z, w
""")


def scheduled(name: str, settings: Settings) -> Schedule:
    entries = (PROGRAM[name],)
    return schedule_of(entries, context_of(entries, PROGRAM, settings))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dtype_has_its_own(target: str, dtype: str) -> None:
    """A machine whose scatters are dearer in one dtype prices those of that dtype alone higher."""
    usual = TARGETS[target]
    own = {"float32": "single", "float64": "double"}[dtype]
    dearer = replace(usual.machine.costs(dtype), scatter_point=1000.0)
    machine = replace(usual.machine, **{own: dearer})
    for name, changes in (("float32", dtype == "float32"), ("float64", dtype == "float64")):
        schedule = scheduled("z", Settings(usual, name, 4))
        before, after = (schedule.cost(m).cycles for m in (usual.machine, machine))
        assert (after > before) == changes


def test_choices_follow_the_machine() -> None:
    """Where loads take long another tile is the cheapest; where a phase
    is worth more than nothing, a sum runs over the whole batch."""
    usual = TARGETS["x86-64-v4"]
    slow = replace(usual, machine=replace(usual.machine, load_bytes=4))
    machines = (usual, slow)
    tiles = [scheduled("y", Settings(target, "float32", 4)) for target in machines]
    assert all(isinstance(tile, RegisterTile) for tile in tiles)
    assert tiles[0].tile != tiles[1].tile
    free = replace(usual.machine.single, phase_bytes=-(10**9))
    cheap = replace(usual, machine=replace(usual.machine, single=free))
    found = [at_once(PROGRAM, Settings(target, "float32", 4)) for target in (usual, cheap)]
    assert found == [frozenset(), frozenset({"w"})]


@pytest.mark.parametrize("target", TARGETS)
def test_bytes_not_values(target: str) -> None:
    """What memory decides is twice as much for values of twice the size: clearing; loads of vectors."""
    usual = TARGETS[target]
    machine = usual.machine
    without = replace(machine.single, scatter_point=0.0), replace(machine.double, scatter_point=0.0)
    bare = replace(usual, machine=replace(machine, single=without[0], double=without[1]))
    single, double = (scheduled("z", Settings(bare, dtype, 4)) for dtype in ("float32", "float64"))
    assert double.cycles(bare.machine) == 2 * single.cycles(bare.machine) > 0
    lanes = [machine.lanes(dtype) for dtype in ("float32", "float64")]
    if machine.vector_bytes:
        assert machine.load_slots(lanes[0] * 4) == machine.load_slots(lanes[1] * 8)


def test_float64_and_every_length_of_vectors_have_numbers_of_their_own() -> None:
    """What a value takes differs by how many of them a vector holds, and a number says so for each."""
    lanes: dict[int, set[float]] = {}
    for target in all_targets().values():
        machine = target.machine
        single, double = (machine.costs(dtype) for dtype in ("float32", "float64"))
        assert single is not double and single.loop_point <= double.loop_point, target.name
        assert single.strip_value < double.strip_value and single.random_value < double.random_value
        for dtype in ("float32", "float64"):
            lanes.setdefault(machine.lanes(dtype), set()).add(machine.costs(dtype).lanes_sum)
    assert all(len(numbers) == 1 for numbers in lanes.values()), "as many steps as lanes want"
    assert [*lanes] and sorted(lanes) == sorted(lanes, key=lambda n: min(lanes[n]))
