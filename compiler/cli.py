"""The command line: `chainrule compile`, `compile`, what uses a module (`train`, …), what looks into a model.

Exit codes: 0 done, 1 failed, 2 wrong usage, 128 + n ended by signal n (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP).
Results alone go to standard output; progress, and what a model file prints, go to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import compiler.values as values
from compiler.errors import CompilerBug, ModelError
from compiler.frontend.isolation import printing_to_stderr
from compiler.machine.elements import DTYPES
from compiler.machine.registry import all_targets
from compiler.modes import MODES
from compiler.tools.derive.command import add_derive
from compiler.tools.explain.command import add_explain
from compiler.tools.measure.doctor import add_doctor
from compiler.tools.watch import Watch
from runtime.arguments import COMMANDS, parse, seed, wrong_environment
from runtime.border import guarded, print_anything

if TYPE_CHECKING:
    from compiler.toolchain.compile_file import Compiled, Options

OK, FAILED = 0, 1


def compile_file(*arguments: Any) -> Compiled:
    """That of the toolchain; its imports take a while, and `derive` does without."""
    from compiler.toolchain import compile_file as toolchain

    return toolchain.compile_file(*arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """`chainrule …`: parse the command line and run one command; returns the exit code."""
    return _run(_parser(), arguments)


def compile_main(arguments: Sequence[str] | None = None) -> int:
    """`compile models/mnist.py`: the same as `chainrule compile models/mnist.py`."""
    parser = argparse.ArgumentParser(prog="compile", description=_COMPILE_HELP)
    parser.add_argument("--version", action=values.Version, nargs=0, help="say which version this is")
    _add_compile_arguments(parser)
    parser.set_defaults(run=_compile)
    return _run(parser, arguments)


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    print_anything()  # the help too
    parsed = parse(parser, arguments)
    if wrong := wrong_environment():
        parser.error(wrong)
    kept = "Nothing that was there before the interrupted command was changed."
    # What trains says itself what it has kept.
    return guarded(
        lambda: parsed.run(parsed), (ModelError, CompilerBug), lambda stopped: kept if stopped else ""
    )


_COMPILE_HELP = (
    "Compile a model file into a module that trains with NumPy and nothing else. "
    "The file is Python code and is executed."
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chainrule", description="The gradient compiler.")
    parser.add_argument("--version", action=values.Version, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(required=True, metavar="command")
    compile_ = commands.add_parser("compile", help="compile a model", description=_COMPILE_HELP)
    _add_compile_arguments(compile_)
    compile_.set_defaults(run=_compile)
    for command in COMMANDS:
        used = commands.add_parser(command.name, help=command.help)
        _add_build_arguments(used)
        command.add_arguments(used)
        used.set_defaults(run=partial(_use_module, command.name, command.mode))
    bench = commands.add_parser("bench", help="measure a model's step, forward and backward pass, prediction")
    _add_bench_arguments(bench)
    bench.set_defaults(run=_bench)
    check = commands.add_parser("check", help="compare a model's derivatives with three other ways")
    _add_build_arguments(check)
    check.add_argument("--batch-size", type=values.positive, default=3, help="random examples (3)")
    check.add_argument("--seed", type=seed, default=0, help="of examples, parameters and tangents (0)")
    check.add_argument(
        "--numerics",
        action="store_true",
        help="instead, the worst float32 error of each layer, and of neighbours together, and at which input",
    )
    check.add_argument(
        "--range",
        type=values.positive_number,
        default=100.0,
        metavar="R",
        help="with --numerics: inputs from -R to R (100)",
    )
    check.set_defaults(run=_check, dtype="float64")
    summary_ = commands.add_parser("summary", help="list a model's layers: shapes, parameters, work, memory")
    summary_.add_argument("model", type=Path, help="a model file, such as models/mnist.py")
    summary_.add_argument("--dtype", default="float32", choices=DTYPES)
    summary_.add_argument("--json", action="store_true", help="print it as JSON")
    summary_.set_defaults(run=_summary)
    add_derive(commands)
    add_explain(commands, _checked)
    new = commands.add_parser("new", help="write a model file to start from")
    new.add_argument("name", help="of the model, such as flowers: flowers.py is written")
    new.add_argument("--kind", choices=("images", "table"), default="images", help="of what (images)")
    new.set_defaults(run=_new)
    passes = commands.add_parser("passes", help="list the passes, and what a module is like without each")
    passes.set_defaults(run=_passes)
    add_doctor(commands)
    return parser


def _add_build_arguments(parser: argparse.ArgumentParser) -> None:
    _add_model_arguments(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("generated"), help="folder for the module (generated)"
    )


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a model file, such as models/mnist.py")
    targets = ("native", *all_targets())
    parser.add_argument(
        "--target", default="native", choices=targets, metavar="TARGET", help=", ".join(targets)
    )
    parser.add_argument("--dtype", default="float32", choices=DTYPES)


def _add_compile_arguments(parser: argparse.ArgumentParser) -> None:
    _add_build_arguments(parser)
    _add_content_arguments(parser)
    parser.add_argument("--force", action="store_true", help="build again even if nothing has changed")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(
        "--explain-schedule",
        action="store_true",
        help="run a step with a clock around every kernel; print each kernel's schedule, why, and its time",
    )
    parser.add_argument("--batch", type=values.positive, default=128, help="examples in that step (128)")
    parser.add_argument(
        "--explain-passes", action="store_true", help="print what each pass did to each program"
    )
    parser.add_argument(
        "--timings", action="store_true", help="build it again, and print where time and memory went"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--dump-after",
        metavar="PASS",
        type=values.step,
        help="print each program and its rewrites after a pass (`chainrule passes` lists them), or after all",
    )


def _add_content_arguments(parser: argparse.ArgumentParser) -> None:
    """What a module holds, and how it is made."""
    parser.add_argument(
        "--modes",
        type=values.modes,
        default="vjp",
        metavar="MODES",
        help=f"what the module offers besides training, of {', '.join(MODES)}; as in --modes jvp,hvp (vjp)",
    )
    parser.add_argument(
        "--without",
        type=values.switches,
        default=frozenset(),
        metavar="PASS[,PASS]",
        help="leave passes out, of those that `chainrule passes` lists",
    )


def _add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    _add_model_arguments(parser)
    _add_content_arguments(parser)
    parser.add_argument("--batch", type=values.positive, default=128, help="examples in a batch (128)")
    parser.add_argument(
        "--threads", type=values.positives, default=(1,), metavar="N[,N]", help="numbers of threads (1)"
    )
    parser.add_argument("--rounds", type=values.positive, default=20, help="turns of each measurement (20)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _summary(arguments: argparse.Namespace) -> int:
    from compiler.tools.summary import render, summarize, to_json

    with printing_to_stderr():
        result = summarize(arguments.model, arguments.dtype)
    print(json.dumps(to_json(result)) if arguments.json else render(result))
    return OK


def _new(arguments: argparse.Namespace) -> int:
    from compiler.tools.new_model import write_model

    path = write_model(arguments.name, arguments.kind)
    print(f"{path} is written; its first lines say how to train it")
    return OK


def _passes(arguments: argparse.Namespace) -> int:
    from compiler.pipeline import PASSES
    from compiler.tools.pass_table import listing

    print(listing(PASSES))
    return OK


def _bench(arguments: argparse.Namespace) -> int:
    from compiler.tools.measure.bench import bench, render, to_json

    with printing_to_stderr():
        options = _options(arguments)
        result = bench(arguments.model, options, arguments.batch, arguments.threads, arguments.rounds)
    print(json.dumps(to_json(result)) if arguments.json else render(result))
    return OK


def _compile(arguments: argparse.Namespace) -> int:
    from compiler.tools.compiled import summary, to_json

    with printing_to_stderr() as results:
        printed = None if arguments.json else results
        watch = Watch(arguments.dump_after, arguments.explain_passes, printed, arguments.timings)
        options, progress = _options(arguments), _progress(arguments.quiet)
        after = watch if watch.wanted else None
        result = compile_file(arguments.model, options, progress, after, watch.stopwatch)
    if arguments.json:
        found = _schedule(arguments) if arguments.explain_schedule else to_json(result)
        print(json.dumps({**found, **watch.to_json()}))
        return OK
    if arguments.explain_passes:
        print(watch.record())
    if arguments.timings:
        print(watch.timed())
    print(_schedule(arguments) if arguments.explain_schedule else summary(result))
    return OK


def _schedule(arguments: argparse.Namespace) -> Any:
    """The report of `--explain-schedule`: as text, or as what JSON can hold."""
    from compiler.tools.measure.schedule import explain_schedule
    from compiler.tools.measure.schedule_text import render, to_json

    with printing_to_stderr():
        report = explain_schedule(arguments.model, _options(arguments), arguments.batch)
    return to_json(report) if arguments.json else render(report)


def _options(arguments: argparse.Namespace) -> Options:
    from compiler.toolchain.compile_file import Options

    out, force = getattr(arguments, "out", Path()), getattr(arguments, "force", False)
    without: frozenset[str] = getattr(arguments, "without", frozenset())
    modes = getattr(arguments, "modes", ("vjp",))
    return Options(out, arguments.target, arguments.dtype, force, without, modes)


def _progress(quiet: bool) -> Callable[[str, float], None]:
    names = {
        "parse": "parse the model",
        "derive": "derive, simplify, schedule",
        "translate": "Cython to C",
        "build": "C to a shared object",
        "side by side": "Cython, C compiler",
    }

    def show(stage: str, seconds: float) -> None:
        if not quiet:
            print(f"  {names[stage]:<28}{seconds:7.2f} s", file=sys.stderr)

    return show


def _use_module(name: str, mode: str | None, arguments: argparse.Namespace) -> int:
    """Run a command of the runtime with the module of a model, or with one of a mode that is built apart."""
    # NumPy and the trainer are imported only by the commands that need them: `compile` stays quick.
    from runtime.commands.table import RUNS

    run = RUNS[name]
    run.check(arguments)
    if mode is None:
        return run.run(arguments, _built_module(arguments, run.building(arguments)))
    import tempfile

    from compiler.toolchain.compile_file import Options
    from runtime.modules import load_module

    with tempfile.TemporaryDirectory() as folder:
        options = Options(Path(folder), arguments.target, arguments.dtype, modes=("vjp", mode))
        with printing_to_stderr():
            compiled = compile_file(arguments.model, options, _progress(arguments.quiet))
        return run.run(arguments, load_module(compiled.module))


def _check(arguments: argparse.Namespace) -> int:
    """The four rungs on a model; or its layers' accuracy."""
    from compiler.tools.check import check_numerics

    if arguments.numerics:
        with printing_to_stderr():
            numerics = check_numerics(arguments.model, reach=arguments.range, seed=arguments.seed)
        print(numerics)
        return OK if numerics.passed else FAILED
    report = _checked(arguments)
    print(report)
    return OK if report.passed else FAILED


def _checked(arguments: argparse.Namespace) -> Any:
    from compiler.tools.checked import checked

    return checked(arguments.model, arguments.target, arguments.batch_size, arguments.seed, _progress(False))


def _built_module(arguments: argparse.Namespace, around: Any) -> ModuleType:
    from compiler.toolchain.built import built_module

    with around, printing_to_stderr():
        return built_module(arguments.model, _options(arguments), _progress(arguments.quiet))


if __name__ == "__main__":
    sys.exit(main())
