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
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The number that a file gives to images of so many channels of eight bits."""
SILENT = frozenset([b"bKGD", b"cHRM", b"gAMA", b"pHYs", b"sRGB", b"tEXt", b"tIME"])
"""Pieces that change no value of a pixel."""
MORE = 4096
"""Bytes that a file may have besides its lines as they are."""
DATA = b"IDAT"
DATA_CHECKSUM = zlib.crc32(DATA)
PIECE, CHECKSUM = struct.Struct(">I4s"), struct.Struct(">I")
END = PIECE.pack(0, b"IEND") + CHECKSUM.pack(zlib.crc32(b"IEND"))
BEHIND = CHECKSUM.size + len(END)
"""Bytes behind the last of the packed ones."""
STORED = struct.Struct("<BHH")
"""What stands before a block of a zlib stream that is not packed: its kind, its length, and that inverted."""
STREAM = b"\x78\x01"
"""What a zlib stream begins with."""

Unpack = Callable[[bytes], bytes | None]
"""The lines of an image, each with its filter before it; None for what unpacks to something else."""


def read_small(paths: Sequence[str], pixels: np.ndarray, mode: str, pillow: Any) -> list[int]:
    """Put images into `pixels`, uint8 (N, height, width, channels); returns the numbers of those left out.

    `mode` is what Pillow calls them. A path is opened as it is: it should be that of a file. An image has
    less than 2**16 bytes.
    """
    height, width, channels = shape = pixels.shape[1:]
    line = 1 + width * channels
    found = _all_lines(_contents(paths, height * line + MORE), _begin(shape), height * line)
    left = [number for number, lines in enumerate(found) if lines is None]
    if len(left) == len(found):
        return left
    nothing = bytes(height * line)
    stream = _stream((lines or nothing for lines in found), (height + 1) * line, bytes(line))
    try:
        tall = pillow.frombytes(mode, (width, (height + 1) * len(found)), stream, "zip", mode, 0)
    except ValueError:  # a filter that there is not: who has it is found one by one
        return list(range(len(found)))
    pixels[:] = np.frombuffer(tall.tobytes(), np.uint8).reshape(-1, height + 1, width, channels)[:, :height]
    return left


def _begin(shape: tuple[int, int, int]) -> bytes:
    """What such a file begins with: its signature and its header."""
    height, width, channels = shape
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, COLOURS[channels], 0, 0, 0)
    return SIGNATURE + CHECKSUM.pack(len(header) - 4) + header + CHECKSUM.pack(zlib.crc32(header))


def _contents(paths: Sequence[str], most: int) -> list[bytes]:
    """All of each file; nothing where it is larger, or cannot be read."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    contents = []
    for path in paths:
        content = b""
        try:
            descriptor = os.open(path, flags)
            try:
                content = os.read(descriptor, most + 1)
            finally:
                os.close(descriptor)
        except OSError:
            pass
        contents.append(content if len(content) <= most else b"")
    return contents


def _all_lines(contents: Iterable[bytes], begin: bytes, size: int) -> list[bytes | None]:
    """The `size` bytes of lines of each image; None for a file of another kind, or damaged.

    Most files have one piece of packed bytes and no others. So what stands around that is known by the length
    of the file, and is compared as a whole.
    """
    begins: dict[int, bytes] = {}
    first, crc = len(begin) + PIECE.size, zlib.crc32
    found = []
    for content in contents:
        length = len(content)
        if length not in begins:
            begins[length] = begin + PIECE.pack(max(0, length - first - BEHIND), DATA)
        if content.startswith(begins[length]):
            packed = content[first:-BEHIND]
            simple = content.endswith(CHECKSUM.pack(crc(packed, DATA_CHECKSUM)) + END)
        else:
            simple = False
        found.append(_unpacked(packed if simple else _packed(content, begin), size))
    return found


def _packed(content: bytes, begin: bytes) -> bytes:
    """The packed lines of an image, in any number of pieces; nothing for another kind of file, or damaged."""
    if not content.startswith(begin):
        return b""
    place, packed = len(begin), []
    try:
        while not content.startswith(END, place):
            length, kind = PIECE.unpack_from(content, place)
            first, last = place + PIECE.size, place + PIECE.size + length
            if CHECKSUM.unpack_from(content, last)[0] != zlib.crc32(content[place + 4 : last]):
                return b""
            if kind == DATA:
                packed.append(content[first:last])
            elif packed or kind not in SILENT:
                return b""
            place = last + CHECKSUM.size
    except struct.error:
        return b""
    return b"".join(packed)


def _unpacked(packed: bytes, size: int) -> bytes | None:
    """So many bytes that were packed; None where they were more or fewer, or are damaged."""
    unpacking = zlib.decompressobj()
    try:
        lines = unpacking.decompress(packed, size + 1)
    except zlib.error:
        return None
    return lines if unpacking.eof and len(lines) == size else None


def _stream(parts: Iterable[bytes], size: int, gap: bytes) -> bytes:
    """A zlib stream of parts with a gap behind each, together `size` bytes, that packs nothing.

    It has no end: whoever reads it knows how much there is.
    """
    before = STORED.pack(0, size, 0xFFFF ^ size)
    return b"".join([STREAM, before, (gap + before).join(parts), gap])
