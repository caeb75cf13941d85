"""`make fuzz`: files that nobody wrote, for every reader; each must be read, or refused with a sentence.

    python -m tests.runtime.fuzz --inputs 1000000 --seed 0

Two thirds of the inputs are guided by what they reach in the code, by atheris, where that is installed
(tests/runtime/fuzz_guided.py). The others are valid files of which some bytes are flipped, cut out, doubled,
overwritten by numbers at an edge or by pieces of other seeds. What a reader refuses must be an error of its
own kind, and no input may take more than a few seconds, or more memory than there is. An input that does is
kept in a file.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.runtime.fuzz_guided import Guided, run_guided
from tests.runtime.fuzz_readers import Target, targets

SLOW_SECONDS = 5.0
MEMORY_BYTES = 2**32
"""What the process may take in all: a header that promises terabytes must not be believed."""
EDGES = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\xff" * 4,
    b"\x00" * 8,
    b"\xff" * 8,
    b"9" * 20,
    b"-1",
    b"1e999",
    b"nan",
    b"{",
    b'"',
]
CRASHES = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError),
    *(OSError, EOFError, RuntimeError, MemoryError, SyntaxError, ImportError),
)
"""What no input may end in."""


def mutated(draw: random.Random, content: bytes, others: tuple[bytes, ...]) -> bytes:
    """A few changes to valid contents."""
    result = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place = draw.randrange(len(result) + 1)
        end = min(len(result), place + draw.choice((1, 2, 8, 64)))
        match draw.randrange(6):
            case 0 if result:
                result[min(place, len(result) - 1)] ^= 1 << draw.randrange(8)
            case 1:
                del result[place:end]
            case 2:
                result[place:place] = result[place:end]
            case 3:
                edge = draw.choice(EDGES)
                result[place : place + len(edge)] = edge
            case 4:
                other = draw.choice(others)
                begin = draw.randrange(len(other) + 1)
                result[place:end] = other[begin : begin + draw.choice((1, 8, 64))]
            case _:
                del result[place:]
    return bytes(result)


def shared_out(inputs: int, every: list[Target]) -> Iterator[tuple[Target, int]]:
    """How many of the inputs each reader gets, by its share; the first one what is left over."""
    shares = sum(target.share for target in every)
    counts = [inputs * target.share // shares for target in every]
    counts[0] += inputs - sum(counts)
    yield from zip(every, counts, strict=True)


def run(inputs: int, seed: int, kept: Path, only: str = "") -> int:
    """Give so many changed files to the readers; the number of those that were answered wrongly."""
    draw, counts, wrong = random.Random(seed), Counter[str](), 0
    warnings.simplefilter("ignore")  # Pillow says much about what is damaged
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = [target for target in targets(folder) if only in target.name]
        seeds = tuple(content for target in every for content in target.seeds)
        for target, share in shared_out(inputs, every):
            path = folder / f"input{target.ending}"
            for number in range(share):
                path.write_bytes(mutated(draw, draw.choice(target.seeds), seeds))
                answer = _answer(target, path)
                counts[f"{target.name} {answer}"] += 1
                if answer == "wrong":
                    wrong += 1
                    kept.mkdir(parents=True, exist_ok=True)
                    place = kept / f"{target.name}-{seed}-{number}{target.ending}"
                    place.write_bytes(path.read_bytes())
                    print(f"kept: {place}")
    for what, count in sorted(counts.items()):
        print(f"{what:28}{count:>10,}")
    return wrong


def _answer(target: Target, path: Path) -> str:
    began = time.perf_counter()
    try:
        answer = "refused" if target.refuses(path) else "read"
    except CRASHES:
        answer = "wrong"
        traceback.print_exc()
    if time.perf_counter() - began > SLOW_SECONDS:
        answer = "wrong"
        print(f"{target.name}: {time.perf_counter() - began:.1f} s")
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name has this in it")
    parser.add_argument("--kept", type=Path, default=Path("fuzz-findings"))
    parser.add_argument(
        "--corpus", type=Path, default=Path(".fuzz-corpus"), help="inputs that reached something new are here"
    )
    parser.add_argument("--blind", action="store_true", help="no input is guided by what others have reached")
    arguments = parser.parse_args()
    guided = 0 if arguments.blind or not importlib.util.find_spec("atheris") else arguments.inputs * 2 // 3
    wrong = 0
    if guided:
        limits = Guided(arguments.corpus, arguments.kept, arguments.seed, SLOW_SECONDS, MEMORY_BYTES)
        with tempfile.TemporaryDirectory() as name:
            every = [target for target in targets(Path(name)) if arguments.only in target.name]
            for target, share in shared_out(guided, every):
                wrong += run_guided(target, share, limits)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    wrong += run(arguments.inputs - guided, arguments.seed, arguments.kept, arguments.only)
    print(f"{arguments.inputs:,} inputs, {guided:,} of them guided, {wrong} answered wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
