"""Fetching one file over the network within a bounded time, and accepting it only with the right checksum."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Sequence
from typing import BinaryIO

CONNECT_SECONDS = 4.0
STALL_SECONDS = 10.0
WHOLE_SECONDS = 180.0
CHUNK_BYTES = 2**16


class DownloadFailed(Exception):
    """No mirror gave the file; the text says why, for people."""


def download(
    urls: Sequence[str],
    sha256: str,
    maximum_bytes: int,
    connect_seconds: float = CONNECT_SECONDS,
    stall_seconds: float = STALL_SECONDS,
    whole_seconds: float = WHOLE_SECONDS,
) -> bytes:
    """The gzipped contents of the first of `urls` that answers with the right bytes, still gzipped.

    `sha256` is that of the uncompressed contents. Reaching a first answer from all mirrors together takes at
    most `connect_seconds` (so a machine without network learns it quickly); after that the transfer may
    go on for `whole_seconds` as long as it never stalls for `stall_seconds`. At most `maximum_bytes` are
    taken, compressed or not.

    Raises DownloadFailed.
    """
    failures = []
    connect_left = connect_seconds
    for position, url in enumerate(urls):
        started = time.monotonic()
        try:
            # Shared fairly, so that one silent mirror leaves time for the next.
            response = _open(url, connect_left / (len(urls) - position), stall_seconds)
            connect_left -= time.monotonic() - started
            with response:
                body = _read(response, maximum_bytes, started + whole_seconds)
            _check(body, sha256, maximum_bytes)
            return body
        except (
            OSError,
            ValueError,
            EOFError,
            zlib.error,
            http.client.HTTPException,
            DownloadFailed,
        ) as error:
            connect_left -= min(connect_left, time.monotonic() - started)
            reason = getattr(error, "reason", None) or error  # what urllib wrapped, without its wrapping
            failures.append(f"{urllib.parse.urlsplit(url).netloc}: {reason or type(error).__name__}")
    raise DownloadFailed("; ".join(failures))


def _open(url: str, connect_seconds: float, stall_seconds: float) -> BinaryIO:
    """Send the request and wait for the head of the answer.

    In a thread of its own, because looking up a host name cannot be given a time limit; the thread of a
    look-up that hangs is left behind and does not keep the program from ending.
    """
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=stall_seconds))
        except urllib.error.HTTPError as error:  # an answer, if not the one we want
            error.close()
            answers.put(error)
        except (OSError, ValueError, http.client.HTTPException) as error:  # a proxy that is no address
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="download").start()
    try:
        answer = answers.get(timeout=connect_seconds)
    except queue.Empty:
        raise DownloadFailed(f"no answer within {connect_seconds:.1f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(response: BinaryIO, maximum_bytes: int, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.read(CHUNK_BYTES):
        body += chunk
        if len(body) > maximum_bytes:
            raise DownloadFailed(f"more than {maximum_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise DownloadFailed("too slow")
    return bytes(body)


def _check(body: bytes, sha256: str, maximum_bytes: int) -> None:
    digest, size = hashlib.sha256(), 0
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if size > maximum_bytes:
                raise DownloadFailed(f"more than {maximum_bytes:,} bytes when uncompressed")
    if digest.hexdigest() != sha256:
        raise DownloadFailed(f"wrong SHA-256 {digest.hexdigest()}, expected {sha256}")
