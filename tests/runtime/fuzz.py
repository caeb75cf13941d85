"""`make fuzz`: files that nobody wrote, for every reader; each must be read, or refused with a sentence.

    python -m tests.runtime.fuzz --inputs 1000000 --seed 0

Valid files are the seeds. Some of their bytes are flipped, cut out, doubled, overwritten by numbers at an
edge or by pieces of other seeds. What a reader refuses must be an error of its own kind, and no input may
take more than a few seconds, or more memory than there is. An input that does is kept in a file.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tests.runtime.fake_network as fake_network
from compiler import SGD, Formula, Input, MeanSquaredError, Sequential
from compiler.errors import ModelError
from runtime.augmentation import Augmentation
from runtime.checkpoint import read_checkpoint
from runtime.data.arrays import load_array, load_arrays
from runtime.data.idx import read_idx
from runtime.data.images import Reading, read_image
from runtime.data.tables import load_table
from runtime.data.text import load_text
from runtime.errors import ChainruleRuntimeError
from runtime.interface import ModelInterface
from runtime.safetensors import load_file, save_file
from runtime.trainer import fit

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
OWN = (ChainruleRuntimeError, ModelError)
CRASHES = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError),
    *(OSError, EOFError, RuntimeError, MemoryError, SyntaxError),
)
"""What no input may end in."""


@dataclass(frozen=True)
class Target:
    """A reader, the ending of its files, and valid contents."""

    name: str
    ending: str
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]


def targets(folder: Path) -> tuple[Target, ...]:
    """Every reader of files, and of texts that a user writes."""
    rows = ModelInterface.of_module(
        fake_network.make_module("fuzz_rows", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,))
    )
    formula = b"y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]"
    return (
        Target("safetensors", ".safetensors", load_file, (_safetensors(folder),)),
        Target("checkpoint", ".checkpoint", read_checkpoint, (_checkpoint(folder),)),
        Target("idx", ".idx", lambda path: read_idx(path, 3), tuple(_idx())),
        Target("npz", ".npz", load_arrays, (_saved(np.savez), _saved(np.savez_compressed))),
        Target("npy", ".npy", load_array, (_array(np.ones((3, 4), np.float32)), _array(np.arange(5)))),
        Target("csv", ".csv", lambda path: load_table(path, rows), tuple(_tables())),
        Target("text", ".txt", lambda path: load_text(path, 8), ("Many words, ß too.\n".encode() * 9,)),
        Target("image", ".png", lambda path: read_image(path, Reading((8, 8, 1), True)), tuple(_images())),
        Target("formula", ".formula", _formula, (formula, b"y[b, i] = exp(x[b, i]) if x[b, i] > 0 else -1")),
        Target("augmentation", ".augment", _augmentation, (b"shift=0.1,rotate=10,flip,noise=0.02",)),
    )


def _formula(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    layers = [Input(8), Formula(text)]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1)).problems


def _augmentation(path: Path) -> object:
    return Augmentation.parsed(path.read_bytes().decode("utf-8", "replace"))


def _safetensors(folder: Path) -> bytes:
    save_file(folder / "seed", {"a": np.ones((2, 3), np.float32), "b": np.arange(4)}, {"key": "text"})
    return (folder / "seed").read_bytes()


def _checkpoint(folder: Path) -> bytes:
    from runtime.callbacks import ModelCheckpoint

    module = fake_network.make_module("fuzz_small", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,))
    x, y = np.ones((8, 3), np.float32), np.zeros(8, int)
    saver = ModelCheckpoint(folder / "seed")
    fit(module.Network(), x, y, verbose=0, ema=0.9, callbacks=[saver])
    return (folder / "seed").read_bytes()


def _idx() -> Iterator[bytes]:
    plain = bytes([0, 0, 8, 3, *(2).to_bytes(4, "big"), *(3).to_bytes(4, "big"), *(3).to_bytes(4, "big")])
    plain += bytes(range(18))
    yield from (plain, gzip.compress(plain))


def _saved(save: Callable[..., None]) -> bytes:
    handle = io.BytesIO()
    x, y = np.ones((4, 3), np.float32), np.zeros(4, np.int64)
    save(handle, x_train=x, y_train=y, x_test=x, y_test=y)
    return handle.getvalue()


def _array(array: np.ndarray) -> bytes:
    handle = io.BytesIO()
    np.save(handle, array)
    return handle.getvalue()


def _tables() -> Iterator[bytes]:
    yield b"a,b,label,c\n" + b"".join(b"%d,2.5,%d,-1\n" % (k, k % 2) for k in range(20))
    yield b"".join(b'1,2,3,"yes, no"\n' for _ in range(20))


def _images() -> Iterator[bytes]:
    from PIL import Image

    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
        handle = io.BytesIO()
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(handle, kind)
        yield handle.getvalue()


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


def run(inputs: int, seed: int, kept: Path, only: str = "") -> int:
    """Give so many inputs to the readers in turn; the number of those that were answered wrongly."""
    draw, counts, wrong = random.Random(seed), Counter[str](), 0
    warnings.simplefilter("ignore")  # Pillow says much about what is damaged
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = [target for target in targets(folder) if only in target.name]
        seeds = tuple(content for target in every for content in target.seeds)
        for number in range(inputs):
            target = every[number % len(every)]
            path = folder / f"input{target.ending}"
            path.write_bytes(mutated(draw, draw.choice(target.seeds), seeds))
            began = time.perf_counter()
            try:
                target.read(path)
                answer = "read"
            except OWN:
                answer = "refused"
            except CRASHES:
                answer = "wrong"
                traceback.print_exc()
            if time.perf_counter() - began > SLOW_SECONDS:
                answer = "wrong"
                print(f"{target.name}: {time.perf_counter() - began:.1f} s")
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name has this in it")
    parser.add_argument("--kept", type=Path, default=Path("fuzz-findings"))
    arguments = parser.parse_args()
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    wrong = run(arguments.inputs, arguments.seed, arguments.kept, arguments.only)
    print(f"{arguments.inputs:,} inputs, {wrong} answered wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
