"""`chainrule explain MODEL`: what the command line takes, and what it writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

FORMATS = ("html", "text", "markdown", "latex")


def add_explain(commands: Any, checked: Callable[[argparse.Namespace], Any]) -> None:
    """Add the command to the others; `checked` compiles and measures the model, for --check."""
    parser = commands.add_parser("explain", help="a page with a model's mathematics, cost and code")
    parser.add_argument("model", type=Path, help="a model file, such as models/mnist.py")
    parser.add_argument("--format", choices=FORMATS, default="html", help="of what is written (html)")
    parser.add_argument(
        "-o", "--output", type=Path, help="the file, - for standard output (which it is; html: NAME.html)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="build and measure nothing: no times, no networks that train, no evidence",
    )
    parser.add_argument("--check", action="store_true", help="evidence, with --quick or another target too")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--target", default="native", help="what the kernels are for (native)")
    parser.set_defaults(run=lambda arguments: run(arguments, checked), batch_size=3, seed=0)


def run(arguments: argparse.Namespace, checked: Callable[[argparse.Namespace], Any]) -> int:
    """Write the page; the exit code."""
    from compiler.frontend.isolation import printing_to_stderr
    from compiler.tools.explain.as_html import as_html
    from compiler.tools.explain.as_latex import as_latex
    from compiler.tools.explain.as_words import as_markdown, as_text
    from compiler.tools.explain.health import health
    from compiler.tools.explain.material import material
    from compiler.tools.explain.measured import measured
    from compiler.tools.explain.outline import outline

    with printing_to_stderr():
        # Of another machine nothing can be measured here.
        measuring = not arguments.quick and arguments.target == "native"
        instruments: Literal["none", "kernels"] = "kernels" if measuring else "none"
        model = material(arguments.model, arguments.target, arguments.dtype, instruments)
        found = measured(model, arguments.model) if measuring else None
        report = checked(arguments) if measuring or arguments.check else None
        blocks = outline(model, report, found, health() if measuring else None)
    writers: Mapping[str, Callable[..., str]] = {
        "html": as_html,
        "text": as_text,
        "markdown": as_markdown,
        "latex": as_latex,
    }
    page = writers[arguments.format](blocks) + "\n"
    output = arguments.output
    if output is None and arguments.format == "html":
        output = Path(f"{model.name}.html")
    if output is None or str(output) == "-":
        sys.stdout.write(page)
    else:
        output.write_text(page, encoding="utf-8")
        print(output)
    return 0
