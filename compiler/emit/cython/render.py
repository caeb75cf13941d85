"""Fills the templates: turns a module into text, decides nothing about mathematics, loops or memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from compiler.emit.cython import elementary
from compiler.emit.cython.gathers import print_gather
from compiler.emit.cython.kernels import KernelNames
from compiler.emit.cython.methods import Names, print_method, taken_apart
from compiler.emit.cython.names import LIBRARY, TEMPLATES
from compiler.emit.cython.routines import context_fields, function_names, print_routine
from compiler.emit.cython.rows import one_of_each, row_names, row_texts
from compiler.emit.cython.together import together_text
from compiler.emit.cython.vectors import PAIRS, transpose_steps, vector_types
from compiler.ir.module.grammar import Memory, Routine
from compiler.ir.module.methods import Method
from compiler.ir.module.module import Module
from compiler.ir.module.signature import Row
from compiler.ir.tensor.kinds import SCALAR_KINDS
from compiler.machine.elements import REALS
from compiler.machine.target import Target

SCALARS = {"batch_size": "batch", "rate": "self._rate", "step": "self._step"}
"""What a network gives its routines for each scalar."""


def render_module(module: Module, target: Target) -> str:
    """A trainable module's .pyx."""
    signature = module.signature
    rows = row_texts(signature, module.dtype)
    fields = {row.name: row.field for row in rows if row.field}
    shapes = {row.name: f"{row.constant}_SHAPE" for row in rows}
    shown = {row.name: row.called for row in rows}
    names = Names(fields, shapes, shown, module.storage.parameters.size)
    batch = next((m for m in module.methods if isinstance(m, Method) and m.rows), None)
    ordinary = [print_method(method, names) for method in module.methods if not method.mode]
    of_modes = [print_method(method, names) for method in module.methods if method.mode]
    return render(
        "module.pyx.jinja",
        *(module.routines, module.memory, target, module.dtype, signature.of("input", "label")),
        apart=module.training,
        together=together_text(module.training, module.dtype),
        module=module,
        storage=module.storage,
        given=[row for row in rows if row.use in ("input", "label")],
        inputs=[row for row in rows if row.use == "input"],
        labels=[row for row in rows if row.use == "label"],
        outputs=[row for row in rows if row.use == "output"],
        gathers=[print_gather(row) for row in rows if row.use == "input" and row.scaling],
        sums=signature.of("sum"),
        metrics={row.key: row.shape for row in signature.of("metric")},
        several=not one_of_each(signature),
        losses=tuple(row.name for row in signature.of("value"))[1:],
        counted={row.name: (row.over, row.weight) for row in signature.of("value") if row.over},
        tangents=module.tangents,
        cotangents=module.cotangents,
        example_states=module.storage.example_state_values,
        methods=ordinary,
        methods_of_modes=of_modes,
        several_arrays=[] if batch is None else [*taken_apart(batch)],
        learning_rate=signature.one("rate").default,
        scalars=[SCALARS[kind] for kind in SCALAR_KINDS],
        batch_scalar=SCALAR_KINDS.index("batch_size"),
    )


def render(
    template: str,
    routines: Sequence[Routine],
    memory: Memory,
    target: Target,
    dtype: str,
    batches: Sequence[Row],
    *,
    apart: Routine | None = None,
    folders: Sequence[Path] = (),
    **values: object,
) -> str:
    """A template of ours, or one of `folders`, filled with kernels and routines. `batches` are the inputs and
    labels that a Context points at; `apart` is the routine whose phases can be run one by one too."""
    environment = _templates(tuple(folders))
    taken = {*row_names(batches), *(name for routine in routines for name in function_names(routine))}
    names = KernelNames(target.machine.lengths(dtype), taken)
    fields = context_fields(batches)
    printed = [print_routine(r, names.name_of, fields, apart=r is apart) for r in routines]
    kernels = names.described()
    return environment.get_template(template).render(
        routines=printed,
        kernels=kernels,
        small_tiles=any(routine.least < routine.tile for routine in routines),
        sites=sum(routine.sites for routine in routines),
        memory=memory,
        dtype=dtype,
        machine=_machine(target, dtype),
        **_elementary(kernels, dtype),
        pairs=any(f"bfloat16_{word}" in line for k in kernels for line in k["lines"] for word in PAIRS),
        transposes={length: transpose_steps(length) for length in names.transposed},
        fetches=names.fetches,
        roots=any("roots" in line for kernel in kernels for line in kernel["lines"]),
        **values,
    )


@cache
def _templates(folders: tuple[Path, ...]) -> jinja2.Environment:
    """Reads templates, each once in a process: to compile them takes as long as to fill them ten times."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES, LIBRARY]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["literal"] = repr
    return environment


def _elementary(kernels: Sequence[Mapping[str, Any]], dtype: str) -> dict[str, object]:
    """What the preamble writes down of exp, tanh and the like: only of those that some kernel calls."""
    single = dtype == "float32"
    functions = elementary.used_functions((line for kernel in kernels for line in kernel["lines"]), single)
    numbers = elementary.numbers(functions) if single else {}
    return {"functions": functions, "numbers": numbers, "binary": elementary.BINARY}


def _machine(target: Target, dtype: str) -> dict[str, object]:
    """What the preamble writes down of the machine: types, and the target's own words of C."""
    real = REALS[dtype]
    return {
        "real": real.c_type,
        "integer": real.integer,
        "lanes": target.machine.lanes(dtype),
        "headers": target.headers,
        "vectors": vector_types(target, dtype),
    }
