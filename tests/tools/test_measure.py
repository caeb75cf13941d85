"""What measures: the processor's pace, instrumented modules, `chainrule bench`. No test looks at how fast."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compiler.cli import main
from compiler.driver import Driver
from compiler.entry_points import MEASURED, entry_points
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.module.entry_point import with_duty
from compiler.ir.tensor.interpreter import run
from compiler.pipeline import steps_of
from compiler.pricing import cost_for
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import Options
from compiler.tools.measure.bench import bench, render, to_json
from compiler.tools.measure.module import instrumented, random_batch
from compiler.tools.measure.peak import measure_peak
from compiler.tools.measure.schedule import explain_schedule
from compiler.tools.measure.schedule_text import render as render_schedule
from tests.machines import TARGETS, native


def test_peak_is_plausible() -> None:
    for target, dtype in ((native(), "float32"), (TARGETS["scalar"], "float64")):
        peak = measure_peak(target, dtype, find_toolchain())
        # Two operations of a multiply-add, two or three of them in a cycle, are as much as a core does.
        assert 0 < peak.gigaflops < 8 * target.machine.lanes(dtype) * peak.gigahertz
        assert peak.gigahertz < 10


def test_forward_program_computes_the_training_loss(models) -> None:
    """What bench calls forward is the loss that a step begins with, dropout included."""
    model = lower(load_model(models("tiny")))
    target = native()
    driver = Driver(cost_for(target, "float32"))
    program = with_duty(entry_points(model, driver, (MEASURED,)), "forward").program
    rng = np.random.default_rng(1)
    values = {p.name: rng.normal(size=p.shape) for p in model.parameters}
    values |= {"input": rng.random((6, 12, 12, 1)), "label": rng.integers(3, size=6)}
    expected = run(model.training, values, seed=3, step=2)["loss"]
    assert run(program, values, seed=3, step=2)["loss"] == pytest.approx(float(expected), rel=1e-12)
    assert run(program, values, seed=3, step=3)["loss"] != pytest.approx(float(expected), rel=1e-6)


def test_ordinary_modules_have_no_instruments(built) -> None:
    module = built("small")
    assert not hasattr(module, "kernel_clocks")
    assert not hasattr(module.Network, "time_program")


def test_instruments_change_no_result(workshop: Path, models, built) -> None:
    ordinary = built("tiny")
    with instrumented(models("tiny"), Options(Path(), instruments="kernels")) as measured:
        module = measured.module
        x, y = random_batch(module, 21)
        module.kernel_clocks()
        states = []
        for net in (ordinary.Network(seed=2, threads=1), module.Network(seed=2, threads=1)):
            states.append([net.train_step(x, y) for _ in range(3)])
            states[-1].append({name: array.tobytes() for name, array in net.parameters.items()})
        assert states[0] == states[1]
        clocks = module.kernel_clocks()
        tiles = -(-21 // module.TILE)
        assert {calls for _, calls in clocks} == {0, 1, 3, 3 * tiles}, (
            "initialize, before the tiles, in a tile"
        )
        assert all(seconds > 0 for seconds, calls in clocks if calls)
        assert all(calls == 0 for _, calls in module.kernel_clocks()), "reading starts them anew"
        net = module.Network(seed=0)
        assert net.time_program("prediction", x, y) > 0
        with pytest.raises(ValueError, match="expected one of the programs"):
            net.time_program("update", x, y)


MORE = ("jvp", "hvp", "diagnose")
"""One module for all tests of benches."""


def test_bench(hurried, models) -> None:
    options = Options(Path(), modes=("vjp", *MORE))
    result = bench(models("small"), options, batch=16, threads=(1, 2), rounds=2)
    assert {f.threads for f in result.figures} == {1, 2}
    for threads in (1, 2):
        step, gradient, forward, backward = (
            result.figure(name, threads) for name in ("step", "gradient", "forward", "backward")
        )
        assert backward.median == pytest.approx(gradient.median - forward.median)
        assert 0 < forward.fastest <= forward.median
        assert step.operations > gradient.operations > forward.operations > 0
    ratios = to_json(result)["ratios"]["1"]
    assert ratios["step_to_forward"] == result.figure("step", 1).median / result.figure("forward", 1).median
    text = render(result)
    assert all(len(line) <= 110 for line in text.splitlines())
    for words in (
        "small: float32",
        "1 thread",
        "2 threads",
        "backward ÷ forward",
        "step ÷ forward",
        "of peak",
    ):
        assert words in text


def test_bench_command(hurried, models, capsys: pytest.CaptureFixture) -> None:
    arguments = ["bench", str(models("small")), "--batch", "8", "--rounds", "1", "--json"]
    arguments += ["--modes", ",".join(MORE)]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["batch"] == 8
    assert {f["name"] for f in result["figures"]} == {
        *("step", "gradient", "forward", "backward", "predict", *MORE)
    }
    with pytest.raises(SystemExit):
        main([*arguments, "--threads", "0"])


def test_bench_of_other_modes(hurried, models) -> None:
    """Their calls are rows like the others, and what they cost is given in forwards."""
    options = Options(Path(), modes=("vjp", *MORE))
    result = bench(models("small"), options, batch=8, threads=(1,), rounds=1)
    forward = result.figure("forward", 1).median
    ratios = to_json(result)["ratios"]["1"]
    text = render(result)
    for name in MORE:
        assert result.figure(name, 1).operations > result.figure("forward", 1).operations
        assert ratios[f"{name}_to_forward"] == result.figure(name, 1).median / forward
        assert f"{name} ÷ forward = {ratios[f'{name}_to_forward']:.2f}" in text
    assert "per_example" not in text


def test_schedule_is_explained(workshop: Path, models) -> None:
    """Every kernel of a step once, with what a reader needs; the numbers fit each other."""
    report = explain_schedule(models("tiny"), Options(Path()), batch=21)
    plans = report.source.plans
    wanted = [k.name for name in ("gradient", "update") for k in plans[name].kernels]
    assert [k.call.kernel.name for k in report.kernels] == wanted
    assert sum(k.measured for k in report.kernels) < report.step
    assert all(k.predicted > 0 for k in report.kernels)
    passes = {row.name: row.example for row in report.passes}
    assert next(iter(passes)) == "the model"
    assert list(passes)[-1] == steps_of()[-1]
    assert 0 < passes["demand"] < passes["commute"] < passes["the model"]
    assert passes["simplify"] <= passes["vjp"] > passes["demand"]
    moved = {k.call.kernel.name: k.moved for k in report.kernels}
    # Read: logits (3 values). Written: the largest of them. 21 examples of float32.
    assert moved["softmax_1.sum1.max"] == 21 * 4 * (3 + 1)
    text = render_schedule(report)
    assert all(len(line) <= 110 for line in text.splitlines())
    assert "register tile" in text
    assert "of peak" in text
    assert "workspace" in text
    assert text.count("predicted") >= len(wanted)


def test_explain_schedule_command(hurried, models, tmp_path: Path, capsys) -> None:
    arguments = ["compile", str(models("small")), "--out", str(tmp_path), "--quiet", "--explain-schedule"]
    arguments += ["--modes", "jvp", "--target", "scalar"]
    assert main([*arguments, "--batch", "8", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["batch"] == 8
    assert {kernel["program"] for kernel in result["kernels"]} == {"gradient", "update"}
    assert (tmp_path / "small.pyx").is_file(), "the ordinary module is there as well"
    assert "clock_start" not in (tmp_path / "small.pyx").read_text()
