"""Runs a layer through its formula and the interpreter, in float64."""

from __future__ import annotations

import numpy as np

from compiler.ir.tensor.interpreter import run
from compiler.ir.tensor.program import Program, Tensor
from compiler.ir.tensor.verify import verify
from compiler.language.formula import Operand, compile_formula
from compiler.language.layers import Layer

BATCH = 2


def forward(
    layer: Layer, *inputs: np.ndarray, training: bool = True, seed: int = 0
) -> tuple[np.ndarray, dict]:
    """The layer's result on inputs (batch, …) and random parameters, and all tensors by name."""
    described = layer.forward(*(x.shape[1:] for x in inputs))
    names = described.input_names(len(inputs))
    operands = {name: Operand(name, (None, *x.shape[1:])) for name, x in zip(names, inputs, strict=True)}
    operands |= {name: Operand(name, parameter.shape) for name, parameter in described.parameters.items()}
    text = described.formula if training or described.inference is None else described.inference
    compiled = compile_formula(
        text,
        operands=operands,
        results={"y": Operand("y", (None, *described.shape))},
        constants=described.constants,
        sizes=described.sizes,
        prefix="layer",
    )
    given = [Tensor(o.name, o.shape, "input" if None in o.shape else "parameter") for o in operands.values()]
    given += [Tensor(o.name, o.shape, "random", stream=k) for k, o in enumerate(compiled.random)]
    given.append(Tensor("batch_size", (), "batch_size"))
    given += [Tensor("iota", (compiled.iota,), "iota")] if compiled.iota else []
    random = np.random.default_rng(seed)
    values = dict(zip(names, inputs, strict=True))
    values |= {name: random.normal(size=p.shape) for name, p in described.parameters.items()}
    program = Program(tuple(given), compiled.definitions, ("y",))
    verify(program)
    tensors = run(program, values, batch=len(inputs[0]))
    return tensors["y"], tensors


def images(height: int, width: int, channels: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, height, width, channels))
