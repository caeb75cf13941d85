"""Which machine models the tests compile for: the one place that says so.

What the compiler chooses depends on the machine model alone, so a choice is tested for named models, all of
them, and needs no processor. Kernels are run too: the code for any model runs on any processor, since vectors
that it has not are computed in shorter ones by the C compiler.

`native` means this processor with the defaults of its model, or what `pytest --machine NAME` says: a C
compiler in disguise then describes another one, to this process and to those that tests start. So the suite
runs as if on each of `MODELS`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from compiler.machine.registry import all_targets, processors
from compiler.machine.target import Target
from compiler.toolchain.build import find_toolchain
from compiler.toolchain.compile_file import described_target

PLAIN_COMPILER = "CHAINRULE_TEST_CC"
"""Environment variable: the C compiler behind the one in disguise."""


@cache
def processor() -> Target:
    """The target of this processor, whatever `native` is to mean."""
    toolchain = find_toolchain()
    plain = os.environ.get(PLAIN_COMPILER)
    if plain:
        toolchain = replace(toolchain, command=tuple(shlex.split(plain)))
    return described_target(toolchain)


@cache
def native() -> Target:
    """The target that `native` means in this run."""
    return described_target(find_toolchain())


def runnable(target: Target) -> Target:
    """The same target, with flags by which this processor can run it: its own, else the processor's."""
    own = processor()
    foreign = target.flags and (not own.flags or target.machine.vector_bytes > own.machine.vector_bytes)
    return replace(target, flags=own.flags) if foreign else target


BFLOAT16 = runnable(all_targets()["x86-64-v4-bf16"])
"""x86-64-v4 with products of bfloat16, by which nothing else is chosen than there in float32 and float64."""

TARGETS = {name: runnable(target) for name, target in all_targets().items() if not target.machine.bfloat16}
"""Every other named target, the widest first."""

MODELS = {
    name: runnable(replace(target, name=name, machine=processor.machine))
    for name, (target, processor) in processors().items()
}
"""Every machine model that `native` can be, as a target with its name."""

every_model = pytest.mark.parametrize("target", list(MODELS.values()), ids=list(MODELS))


def shared_out(table: Iterable[object], parts: int) -> pytest.MarkDecorator:
    """Parametrizes `target` and `part`: each machine model has one of so many parts of a table, which
    together have all of it; in `make long` each has all."""
    rows, models = list(table), list(MODELS.values())
    some = [pytest.param(m, rows[n % parts :: parts], id=m.name) for n, m in enumerate(models)]
    every = [pytest.param(m, rows, id=f"{m.name}-all", marks=pytest.mark.long) for m in models]
    return pytest.mark.parametrize(("target", "part"), [*some, *every])


def targets(ordinary: int | Iterable[str] = len(TARGETS)) -> pytest.MarkDecorator:
    """Parametrizes `target`: these targets, or so many, in `make test`, the others in `make long`."""
    names = list(TARGETS)[:ordinary] if isinstance(ordinary, int) else list(ordinary)
    rows = [pytest.param(m, marks=[pytest.mark.long] * (name not in names)) for name, m in TARGETS.items()]
    return pytest.mark.parametrize("target", rows, ids=list(TARGETS))


def disguise(name: str, folder: Path) -> None:
    """From now on, in this process and its children, the C compiler takes the processor for `MODELS[name]`.

    Code is built for that model's instructions where this processor has them, else for its own. Raises
    pytest.UsageError on a processor whose C compiler has no -march=native to replace."""
    own = processor()
    if not own.flags:
        raise pytest.UsageError("--machine: only a C compiler for x86 can be put in disguise")
    command = shlex.join(find_toolchain().command)
    flags = " ".join(MODELS[name].flags)
    macros = "\\n".join(f"#define {macro} 1" for macro in processors()[name][1].known_by[0])
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"cc-{name}"
    script.write_text(DISGUISED.format(command=command, flags=flags, macros=macros))
    script.chmod(0o755)
    os.environ[PLAIN_COMPILER] = command
    os.environ["CC"] = shlex.quote(str(script))
    native.cache_clear()


DISGUISED = """#!/bin/sh
# {command}, where -march=native is another processor.
case " $* " in
*" -march=native -dM "*) printf '{macros}\\n'; exit ;;
esac
for argument do
    shift
    if [ "$argument" = -march=native ]; then set -- "$@" {flags}; else set -- "$@" "$argument"; fi
done
exec {command} "$@"
"""
