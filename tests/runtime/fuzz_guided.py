"""Inputs that are guided by what they reach in the code: by libFuzzer through atheris, one reader a process.

    python -m tests.runtime.fuzz_guided NAME [options of libFuzzer] FOLDER

libFuzzer ends its process at the first input that is answered wrongly, and writes it to a file; what reached
something new stays in the corpus, where the next run begins.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runtime.fuzz_readers import Target

LONGEST_INPUT = 4096
"""Bytes; every seed is shorter."""


@dataclass(frozen=True)
class Guided:
    """Where inputs are kept, and what one may take."""

    corpus: Path
    kept: Path
    seed: int
    seconds: float
    memory: int


def run_guided(target: Target, inputs: int, limits: Guided) -> int:
    """Give so many inputs to a reader, in another process; 1 where one was answered wrongly, else 0."""
    corpus = limits.corpus / target.name
    for folder in (corpus, limits.kept):
        folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    options = {
        "runs": inputs,
        "seed": limits.seed + 1,  # 0 would be the time
        "max_len": LONGEST_INPUT,
        "timeout": int(limits.seconds),
        "rss_limit_mb": limits.memory // 2**20,
        "artifact_prefix": f"{limits.kept / target.name}-",
        "verbosity": 1,
    }
    command = [sys.executable, "-m", "tests.runtime.fuzz_guided", target.name]
    command += [f"-{name}={value}" for name, value in options.items()]
    result = subprocess.run([*command, str(corpus)], capture_output=True, text=True, errors="replace")
    reached = re.findall(r"cov: (\d+)", result.stderr)
    print(
        f"{target.name:14} {inputs:>9,} guided inputs, {reached[-1] if reached else '?'} places reached,"
        f" {sum(1 for _ in corpus.iterdir()):,} kept for the next run",
        flush=True,
    )
    if result.returncode:
        print(result.stderr[-4000:], file=sys.stderr)
    return int(result.returncode != 0)


def main() -> None:
    import atheris

    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["runtime", "compiler.frontend", "compiler.language"]):
        from tests.runtime.fuzz_readers import targets
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        (target,) = (one for one in targets(Path(folder)) if one.name == name)
        path = Path(folder) / f"input{target.ending}"

        def answer(content: bytes) -> None:
            path.write_bytes(content)
            target.refuses(path)

        atheris.Setup([name, *options], answer)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
