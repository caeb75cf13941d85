"""What the page of `chainrule explain` shows with numbers: an example's way, cost, code, deep networks."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import prod
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from compiler.ir.tensor.interpreter import run
from compiler.tools.explain.as_html import as_html
from compiler.tools.explain.blocks import Block, Code, Fold, Lines, Play, Table, Timeline
from compiler.tools.explain.colours import coloured
from compiler.tools.explain.cost import cost_part, live
from compiler.tools.explain.example import BATCH, Journey, journey
from compiler.tools.explain.fates import health_part
from compiler.tools.explain.folding import repeats
from compiler.tools.explain.health import DEPTH, KINDS, STARTS, STEPS, Health, Start, health
from compiler.tools.explain.material import Material, material
from compiler.tools.explain.measured import Measured, Sampled, measured
from compiler.tools.explain.outline import outline
from compiler.tools.explain.pictures import picture
from compiler.tools.measure.peak import Peak
from compiler.tools.measure.schedule import calls_in_order, report_of

RESIDUAL = """
from chainrule import Conv2D, CrossEntropy, Dense, Flatten, Input, MaxPool2D, Model, ReLU, SGD, Softmax

x = Input(6, 6, 1)
h = Conv2D(2, 3, padding="same", name="first")(x)
h = MaxPool2D(2)(ReLU()(Conv2D(2, 3, padding="same", name="second")(h) + h))
y = Softmax()(Dense(3, name="last")(Flatten()(h)))
model = Model(x, y, loss=CrossEntropy(), optimizer=SGD(0.1), name="residual")
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "residual.py"
    path.write_text(RESIDUAL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(path: Path) -> Material:
    return material(path, "x86-64-v3", "float64", "kernels")


@pytest.fixture(scope="module")
def way(model: Material) -> Journey:
    found = journey(model)
    assert found is not None
    return found


@cache
def constructed() -> Health:
    """As if networks had been run."""
    slopes = tuple(0.5 ** (DEPTH - k) for k in range(DEPTH))
    start = Start(dict.fromkeys(KINDS, slopes), dict.fromkeys(KINDS, 0.25))
    losses = tuple(float(STEPS - k) for k in range(STEPS))
    exploded = (1.0, 1e60, *[float("nan")] * (STEPS - 2))
    return Health(
        dict.fromkeys(STARTS, start), dict.fromkeys(KINDS, 0.5) | {"tanh": float("nan")}, losses, exploded
    )


def as_if_measured(model: Material, way: Journey) -> Measured:
    """As if every kernel had taken a millisecond."""
    calls = list(calls_in_order(model.source.plans.values()))
    report = report_of(model.source, BATCH, Peak(50.0, 2.0), 1e-3 * len(calls), [1e-3] * len(calls))
    examples = SimpleNamespace(inputs={}, parameters={}, words=way.words)
    return Measured(report, 1e-3, 3e-3, 1e10, Sampled(4, 8e-3, 0.01), examples, (1.0,))


def test_every_layer_has_a_value_and_a_cotangent(model: Material, way: Journey) -> None:
    computed = {one.definition.name: one for one in way.computed}
    back = {one.definition.of for one in way.computed if one.back}
    layers = {row.name for row in model.source.lowered.layers} - {"input"}
    assert layers <= set(computed)
    assert layers <= back
    assert {p.name for p in model.source.lowered.parameters} <= back
    # No parameter needs the derivative by the images.
    assert way.stopped == ("input",) and "input" not in back
    assert way.saved_operations > 0


def test_the_gradients_are_those_of_the_loss(model: Material, way: Journey) -> None:
    """By differences of the formulas, at the values that are shown."""
    given = {tensor.name for tensor, _ in way.given}
    assert given == {"input", "label"}
    rng = np.random.default_rng(0)
    values = {
        spec.name: run(spec.initializer, {}, batch=1)["value"] for spec in model.source.lowered.parameters
    }
    values["input"] = rng.standard_normal((BATCH, 6, 6, 1))
    values["label"] = rng.integers(0, 3, BATCH)
    shown = {one.definition.of: one.value for one in way.computed if one.back}
    np.testing.assert_array_equal(dict((t.name, v) for t, v in way.given)["input"], values["input"][0])
    for name in ("first.kernel", "last.bias"):
        direction = rng.standard_normal(values[name].shape)
        losses = [
            run(model.training, values | {name: values[name] + step * direction})["loss"]
            for step in (1e-6, -1e-6)
        ]
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(np.vdot(shown[name], direction), rel=1e-5)


def test_what_comes_back_along_branches_is_added_up(way: Journey) -> None:
    (first,) = [one for one in way.computed if one.back and one.definition.of == "first"]
    assert len(first.parts) == 2
    np.testing.assert_allclose(sum(part.value for part in first.parts), first.value, rtol=1e-12)
    assert all(np.abs(part.value).max() > 0 for part in first.parts)


def test_what_is_kept_is_what_the_way_back_reads(way: Journey) -> None:
    for one in way.computed:
        readers = [d.name for d in way.program.definitions if one.definition.name in d.tensors]
        back = [name for name in readers if way.program[name].role == "cotangent"]
        assert one.kept_for == (() if one.back else tuple(back))
    kept = {one.definition.name for one in way.computed if one.kept_for}
    assert any(name.endswith("winner") for name in kept)


def test_the_player_knows_until_when_a_value_is_kept(model: Material) -> None:
    (play,) = [block for block in outline(model) if isinstance(block, Play)]
    ways = [stage.way for stage in play.stages]
    assert ways[:2] == ["given", "given"] and ways[-1] == "stop"
    assert ways.index("back") > max(k for k, way in enumerate(ways) if way == "forward")
    assert ways.count("gradient") == 6
    for number, stage in enumerate(play.stages):
        assert play.until(number) > number if stage.kept else play.until(number) == -1


@pytest.mark.parametrize("shape", [(), (7,), (1600,), (5, 4), (3, 3, 2, 8), (200, 3), (26, 26, 40)], ids=str)
def test_a_picture_is_a_png_of_the_values(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal(shape)
    found = picture("x", values)
    data = base64.b64decode(found.data)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (found.width, found.height)
    length = struct.unpack(">I", data[data.index(b"IDAT") - 4 : data.index(b"IDAT")])[0]
    start = data.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(data[start : start + length]), np.uint8)
    pixels = rows.reshape(found.height, found.width + 1)[:, 1:]
    shown = pixels[pixels != 255].astype(int)
    assert shown.max() == 254 or shown.min() == 0
    if len(shape) < 2:
        numbers = np.rint(127 + 127 * np.ravel(values) / np.abs(values).max())
        np.testing.assert_array_equal(shown, numbers)


@pytest.mark.parametrize(
    ("looks", "jumps", "found"),
    [
        ("abcabcabcz", (), [("abc", 2)]),
        ("zababab", (), [("ab", 2)]),
        ("aab", (), []),
        ("aaaab", (), [("a", 3)]),
        ("xabab", ((0, 2), (2, 4)), [("ab", 1)]),
        ("xabab", ((0, 2),), []),  # the second does not read what stands as far before it
        ("abcd", (), []),
    ],
)
def test_blocks_that_repeat_are_folded(looks: str, jumps: tuple, found: list) -> None:
    """Letters are layers that look alike; each reads the one before it, and some one farther back."""
    layers = [f"{letter}{k}" for k, letter in enumerate(looks)]
    arrows = [*pairwise(["given", *layers]), *((layers[a], layers[b]) for a, b in jumps)]
    folds = repeats(layers, arrows, {name: name[0] for name in layers})
    assert [("".join(n[0] for n in f.block), len(f.copies)) for f in folds] == found
    names = [name for f in folds for block in (f.block, *f.copies) for name in block]
    assert len(set(names)) == len(names)


def test_memory_fits_the_place_that_is_planned(model: Material) -> None:
    plan = model.source.plan("training")
    counts = live(plan, "float64")
    assert counts and 0 < max(counts) <= plan.tile_bytes


def test_what_was_measured_is_drawn(model: Material, way: Journey) -> None:
    blocks = tuple(cost_part(model, as_if_measured(model, way)))
    (timeline,) = [block for block in blocks if isinstance(block, Timeline)]
    for one, other in zip(timeline.bars, timeline.bars[1:], strict=False):
        assert other.start >= one.start + one.length - 1e-9
    roofline = [block for block in blocks if isinstance(block, Lines)][-1]
    assert roofline.roof is not None and len(roofline.series[0].points) == len(roofline.series[0].labels)
    # On the roof the bandwidth and the peak meet.
    (_, (knee, peak), _) = roofline.roof.points
    assert peak / knee == pytest.approx(10.0)
    assert "÷ forward" in str(blocks)


def test_the_naive_way_stands_beside_in_numbers(model: Material, way: Journey) -> None:
    """Two forward passes for each weight, at the pace of the sampled ones: a second for four of them here."""
    found = replace(as_if_measured(model, way), forward=0.125, gradient=0.5, sampled=Sampled(4, 1.0, 0.01))
    tables = [block for block in cost_part(model, found) if isinstance(block, Table)]
    (times,) = [table for table in tables if table.head == ("what", "time", "÷ forward")]
    shares = {row[0]: float(row[2].replace(",", "")) for row in times.rows}
    weights = sum(prod(parameter.shape) for parameter in model.source.lowered.parameters)
    assert shares["forward"] == 1
    assert shares["backward"] == 3
    assert shares["differences for 4 weights"] == 8
    assert shares[f"differences for all {weights:,} weights, at this pace"] == 2 * weights


def test_code_and_formula_have_the_same_marks(model: Material) -> None:
    """Every loop over an axis of the formula, and every tensor, is marked on both sides."""
    blocks = outline(model)
    page = ElementTree.fromstring(as_html(blocks).partition("\n")[2])
    codes = [block for block in walk(blocks) if isinstance(block, Code)]
    kernels = [e for e in page.iter("div") if e.get("class") == "kernel"]
    assert len(kernels) == len(codes) > 5
    seen = set()
    for code, kernel in zip(codes, kernels, strict=True):
        (shown,) = kernel.iter("pre")
        assert "".join(shown.itertext()) == code.text
        in_code = {e.get("data-at") for e in shown.iter("span") if e.get("data-at")}
        in_formula = {e.get("data-at") for e in kernel.iter() if e.tag == "mrow" and e.get("data-at")}
        axes = {axis: f"i{number}" for number, axis in enumerate(code.axes)}
        loops = {axes[v] for v in re.findall(r"for (\w+) in range", code.text) if v in axes}
        assert loops <= in_code & in_formula
        seen |= {mark[0] for mark in in_code & in_formula}
    assert seen == {"i", "t"}


def walk(blocks: tuple[Block, ...]):
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from walk(block.blocks)


def test_code_is_coloured_and_escaped() -> None:
    code = Code(
        "k", "for i in range(3):  # <\n    # i of w\n    x = w_v0[i] * 2.5", (), ("i",), (("w", "w"),)
    )
    assert coloured(code).splitlines() == [
        '<span class="word">for</span> <span data-at="i0">i</span> <span class="word">in</span> '
        '<span class="word">range</span>(<span class="digit">3</span>):  # &lt;',
        '<span class="comment">    # <span data-at="i0">i</span> of w</span>',
        '    x = <span data-at="t0">w_v0</span>[<span data-at="i0">i</span>] * '
        '<span class="digit">2.5</span>',
    ]


def test_the_fate_of_gradients_is_said() -> None:
    words = str(tuple(health_part(constructed())))
    assert "6.0e-08 vanishes" in words and "diverged" in words
    assert "the loss is no number after 2 steps" in words


@pytest.mark.long
def test_deep_networks_show_what_they_are_known_for() -> None:
    """Compiled and run: what vanishes, what does not, what dies, what clipping prevents."""
    found = health()
    starts = {name.partition(":")[0]: start for name, start in found.starts.items()}
    assert starts["Glorot"].slopes["sigmoid"][0] < 1e-9
    assert starts["small"].slopes["ReLU"][0] < 1e-9 < 1e-3 < starts["He"].slopes["ReLU"][0]
    assert starts["large"].slopes["ReLU"][0] > 30
    assert all(start.slopes["ReLU, normalised"][0] > 0.03 for start in starts.values())
    assert all(start.slopes["ReLU, residual"][0] > 1 for start in starts.values())
    assert starts["He"].dead["ReLU"] > 0.1 and starts["He"].dead["LeakyReLU"] == 0
    assert found.died["ReLU"] >= starts["He"].dead["ReLU"] and found.died["LeakyReLU"] == 0
    assert found.clipped[-1] < found.clipped[0] / 10
    assert not np.isfinite(found.unclipped[-1])


@pytest.mark.long
def test_a_model_is_built_and_measured(path: Path) -> None:
    model = material(path, dtype="float32", instruments="kernels")
    found = measured(model, path)
    assert found.gradient > 0 and found.bandwidth > 0
    assert found.sampled.weights > 10 and found.sampled.worst < 0.2
    assert found.losses[-1] < found.losses[0]
    assert set(found.examples.parameters) == {p.name for p in model.source.lowered.parameters}
    assert journey(model, found.examples) is not None
