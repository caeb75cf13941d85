"""`compile models/mnist.py`: from a model file to an importable module, through the cache.

Nothing here imports SymPy, NumPy or Cython until something must really be built: compiling an unchanged
model is a hash and a file copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler.errors import ModelError, Problem
from compiler.frontend.parse import load_model
from compiler.language.description import Model
from compiler.machine.elements import element_bytes, real_of
from compiler.machine.registry import all_targets, native_flags, native_target
from compiler.machine.target import Target
from compiler.modes import checked_modes
from compiler.stopwatch import Stopwatch
from compiler.toolchain.apart import apart
from compiler.toolchain.build import (
    OPTIMISATION,
    Toolchain,
    build_apart,
    compile_shared,
    extension_suffix,
    find_toolchain,
    predefined_macros,
    python_headers,
    translate,
)
from compiler.toolchain.cache import compiler_digest, fetch
from compiler.toolchain.cache_entry import everyone_may_write, key_of
from compiler.toolchain.measured import known_of
from compiler.toolchain.versions import version_of
from runtime.files import folder_made, try_folder, write_together

if TYPE_CHECKING:
    from compiler.driver import Step
    from compiler.module_source import Instruments, ModuleSource
    from compiler.plan.plan import Plan

LEAST_MODULE = 2**18
"""Bytes that the files of the smallest module take, together."""
Progress = Callable[[str, float], None]


def silent(stage: str, seconds: float) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True)
class Options:
    """How to compile: where to, for which machine, in which precision."""

    out: Path
    target: str = "native"
    dtype: str = "float32"
    force: bool = False
    without: frozenset[str] = frozenset()
    """Passes to leave out: names of `compiler.pipeline.PASSES`."""
    modes: tuple[str, ...] = ("vjp",)
    instruments: Instruments = "none"
    """For measurements: the time of each program, or of each kernel call too."""


@dataclass(frozen=True)
class Compiled:
    """What came out: the files, whether they were in the cache, seconds, and the facts of the summary."""

    source: Path
    module: Path
    stub: Path
    """What type checkers read of the module."""
    cached: bool
    seconds: float
    facts: dict[str, Any]


def compile_file(
    model: Model | str | Path,
    options: Options,
    progress: Progress = silent,
    after: Callable[[Step], None] | None = None,
    stopwatch: Stopwatch | None = None,
) -> Compiled:
    """Compile a model, or a model file.

    Raises ModelError for what the user can mend, OSError when a disk is full.

    Whatever happens, the files in `options.out` are all the old ones or all the new ones. A cached build
    that cannot be used is said on standard error.
    """
    start = time.perf_counter()
    stopwatch = stopwatch or Stopwatch()
    options = replace(options, modes=checked_modes(options.modes))
    read: Model = _timed(progress, stopwatch, "parse", lambda: described(model))
    too_large = read.memory_problems(element_bytes("real", real_of(options.dtype)), available_memory())
    if too_large:
        raise ModelError(*too_large)
    toolchain = find_toolchain()
    python_headers()
    target = target_for(options.target, toolchain, _note)
    key = _key(read, options, target, toolchain)
    name = read.name or "model"
    suffix = extension_suffix()

    source, module, stub = (options.out / f"{name}{ending}" for ending in (".pyx", suffix, ".pyi"))

    def build(folder: Path) -> None:
        for file in (source, module, stub):
            try_folder(file, LEAST_MODULE)
        _build(read, name, options, target, toolchain, key, folder, progress, after, stopwatch)

    if options.force or after is not None:
        # Asked to show its work, or to do it again: the hash of the moment makes a key of its own.
        key = key_of(key, str(time.time_ns()))
    with _checked_out(options.out):
        files, cached = fetch(key, build, _note)
        write_together({file: files[file.name] for file in (source, module, stub)})
    facts = json.loads(files["facts.json"])
    return Compiled(source, module, stub, cached, time.perf_counter() - start, facts)


def described(model: Model | str | Path) -> Model:
    """The model itself, or the one that a file describes. Raises ModelError with all that is wrong."""
    if not isinstance(model, Model):
        return load_model(model)
    model.check()
    return model


@contextlib.contextmanager
def _checked_out(out: Path) -> Iterator[None]:
    """The folder for the module, made, unless anyone at all could put another module there."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder_made(out))
        except OSError as error:
            raise ModelError(
                Problem(
                    f"the folder {out} for the module cannot be made",
                    expected="a folder, or the name of one, where you may write",
                    found=error.strerror or str(error),
                    advice="another --out (out= from Python)",
                )
            ) from error
        status = out.stat()
        if everyone_may_write(status):
            raise ModelError(
                Problem(
                    f"everyone may write to {out}, so no module is put there",
                    expected="a folder in which nobody else can replace it",
                    found=f"mode {status.st_mode & 0o7777:04o}",
                    advice=f"chmod o-w {out}, or another --out",
                )
            )
        yield


def available_memory() -> int:
    """Bytes of memory that this machine has, or that the control group of this process may use."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    texts = (path.read_text().strip() for path in limits if path.is_file())
    return min([whole, *(int(text) for text in texts if text.isdigit())])


def module_of(model: Model | str | Path, options: Options) -> tuple[Path, str]:
    """Where a model's module is put, and the hash that it says it was built from; nothing is built.

    Raises ModelError for what is wrong with the model.
    """
    model = described(model)
    file = options.out / f"{model.name or 'model'}{extension_suffix()}"
    return file, digest_of(model, options.dtype)


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def target_for(name: str, toolchain: Toolchain, said: Callable[[str], None] = lambda text: None) -> Target:
    """The target of a name; `native` reads memory as fast as was measured, if it was.

    `said` is told of a measurement that cannot be used. Raises ModelError for a target that does not exist.
    """
    if name == "native":
        described = described_target(toolchain)
        known = known_of(described.machine)
        if known.ignored:
            said(f"the measurement {known.file} is ignored: {known.ignored}")
        return replace(described, machine=known.machine(described.machine))
    targets = all_targets()
    if name not in targets:
        raise ModelError(Problem("unknown target", expected=", ".join(["native", *targets]), found=name))
    return targets[name]


def described_target(toolchain: Toolchain) -> Target:
    """What `native` is by the C compiler's description alone, whatever was measured."""
    return native_target(predefined_macros(toolchain, native_flags(platform.machine())))


def _key(model: Model, options: Options, target: Target, toolchain: Toolchain) -> str:
    packages = [f"{package} {version_of(package)}" for package in ("sympy", "cython", "jinja2")]
    return key_of(
        model.fingerprint(),
        model.name or "model",
        options.dtype,
        ",".join(sorted(options.without)),
        ",".join(options.modes),
        options.instruments,
        repr(target),
        " ".join([*toolchain.command, *OPTIMISATION, *toolchain.for_loops]),
        toolchain.version,
        ",".join(sorted(predefined_macros(toolchain, target.flags))) if target.name == "native" else "",
        extension_suffix(),
        sys.version,
        *packages,
        compiler_digest(),
    )


def _build(
    model: Model,
    name: str,
    options: Options,
    target: Target,
    toolchain: Toolchain,
    key: str,
    folder: Path,
    progress: Progress,
    after: Callable[[Step], None] | None,
    stopwatch: Stopwatch,
) -> None:
    # SymPy takes half a second to import: only what is really built pays for it.
    from compiler.module_source import compile_to_source

    digest = digest_of(model, options.dtype)
    source = _timed(
        progress,
        Stopwatch(),  # its stages have their own
        "derive",
        lambda: compile_to_source(
            model,
            target,
            options.dtype,
            digest,
            after or (lambda step: None),
            options.without,
            options.modes,
            options.instruments,
            stopwatch=stopwatch,
        ),
    )
    path = folder / f"{name}.pyx"
    path.write_text(source.text, encoding="utf-8")
    path.with_suffix(".pyi").write_text(source.stub, encoding="utf-8")
    shared = folder / f"{name}{extension_suffix()}"
    texts = apart(source.text)
    if texts is None:
        c_file = _timed(progress, stopwatch, "translate", lambda: translate(path))
        _timed(progress, stopwatch, "build", lambda: compile_shared(c_file, shared, toolchain, target.flags))
        c_file.unlink()
    else:
        build = partial(build_apart, texts, name, shared, toolchain, target.flags)
        _timed(progress, stopwatch, "side by side", build)
    (folder / "facts.json").write_text(json.dumps(facts_of(source), indent=1))


def digest_of(model: Model, dtype: str) -> str:
    """What a module and its weights are known by: a hash of the layers, a dash, a hash of everything.

    Weights are of a network, whatever it was trained by; so its layers have a part of their own.
    """
    return f"{key_of(model.network())[:16]}-{key_of(model.fingerprint(), dtype)[:16]}"


def facts_of(source: ModuleSource) -> dict[str, Any]:
    """The numbers of the summary: what was derived, what was generated, what a step costs."""
    training, update = source.plan("training"), source.plan("update")
    derived = [s for s in source.steps if s.program == training.name and s.name == "vjp"]
    kernels = [k for plan in source.plans.values() for k in plan.kernels]
    return {
        "model": source.name,
        "target": source.settings.target.name,
        "dtype": source.settings.precision,
        "modes": list(source.modes),
        "layers": [replace(row).__dict__ for row in source.lowered.layers],
        "parameters": source.lowered.parameter_count,
        "state": source.lowered.state_count,
        "derived": sum(r.rule == "vjp" for s in derived for r in s.rewrites),
        "rewrites": {f"{s.program}/{s.name}": len(s.rewrites) for s in source.steps if s.rewrites},
        "kernels": len({k.name for k in kernels}),
        "rounded": sum(
            s.name == "round" and len(s.rewrites) for s in source.steps if s.program == training.name
        ),
        "operations_forward": operations_of(source.plan("prediction"))[0],
        "operations_step": operations_of(training)[0],
        "tile": source.settings.tile,
        "workspace_bytes": training.tile_bytes,
        "step": [training.name, update.name],
        "operations": {name: operations_of(plan) for name, plan in source.plans.items()},
        "duties": {entry.duty: entry.name for entry in source.entries if entry.duty},
        "methods": methods_of_modes(source),
        "lines": source.text.count("\n"),
    }


def methods_of_modes(source: ModuleSource) -> list[dict[str, Any]]:
    """What modes bring: a method, whether it takes tangents, and its program by the parameters."""
    methods = source.module.of_modes if source.module is not None else ()
    return [
        {"mode": m.mode, "method": m.name, "tangents": m.tangents, "program": m.first_routine}
        for m in methods
    ]


def operations_of(plan: Plan) -> tuple[int, int]:
    """Operations of a program for each example of the batch, and for each call besides."""
    example = sum(kernel.operations for kernel in plan.kernels if kernel.per_example)
    return example, sum(kernel.operations for kernel in plan.kernels if not kernel.per_example)


def _timed(progress: Progress, stopwatch: Stopwatch, stage: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    with stopwatch.stage(stage):
        result = work()
    progress(stage, time.perf_counter() - start)
    return result
