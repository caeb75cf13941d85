"""What `make fuzz` gives hostile inputs to: each reader, valid contents for it, and how it is asked."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tests.runtime.fake_network as fake_network
from compiler import SGD, Formula, Input, MeanSquaredError, Sequential
from compiler.errors import ModelError
from compiler.frontend.parse import load_model
from runtime.augmentation import Augmentation
from runtime.checkpoint import read_checkpoint
from runtime.data.arrays import load_array, load_arrays
from runtime.data.idx import read_idx
from runtime.data.images import Reading, read_image, read_images
from runtime.data.tables import load_table
from runtime.data.text import load_text
from runtime.errors import ChainruleRuntimeError
from runtime.interface import ModelInterface
from runtime.safetensors import load_file, save_file
from runtime.trainer import fit

OWN = (ChainruleRuntimeError, ModelError)
"""What a reader may refuse an input by."""
FOUND = Path(__file__).parent / "fuzz_seeds"
"""What was once answered wrongly, by the name of its reader: among the seeds from then on."""
QUICK, SLOW = 12, 1
"""Of this many inputs each reader gets: a formula takes milliseconds, a header a tenth of one."""


@dataclass(frozen=True)
class Target:
    """A reader, the ending of its files, valid contents, and its share of all inputs."""

    name: str
    ending: str
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    share: int = QUICK

    def refuses(self, path: Path) -> bool:
        """Whether what is there is refused as it should be. What else is raised passes."""
        try:
            self.read(path)
        except OWN:
            return True
        return False


def targets(folder: Path) -> tuple[Target, ...]:
    """Every reader of files, and of texts that a user writes. `folder` is for what makes the seeds."""
    rows = ModelInterface.of_module(
        fake_network.make_module("fuzz_rows", INPUT_SHAPE=(3,), OUTPUT_SHAPE=(2,))
    )
    every = (
        Target("safetensors", ".safetensors", load_file, (_safetensors(folder),)),
        Target("checkpoint", ".checkpoint", read_checkpoint, (_checkpoint(folder),)),
        Target("idx", ".idx", lambda path: read_idx(path, 3), tuple(_idx())),
        Target("npz", ".npz", load_arrays, (_saved(np.savez), _saved(np.savez_compressed))),
        Target("npy", ".npy", load_array, (_array(np.ones((3, 4), np.float32)), _array(np.arange(5)))),
        Target("csv", ".csv", lambda path: load_table(path, rows), tuple(_tables())),
        Target("text", ".txt", lambda path: load_text(path, 8), ("Many words, ß too.\n".encode() * 9,)),
        Target("image", ".png", lambda path: read_images([path], Reading((8, 8, 1), True)), tuple(_images())),
        Target("png", ".png", _png, tuple(_pngs())),
        Target("augmentation", ".augment", _augmentation, (b"shift=0.1,rotate=10,flip,noise=0.02",)),
        Target("formula", ".formula", _formula, FORMULAS, SLOW),
        Target("model", ".py", load_model, (SEQUENCE, GRAPH), SLOW),
    )
    return tuple(replace(target, seeds=(*target.seeds, *_found(target.name))) for target in every)


def _found(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(FOUND.glob(f"{name}-*"))]


FORMULAS = (
    b"y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]",
    b"y[b, i] = exp(x[b, i]) if x[b, i] > 0 else -1",
    b"y[b, i] = tanh(x[b, i] + y[b, i-1]) if i >= 1 else x[b, i]",
    b"m[b] = max[i](x[b, i])\ny[b, i] = exp(x[b, i] - m[b]) / sum[j](exp(x[b, j] - m[b]))",
)
SEQUENCE = b"""from chainrule import Adam, Conv2D, CrossEntropy, Dense, Flatten, Input, Sequential, Softmax

model = Sequential(
    [Input(8, 8, 1), Conv2D(4, 3, activation="relu"), Flatten(), Dense(10), Softmax()],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3, global_clipnorm=1.0),
    name="small",
)
"""
GRAPH = b"""from chainrule import SGD, Dense, Formula, GlorotUniform, Input, MeanSquaredError, Model, ReLU

x = Input(4)
h = ReLU()(Dense(4)(x) + x)
y = Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", sizes={"o": 2}, parameters={"w": GlorotUniform()})(h)
model = Model(x, y, loss=MeanSquaredError(), optimizer=SGD(0.1))
"""
"""Model files are Python, and are run: these import the compiler alone, so changed bytes can harm nobody."""


def _formula(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    layers = [Input(8), Formula(text)]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1)).problems


def _augmentation(path: Path) -> object:
    return Augmentation.parsed(path.read_bytes().decode("utf-8", "replace"))


def _png(path: Path) -> object:
    """A PNG file whose checksums are right, so that it is among those which are read together: no pixel of it
    is another than when it is read alone."""
    path.write_bytes(_with_checksums(path.read_bytes()))
    reading = Reading((8, 8, 1))
    together, alone = read_images([path, path], reading), read_image(path, reading)
    assert all(np.array_equal(one, alone) for one in together)
    return together


def _with_checksums(content: bytes) -> bytes:
    """The same, with the checksum of each piece as it should be, as far as there are pieces."""
    repaired, place = bytearray(content), 8
    while place + 12 <= len(content):
        last = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if last + 4 > len(content):
            break
        repaired[last : last + 4] = struct.pack(">I", zlib.crc32(content[place + 4 : last]))
        place = last + 4
    return bytes(repaired)


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


def _pngs() -> Iterator[bytes]:
    """Packed a little, and not at all, where a changed byte is a changed line."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for level in (0, 1, 9):
        handle = io.BytesIO()
        slopes = np.cumsum(rng.integers(0, 9, (8, 8), np.uint8), axis=1, dtype=np.uint8)
        Image.fromarray(slopes).save(handle, "png", compress_level=level)
        yield handle.getvalue()
