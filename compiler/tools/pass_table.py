"""The table of passes as text: for the command line, for the documentation, and what they did to programs."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.driver import Step
from compiler.ir.tensor.printer import print_program
from compiler.pipeline import Pass


def listing(passes: Iterable[Pass]) -> str:
    """A line for each pass and what it does, and one for what a module is like without it."""
    rows = tuple(passes)
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        without = f"without it {row.without}" if row.without else f"always: {row.needed}"
        lines += [f"{row.name:<{width}}  {row.help}", f"{'':<{width}}  {without}"]
    return "\n".join(lines)


def markdown(passes: Iterable[Pass]) -> str:
    """The table at the head of docs/passes.md."""
    lines = ["| pass | part | what it does | `--without` it |", "|---|---|---|---|"]
    for row in passes:
        without = row.without or f"never: {row.needed}"
        lines.append(f"| `{row.name}` | {row.part} | {row.help} | {without} |")
    return "\n".join(lines)


def shown(step: Step) -> str:
    """What `--dump-after` prints: the rewrites that a pass took, then the program."""
    head = f"# {step.program}, after {step.name} ({step.seconds * 1e3:.1f} ms)"
    return "\n".join([head, *map(str, step.rewrites), print_program(step.result)])


def shown_to_json(step: Step) -> dict[str, object]:
    """What `--dump-after` prints, as JSON."""
    rewrites = [str(rewrite) for rewrite in step.rewrites]
    return {**_facts(step), "rewrites": rewrites, "text": print_program(step.result)}


def record_to_json(steps: Iterable[Step]) -> list[dict[str, object]]:
    """What `--explain-passes` prints, as JSON."""
    return [
        {
            **_facts(step),
            "rewrites": len(step.rewrites),
            "before": len(step.before.definitions),
            "after": len(step.result.definitions),
        }
        for step in steps
    ]


def _facts(step: Step) -> dict[str, object]:
    return {"program": step.program, "pass": step.name, "seconds": step.seconds}


def record(steps: Iterable[Step], *, times: bool = False) -> str:
    """What each pass did to each program: rewrites, and definitions before and after; the same text for the
    same model, but for `times`."""
    rows = [
        (
            step.program,
            step.name,
            str(len(step.rewrites)),
            str(len(step.before.definitions)),
            str(len(step.result.definitions)),
            *([f"{step.seconds * 1e3:.1f}"] if times else []),
        )
        for step in steps
    ]
    head = ("program", "pass", "rewrites", "before", "after", *(["ms"] if times else []))
    table = [head, *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if k < 2 else f"{cell:>{width}}"
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
