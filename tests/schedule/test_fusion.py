"""A contraction with what follows it in one kernel, against the same kernels apart: equal to the last bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from compiler.derive.jvp import jvp
from compiler.derive.vjp import cotangent_name, vjp
from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.machine.target import Target
from compiler.schedule.settings import Settings
from tests.derive.cases import formula_program
from tests.harness import plans_of
from tests.machines import every_model, shared_out
from tests.schedule.building import lowered
from tests.schedule.running import interpret_programs

BATCH = 5
TILE = 2


@dataclass(frozen=True)
class Chain:
    """A formula over x (and z), and what its first kernel must be made of, gradients apart."""

    formula: str
    shapes: Mapping[str, tuple[int | None, ...]]
    result: tuple[int | None, ...]
    apart: int
    """Kernels of the forward program without fusion."""
    fused: int
    """Kernels of it with fusion."""
    others: tuple[tuple[str, tuple[int | None, ...]], ...] = ()

    def program(self) -> Program:
        kinds = {name: "input" if None in shape else "parameter" for name, shape in self.shapes.items()}
        inputs = [Tensor(name, shape, kinds[name]) for name, shape in self.shapes.items()]
        return formula_program(self.formula, inputs, dict((*self.others, ("y", self.result))), {})


IMAGE = {"x": (None, 9, 9, 3), "kernel": (2, 2, 3, 20), "bias": (20,)}
ROWS = {"x": (None, 7), "kernel": (7, 19), "bias": (19,)}
CONVOLUTION = "conv[b, h:8, w:8, o] = sum[p, q, c](kernel[p, q, c, o] * x[b, h + p, w + q, c]) + bias[o];"
PRODUCT = "h[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o];"

CHAINS = {
    "max and relu": Chain(
        CONVOLUTION
        + "top[b, i, j, c] = max[p:2, q:2](conv[b, 2*i + p, 2*j + q, c]);"
        + "y[b, i, j, c] = max(top[b, i, j, c], 0)",
        IMAGE,
        (None, 4, 4, 20),
        3,
        1,
    ),
    "min over rows, leaky, into another shape": Chain(
        CONVOLUTION
        + "low[b, i, w, c] = min[p:4](conv[b, 4*i + p, w, c]);"
        + "bent[b, i, w, c] = low[b, i, w, c] if low[b, i, w, c] > 0 else low[b, i, w, c]/10;"
        + "y[b, ravel(i, w, c)] = bent[b, i, w, c]",
        IMAGE,
        (None, 2 * 8 * 20),
        4,
        1,
    ),
    "a skip added, limited": Chain(
        PRODUCT + "y[b, o] = min((h[b, o] + z[b, o])/4, 1)*z[b, o]",
        ROWS | {"z": (None, 19)},
        (None, 19),
        2,
        1,
    ),
    "a sum of two contractions": Chain(
        PRODUCT
        + "g[b, o] = sum[j](other[j, o] * z[b, j]);"
        + "both[b, o] = h[b, o] + g[b, o]; y[b, o] = max(both[b, o], 0)",
        ROWS | {"z": (None, 5), "other": (5, 19)},
        (None, 19),
        4,
        2,
    ),
    "read elsewhere too": Chain(
        PRODUCT + "bent[b, o] = max(h[b, o], 0); y[b] = sum[o](bent[b, o] * h[b, o])",
        ROWS,
        (None,),
        3,
        2,
    ),
    "windows that overlap": Chain(
        CONVOLUTION + "y[b, i, j, c] = max[p:3, q:3](conv[b, 2*i + p, 2*j + q, c])",
        IMAGE,
        (None, 3, 3, 20),
        2,
        2,
    ),
    "a choice inside another": Chain(
        PRODUCT + "y[b, o] = min(max(h[b, o]/4 + 1/2, 0), 1)",
        ROWS,
        (None, 19),
        2,
        1,
    ),
    "a function that vectors have not": Chain(
        PRODUCT + "y[b, o] = exp(h[b, o])",
        ROWS,
        (None, 19),
        2,
        2,
    ),
}


def kernels(settings: Settings) -> dict[str, int]:
    """How many kernels each chain is computed by."""
    programs = [chain.program() for chain in CHAINS.values()]
    plans = plans_of(programs, settings, frozenset() if settings.fuse else frozenset(["join"]))
    return {name: len(plan.kernels) for name, plan in zip(CHAINS, plans, strict=True)}


@every_model
def test_what_is_one_kernel(target: Target) -> None:
    """Otherwise the test below would show nothing; what cannot be fused is not."""
    settings = Settings(target, "float32", TILE)
    assert kernels(settings) == {name: chain.fused for name, chain in CHAINS.items()}
    assert kernels(replace(settings, fuse=False)) == {name: chain.apart for name, chain in CHAINS.items()}


@shared_out(CHAINS, 3)
def test_values_and_winners(target: Target, part: list[str]) -> None:
    """Numbers, ties and NaN: values and cotangents, which lie where the winners were."""
    settings = Settings(target, "float32", TILE)
    programs = []
    for chain in (CHAINS[name] for name in part):
        forward = chain.program()
        program, _ = vjp(forward, "y", tuple(chain.shapes), seed="input")
        programs.append(replace(program, outputs=("y", *program.outputs)))
    ready = [lowered(program, target, "float32") for program in programs]
    fused = interpret_programs(ready, settings)
    apart = interpret_programs(ready, replace(settings, fuse=False))
    for number, name in enumerate(part):
        for kind in ("numbers", "ties", "NaN"):
            inputs = values(programs[number], kind)
            found, same = (module.run(number, inputs, batch=BATCH) for module in (fused, apart))
            for output in programs[number].outputs:
                np.testing.assert_array_equal(
                    found[output], same[output], err_msg=f"{name}, {kind}: {output}"
                )
            if kind == "ties":
                wanted = run(programs[number], inputs, batch=BATCH)
                for output in programs[number].outputs:
                    np.testing.assert_allclose(found[output], wanted[output], 1e-5, 1e-5, err_msg=name)


TANGENTS = {"max and relu": 2, "min over rows, leaky, into another shape": 2, "windows that overlap": 4}
"""Kernels of a chain and of its tangents. What a window's winner picks is in registers, where windows do not
overlap; the tangents of kernel and image are summed in the same registers."""


FUSED_ALONE = frozenset({"winograd", "pick"})
"""Passes that make other contractions of these tangents, where it pays; what is tested is what joins one."""


def tangents(names: Iterable[str]) -> list[Program]:
    """The tangent of each of these chains."""
    return [jvp(CHAINS[name].program(), tuple(CHAINS[name].shapes), ("y",))[0] for name in names]


@every_model
def test_what_tangents_are_computed_by(target: Target) -> None:
    ready = [lowered(program, target, "float32", FUSED_ALONE) for program in tangents(TANGENTS)]
    plans = plans_of(ready, Settings(target, "float32", TILE))
    assert [len(plan.kernels) for plan in plans] == list(TANGENTS.values())


@shared_out(TANGENTS, 3)
def test_tangents(target: Target, part: list[str]) -> None:
    """What is read at saved winners: in the contraction's kernel and apart, and as the interpreter has it."""
    settings = Settings(target, "float32", TILE)
    programs = tangents(part)
    ready = [lowered(program, target, "float32", FUSED_ALONE) for program in programs]
    fused = interpret_programs(ready, settings)
    apart = interpret_programs(ready, replace(settings, fuse=False))
    for number, name in enumerate(part):
        for kind in ("numbers", "ties", "NaN"):
            inputs = values(programs[number], kind)
            found, same = (module.run(number, inputs, batch=BATCH) for module in (fused, apart))
            wanted = run(programs[number], inputs, batch=BATCH) if kind != "NaN" else same
            for output in programs[number].outputs:
                message = f"{name}, {kind}: {output}"
                np.testing.assert_allclose(found[output], same[output], 1e-5, 1e-5, err_msg=message)
                np.testing.assert_allclose(found[output], wanted[output], 1e-5, 1e-5, err_msg=message)


def values(program: Program, kind: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    result = {}
    for tensor in program.inputs:
        shape = [BATCH if extent is None else extent for extent in tensor.shape]
        array = random.standard_normal(shape).astype(np.float32)
        if kind == "ties":
            array = np.round(array)
        if kind == "NaN" and tensor.name == "x":
            array[1, 3] = np.nan
        result[tensor.name] = array
    return result


def test_a_cotangent_is_named() -> None:
    """What the test above compares holds the cotangents of everything."""
    program, _ = vjp(CHAINS["max and relu"].program(), "y", ("x",), seed="input")
    assert program.outputs == ("y", cotangent_name("x"))
