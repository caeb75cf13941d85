"""Small PNG files that are read together: the pixels of Pillow, and its words for what is wrong."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from runtime.data.images import MODES, Reading, read_image, read_images
from runtime.data.small_png import read_small
from runtime.errors import DataError

HEIGHT, WIDTH = 9, 7


def random_pixels(channels, seed=0):
    """Smooth, so that the writer takes a filter of each kind."""
    rng = np.random.default_rng(seed)
    slopes = np.cumsum(np.cumsum(rng.integers(-3, 4, (HEIGHT, WIDTH, channels)), axis=0), axis=1)
    pixels = (slopes + 128 + rng.integers(0, 2, slopes.shape) * (seed % 3)).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def written(pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png", **options)
    return content.getvalue()


def piece(kind, content):
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def filtered(kinds, count, channels=1):
    """A file whose lines have these filters, and any bytes."""
    lines = np.random.default_rng(1).integers(0, 256, (count, 1 + WIDTH * channels), np.uint8)
    lines[:, 0] = kinds
    return lines.tobytes()


def file_of(lines, *, cut=(), before=(), channels=1):
    """A PNG file with these lines, its packed bytes in several pieces, others `before` them."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = piece(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, colour, 0, 0, 0))
    packed = zlib.compress(lines)
    places = [0, *cut, len(packed)]
    data = [piece(b"IDAT", packed[a:b]) for a, b in itertools.pairwise(places)]
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + b"".join(data) + piece(b"IEND", b"")


def written_to(folder, contents):
    paths = [str(folder / f"{number:03}.png") for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        with open(path, "wb") as file:
            file.write(content)
    return paths


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_pixels_of_pillow(tmp_path, channels):
    """Of every filter, behind every other; what is not read together is read by itself, in its place."""
    lines = [filtered(np.random.default_rng(k).integers(0, 5, HEIGHT), HEIGHT, channels) for k in range(12)]
    contents = [file_of(one, channels=channels) for one in lines]
    contents += [written(random_pixels(channels, seed), compress_level=seed % 10) for seed in range(12)]
    paths = written_to(tmp_path, contents)
    reading = Reading((HEIGHT, WIDTH, channels))
    expected = np.stack([read_image(path, reading) for path in paths])
    pixels = np.zeros_like(expected)
    assert read_small(paths, pixels, MODES[channels], Image) == []
    assert np.array_equal(pixels, expected)
    assert np.array_equal(read_images(paths, Reading(reading.shape, invert=True)), 255 - expected)


def odd_files():
    gray, text = random_pixels(1), PngImagePlugin.PngInfo()
    text.add_itxt("title", "ä")
    lines = filtered(np.zeros(HEIGHT), HEIGHT)
    wide = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 900
    return {
        "in pieces": file_of(lines, cut=(1, 5, 30)),
        "dots": written(gray, dpi=(72, 72)),
        "a text": written(gray, pnginfo=text),
        "transparent": written(gray, transparency=5),
        "16 bits": written(wide),
        "palette": written(random_pixels(3)) and written(np.asarray(Image.fromarray(gray).quantize(4))),
        "colour": written(random_pixels(3)),
        "one bit": written(gray > 128),
        "more behind": file_of(lines) + b"more",
        "packed too long": file_of(lines + b"more"),
    }


@pytest.mark.parametrize("name", odd_files())
def test_odd_files_among_others(tmp_path, name):
    others = [written(random_pixels(1, seed)) for seed in range(5)]
    paths = written_to(tmp_path, [*others[:2], odd_files()[name], *others[2:]])
    reading = Reading((HEIGHT, WIDTH, 1))
    assert np.array_equal(
        read_images(paths, reading), np.stack([read_image(path, reading) for path in paths])
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[:-20],
        lambda good: good[:50],
        lambda good: b"",
        lambda good: good[:60] + bytes([good[60] ^ 16]) + good[61:],
        lambda good: file_of(filtered(np.zeros(HEIGHT - 1), HEIGHT - 1)),
        lambda good: file_of(filtered(np.full(HEIGHT, 7), HEIGHT)),
        lambda good: file_of(
            filtered(np.zeros(HEIGHT), HEIGHT), before=[piece(b"IDAT", b""), piece(b"gAMA", b"")]
        ),
    ],
    ids=["cut", "short", "empty", "flipped", "a line less", "no such filter", "a piece between"],
)
def test_damaged_files_are_what_pillow_says(tmp_path, damage):
    """The words of one that is read by itself, or its pixels."""
    good = [written(random_pixels(1, seed)) for seed in range(4)]
    paths = written_to(tmp_path, [*good, damage(good[0])])
    reading = Reading((HEIGHT, WIDTH, 1))
    try:
        expected = read_image(paths[-1], reading)
    except DataError as error:
        with pytest.raises(DataError) as found:
            read_images(paths, reading)
        assert str(found.value) == str(error) and paths[-1] in str(error)
        assert " at 0x" not in str(error)
    else:
        assert np.array_equal(read_images(paths, reading)[-1], expected)


def test_every_flipped_bit_is_what_pillow_says(tmp_path):
    """Pixels never differ from those of a file that is read by itself."""
    good = written(random_pixels(1))
    reading = Reading((HEIGHT, WIDTH, 1))
    changed = [
        good[: k // 8] + bytes([good[k // 8] ^ 1 << k % 8]) + good[k // 8 + 1 :]
        for k in range(0, 8 * len(good), 3)
    ]
    paths = written_to(tmp_path, changed)
    pixels = np.zeros((len(paths), HEIGHT, WIDTH, 1), np.uint8)
    left = read_small(paths, pixels, "L", Image)
    for number in set(range(len(paths))) - set(left):
        assert np.array_equal(pixels[number], read_image(paths[number], reading))
    assert len(left) > len(paths) // 2
