"""Many small PNG files of one kind at once: what Pillow does around each takes longer than its pixels.

A file is read here if it says of its pixels what all others say, byte for byte, in pieces whose checksums are
right. zlib unpacks its lines. Those of many files, a line of zeros behind each, are then one tall image,
whose filters Pillow undoes in one go: a filter looks at the line above, and above the first it sees zeros.
All else is left to Pillow, file by file, and so is what is wrong with a file.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The number that a file gives to images of so many channels of eight bits."""
SILENT = frozenset([b"bKGD", b"cHRM", b"gAMA", b"pHYs", b"sRGB", b"tEXt", b"tIME"])
"""Pieces that change no value of a pixel."""
MORE = 4096
"""Bytes that a file may have besides its lines as they are."""
END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
PIECE, CHECKSUM = struct.Struct(">I4s"), struct.Struct(">I")


def read_small(paths: Sequence[str], pixels: np.ndarray, mode: str, pillow: Any) -> list[int]:
    """Put images into `pixels`, uint8 (N, height, width, channels); returns the numbers of those left out.

    `mode` is what Pillow calls them. A path is opened as it is: it should be that of a file.
    """
    height, width, channels = shape = pixels.shape[1:]
    line, begin = 1 + width * channels, _begin(shape)
    most = height * line + MORE
    found = [_lines(_content(path, most), begin, height * line) for path in paths]
    left = [number for number, lines in enumerate(found) if lines is None]
    if len(left) == len(found):
        return left
    gap = bytes(line)
    packed = zlib.compress(
        b"".join(part for lines in found for part in (lines or bytes(height * line), gap)), 0
    )
    try:
        tall = pillow.frombytes(mode, (width, (height + 1) * len(found)), packed, "zip", mode, 0)
    except ValueError:  # a filter that there is not: who has it is found one by one
        return list(range(len(found)))
    pixels[:] = np.frombuffer(tall.tobytes(), np.uint8).reshape(-1, height + 1, width, channels)[:, :height]
    return left


def _begin(shape: tuple[int, int, int]) -> bytes:
    """What such a file begins with: its signature and its header."""
    height, width, channels = shape
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, COLOURS[channels], 0, 0, 0)
    return SIGNATURE + CHECKSUM.pack(len(header) - 4) + header + CHECKSUM.pack(zlib.crc32(header))


def _content(path: str, most: int) -> bytes:
    """All of a file; nothing where it is larger, or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            content = os.read(descriptor, most + 1)
        finally:
            os.close(descriptor)
    except OSError:
        return b""
    return content if len(content) <= most else b""


def _lines(content: bytes, begin: bytes, size: int) -> bytes | None:
    """The lines of an image, each with its filter before it; None for a file of another kind, or damaged."""
    if not content.startswith(begin):
        return None
    place, packed = len(begin), []
    try:
        while not content.startswith(END, place):
            length, kind = PIECE.unpack_from(content, place)
            first, last = place + PIECE.size, place + PIECE.size + length
            if CHECKSUM.unpack_from(content, last)[0] != zlib.crc32(content[place + 4 : last]):
                return None
            if kind == b"IDAT":
                packed.append(content[first:last])
            elif packed or kind not in SILENT:
                return None
            place = last + CHECKSUM.size
        unpacking = zlib.decompressobj()
        lines = unpacking.decompress(packed[0] if len(packed) == 1 else b"".join(packed), size + 1)
    except (struct.error, zlib.error):
        return None
    return lines if unpacking.eof and len(lines) == size else None
