"""What `make docs` does besides: it runs every command that a page shows, and puts the README in front.

A hook of MkDocs. What a page shows of a command is what the command prints; `…` stands for lines left out.
"""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compiler.cli import main

ROOT = Path(__file__).parents[2]


def shown(markdown: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each command of a page, and the lines below it."""
    for block in markdown.split("```")[1::2]:
        first, *lines = block.strip("\n").splitlines() or [""]
        if first.startswith("$ chainrule "):
            yield shlex.split(first)[2:], lines


def differences(markdown: str) -> Iterator[str]:
    """What a page shows and no command prints; commands that fail. Only `derive` is run."""
    for arguments, lines in shown(markdown):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            failed = arguments[0] == "derive" and main(arguments) != 0
        if failed:
            yield f"{arguments} failed"
        for part in "\n".join(["", *lines, ""]).split("\n…\n") if arguments[0] == "derive" else ():
            if part.strip("\n") not in printed.getvalue():
                yield f"{arguments}\n{part}\nin\n{printed.getvalue()}"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Raise ValueError where a page shows what is not printed."""
    for difference in differences(markdown):
        raise ValueError(f"{page.file.src_uri} shows what is not printed: {difference}")
    return markdown


def on_files(files: Any, *, config: Any) -> Any:
    """The README is the first page."""
    from mkdocs.structure.files import File

    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=text))
    return files
