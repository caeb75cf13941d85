"""`chainrule derive FORMULA`: what the command line takes, and what it prints."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from compiler.errors import ModelError, Problem

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""How many threads the BLAS of NumPy's wheels starts, when it is loaded."""
SELDOM = 50_000
"""New objects, 10 MB of them, after which Python looks for cycles; by itself it does after 700."""
FORMATS = ("text", "latex", "html", "numpy", "cython", "torch", "jax")


def add_derive(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser("derive", help="a formula's derivatives: step by step, typeset, or as code")
    parser.set_defaults(run=run)
    parser.add_argument("formula", help='such as "y = (3x + 2)²" or "y[b, o] = sum[i](w[i, o]·x[b, i])"')
    parser.add_argument(
        "--wrt", default="", metavar="NAME[,NAME]", help="by what (every tensor that is read)"
    )
    parser.add_argument(
        "--modes",
        default="vjp",
        metavar="MODES",
        help="of vjp, jvp, hvp, jacobian; as in --modes vjp,jvp (vjp)",
    )
    parser.add_argument(
        "--sizes", type=_sizes, default={}, metavar="AXIS=N[,AXIS=N]", help="how far axes go (small numbers)"
    )
    parser.add_argument("--steps", action="store_true", help="every step: rule, before, after, why")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="how it is written; numpy, cython, torch, jax are code to paste",
    )
    parser.add_argument(
        "--check", action="store_true", help="measure the steps and the derivatives, five ways"
    )


def _sizes(text: str) -> dict[str, int]:
    try:
        pairs = [part.split("=") for part in text.split(",") if part.strip()]
        sizes = {name.strip(): int(size) for name, size in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected axes and sizes, such as i=3,o=4; found {text!r}"
        ) from None
    if any(size < 1 for size in sizes.values()):
        raise argparse.ArgumentTypeError("a size is 1 or more")
    return sizes


@contextmanager
def _uncollected() -> Iterator[None]:
    """A block whose objects the collector of cycles never looks at."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """A block in which the collector of cycles waits until there is something to collect."""
    thresholds = gc.get_threshold()
    gc.set_threshold(SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """A block in which NumPy, imported there first, starts no threads: they spin for a tenth of a second, and
    nothing is multiplied here that they could share."""
    unset = BLAS_THREADS not in os.environ
    os.environ.setdefault(BLAS_THREADS, "1")
    try:
        yield
    finally:
        if unset:
            del os.environ[BLAS_THREADS]


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for; the exit code."""
    with _seldom_collected():
        return _answered(arguments)


def _answered(arguments: argparse.Namespace) -> int:
    # What is imported stays for good: the collector of cycles would go through it a few hundred times.
    with _uncollected(), _one_blas_thread():
        from compiler.tools.derive.api import Derivation, derive
    found = derive(arguments.formula, wrt=arguments.wrt, modes=arguments.modes, sizes=arguments.sizes)
    steps = arguments.steps
    writers: Mapping[str, Callable[[Derivation], str]] = {
        "text": lambda d: d.text(steps),
        "latex": lambda d: d.latex(steps),
        "html": lambda d: d.html(steps),
        "numpy": lambda d: d.numpy,
        "cython": lambda d: d.cython,
        "torch": lambda d: d.torch,
        "jax": lambda d: d.jax,
    }
    if arguments.format != "text":
        for note in found.asked.notes:
            print(f"note: {note}", file=sys.stderr)
    printed = writers[arguments.format](found).rstrip("\n")
    if not arguments.check:
        print(printed)
        return 0
    if arguments.format != "text":
        raise ModelError(Problem("--check prints a table", expected="--format text", found=arguments.format))
    findings = found.check()
    print(f"{printed}\n\n{findings}")
    return 0 if findings.passed else 1
